"""Phantom examinations as DICOM files, laid out as the raw Al-Kafri data: what the DICOM route is tried out on."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lss_lightning.data.dicom.archive import RAW
from lss_lightning.data.dicom.picks import PICKS, SLICES, T1_FOLDERS, T2_FOLDERS
from lss_lightning.data.parallel import map_parallel
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder
from lss_lightning.phantom.render import check_request
from lss_lightning.phantom.study import SLICE_SPACING, PhantomStudy, StudyImage, StudySlice, render_study, sagittal
from lss_lightning.phantom.table import TRUTH, write_truth
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED, PulseSequence

T1_SERIES, T2_SERIES = "T1_TSE_TRA_0005", "T2_TSE_TRA_384_0004"

_LOCALISER = PulseSequence(repetition=8.6, echo=4.0)
_SAGITTAL_SLICES = (-8.8, -4.4, 0.0, 4.4, 8.8)


@dataclass(frozen=True)
class _Series:
    folder: str
    number: int
    description: str
    sequence: PulseSequence
    frame: str
    image_type: str = "ORIGINAL\\PRIMARY\\M\\ND"


def write_studies(
    root: Path,
    *,
    seed: int,
    patients: int,
    image_size: int = 320,
    t2_sizes: dict[int, int] | None = None,
    workers: int | None = None,
) -> list[StudySlice]:
    """Write phantom examinations, the three CSVs that name each patient's disc slices, and the truth.

    Args:
        root: Folder to write; it must not exist, or be empty. It appears only when complete.
        seed: 0 or more; the same seed gives the same bytes, whatever the number of workers.
        patients: Number of patients, 1 to 9999.
        image_size: Pixels a side, at least 64; the field of view is 220 mm.
        t2_sizes: Pixels a side of T2, by patient, where it differs from ``image_size``.
        workers: Processes to render with; None means one per processor.

    Returns:
        The truth, which ``truth.csv`` holds too: a row per axial slice.

    Raises:
        UserError: an argument outside its range, or a folder that holds anything.
    """
    if not 1 <= patients <= 9999:
        raise UserError(
            f"phantom patients is {patients}: 1 to 9999 are possible, as folders give a patient four digits"
        )
    sizes = t2_sizes or {}
    jobs = [(patient, sizes.get(patient, image_size)) for patient in range(1, patients + 1)]
    with atomic_folder(root) as draft:
        work = partial(_write_job, draft, seed, image_size)
        written = list(
            map_parallel(work, jobs, (os.cpu_count() or 1) if workers is None else workers, "Phantom studies")
        )
        _write_picks(draft / PICKS, written)
        truth = [truth for study in written for truth in study]
        write_truth(draft / TRUTH, [piece.truth for piece in truth])
    return truth


def write_phantom_study(
    folder: Path, *, seed: int, patient: int, image_size: int = 320, t2_size: int | None = None
) -> list[StudySlice]:
    """Write one patient's examination below ``folder/01_MRI_Data``.

    Four series of one study: axial T1 and T2 of 12 to 15 slices, sagittal T2, and a localiser of one axial and one
    sagittal image. T1 and T2 have frames of reference of their own, as in the real data.

    Args:
        folder: What holds, or shall hold, ``01_MRI_Data``.
        seed: Of the whole set, 0 or more.
        patient: Number of the patient, 1 to 9999.
        image_size: Pixels a side, at least 64.
        t2_size: Pixels a side of T2; None means ``image_size``.

    Returns:
        The truth about every axial slice.

    Raises:
        UserError: an argument outside its range, or a patient's folder that exists.
    """
    for size in (image_size, image_size if t2_size is None else t2_size):
        check_request(seed, size)
    if not 1 <= patient <= 9999:
        raise UserError(f"phantom patient {patient} does not exist: patients are numbered from 1 to 9999")
    study = render_study(seed, patient, image_size, t2_size or image_size)
    place = folder / RAW / f"{patient:04d}"
    if place.exists():
        raise UserError(f"{place} exists: nothing is overwritten, give a new folder")
    uids = _Uids(seed, patient)
    for series, pictures in _series(study, uids, image_size):
        target = place / f"L-SPINE_LSS_20160309_{patient:06d}_240000" / series.folder
        target.mkdir(parents=True)
        for number, picture in enumerate(pictures, start=1):
            dataset = _dataset(series, picture, number, patient, uids)
            # Siemens' names: the first 11 letters of the series, the patient, the image.
            name = f"{series.folder[:11]}_{patient:04d}_{number:03d}.ima"
            dataset.save_as(target / name, enforce_file_format=True)
    return study.slices


def _write_job(root: Path, seed: int, image_size: int, job: tuple[int, int]) -> list[StudySlice]:
    patient, t2_size = job
    return write_phantom_study(root, seed=seed, patient=patient, image_size=image_size, t2_size=t2_size)


class _Uids:
    """Unique identifiers of a study that depend on nothing but the seed and the patient."""

    def __init__(self, seed: int, patient: int) -> None:
        self._source = f"lss phantom {seed} {patient}"

    def __call__(self, what: str) -> str:
        return generate_uid(entropy_srcs=[self._source, what])


def _series(study: PhantomStudy, uids: _Uids, image_size: int) -> list[tuple[_Series, list[StudyImage]]]:
    cuts = [sagittal(study, x, image_size) for x in _SAGITTAL_SLICES]
    middle = len(study.t2) // 2
    localiser = [study.t2[middle], cuts[len(cuts) // 2]]
    frame, other_frame = uids("frame"), uids("frame of T1")
    return [
        (
            _Series("LOCALIZER_0001", 1, "localizer", _LOCALISER, frame, "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"),
            localiser,
        ),
        (_Series("T2_TSE_SAG_384_0002", 2, "t2_tse_sag_384", T2_WEIGHTED, frame), cuts),
        (_Series(T2_SERIES, 4, "t2_tse_tra_384", T2_WEIGHTED, frame), study.t2),
        (_Series(T1_SERIES, 5, "t1_tse_tra", T1_WEIGHTED, other_frame), study.t1),
    ]


def _dataset(series: _Series, picture: StudyImage, number: int, patient: int, uids: _Uids) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = uids(f"{series.folder} {number}")
    dataset.StudyInstanceUID = uids("study")
    dataset.SeriesInstanceUID = uids(series.folder)
    dataset.FrameOfReferenceUID = series.frame
    dataset.ImageType = series.image_type
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.PatientName = f"Phantom^{patient:04d}"
    dataset.PatientID = f"PHANTOM-{patient:04d}"
    dataset.PatientPosition = "HFS"
    dataset.StudyDate, dataset.StudyTime = "20160309", "091629"
    dataset.StudyDescription = "L-SPINE^LSS"
    dataset.SeriesNumber, dataset.InstanceNumber = series.number, number
    dataset.SeriesDescription = dataset.ProtocolName = series.description
    dataset.ScanningSequence = "GR" if series.sequence is _LOCALISER else "SE"
    dataset.RepetitionTime, dataset.EchoTime = series.sequence.repetition, series.sequence.echo
    dataset.MagneticFieldStrength = 1.5
    dataset.SliceThickness, dataset.SpacingBetweenSlices = 4.0, SLICE_SPACING
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*picture.across, *picture.down)]
    dataset.ImagePositionPatient = [_decimal(value) for value in picture.corner]
    dataset.PixelSpacing = [_decimal(value) for value in picture.spacing]
    dataset.Rows, dataset.Columns = picture.pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = picture.pixels.astype("<u2").tobytes()
    return dataset


def _decimal(value: float) -> str:
    """A number as DICOM's decimal string, which holds 16 characters."""
    return f"{float(value):.8f}"


def _write_picks(folder: Path, studies: list[list[StudySlice]]) -> None:
    """The three CSVs, without a header: patient and the disc slices' places; patient and the series' folder."""
    folder.mkdir(parents=True)
    patients = [study[0].patient for study in studies]
    places = [[study[0].patient, *(truth.number for truth in study if truth.content == "disc")] for study in studies]
    _write_rows(folder / SLICES, places)
    for name, series in ((T1_FOLDERS, T1_SERIES), (T2_FOLDERS, T2_SERIES)):
        _write_rows(folder / name, [[patient, series] for patient in patients])


def _write_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
