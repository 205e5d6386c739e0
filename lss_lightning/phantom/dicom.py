"""Phantom examinations as DICOM files, in the layout of the raw Al-Kafri data."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lss_lightning.data.dicom.archive import RAW_FOLDER
from lss_lightning.data.dicom.picks import PICKS_FOLDER, SLICES_CSV, T1_FOLDERS_CSV, T2_FOLDERS_CSV
from lss_lightning.data.parallel import map_parallel
from lss_lightning.data.processors import count_processors
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder, atomic_write
from lss_lightning.phantom.render import check_request
from lss_lightning.phantom.study import SLICE_SPACING, PhantomStudy, StudyImage, StudySlice, cut_sagittal, render_study
from lss_lightning.phantom.table import TRUTH_CSV, write_truth
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED, PulseSequence

T1_SERIES, T2_SERIES = "T1_TSE_TRA_0005", "T2_TSE_TRA_384_0004"
"""Folder names of the axial series."""

_LOCALISER = PulseSequence(repetition_time=8.6, echo_time=4.0)
# Positions of the sagittal slices, mm to the patient's left.
_SAGITTAL_POSITIONS = (-8.8, -4.4, 0.0, 4.4, 8.8)


@dataclass(frozen=True)
class _SeriesHeader:
    """Header values shared by the images of a series."""

    folder: str
    number: int
    description: str
    sequence: PulseSequence
    frame_of_reference_uid: str
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
    """Write phantom examinations, three CSV files that list disc slices and series folders, and the ground truth.

    Args:
        root: Folder to create. It must be new or empty, and it appears only when it is complete.
        seed: Random seed, 0 or more. The same seed produces the same bytes with any number of workers.
        patients: Number of patients, 1 to 9999.
        image_size: Width and height in pixels, at least 64. The field of view is 220 mm.
        t2_sizes: Width and height of the T2 images in pixels, for patients whose size differs from ``image_size``.
        workers: Number of processes, or None for one per processor.

    Returns:
        The ground truth of every axial slice, as in ``truth.csv``.

    Raises:
        UserError: If an argument is out of range, or the folder is not empty.
    """
    if not 1 <= patients <= 9999:
        raise UserError(
            f"phantom patients is {patients}: it must be 1 to 9999, because folder names have four digits per patient"
        )
    sizes = t2_sizes or {}
    jobs = [(patient_id, sizes.get(patient_id, image_size)) for patient_id in range(1, patients + 1)]
    with atomic_folder(root) as draft:
        work = partial(_write_job, draft, seed, image_size)
        studies = list(map_parallel(work, jobs, count_processors() if workers is None else workers, "Phantom studies"))
        _write_picks(draft / PICKS_FOLDER, studies)
        slices = [slice_ for study in studies for slice_ in study]
        write_truth(draft / TRUTH_CSV, [slice_.truth for slice_ in slices])
    return slices


def write_study(
    folder: Path, *, seed: int, patient: int, image_size: int = 320, t2_size: int | None = None
) -> list[StudySlice]:
    """Write the examination of one patient in ``folder/01_MRI_Data``.

    The study has four series: axial T1 and axial T2 with 12 to 15 slices each, sagittal T2, and a localiser with one
    axial and one sagittal image. Axial T1 and T2 have different frames of reference, as in the real data.

    Args:
        folder: The folder that contains ``01_MRI_Data``, or in which it is created.
        seed: Seed of the data set, 0 or more.
        patient: Number of the patient, 1 to 9999.
        image_size: Width and height in pixels, at least 64.
        t2_size: Width and height of the axial T2 images in pixels, or None for ``image_size``.

    Returns:
        The ground truth of every axial slice.

    Raises:
        UserError: If an argument is out of range, or the patient's folder already exists.
    """
    for size in (image_size, image_size if t2_size is None else t2_size):
        check_request(seed, size)
    if not 1 <= patient <= 9999:
        raise UserError(f"phantom patient {patient} does not exist: patients are numbered from 1 to 9999")
    study = render_study(seed, patient, image_size, t2_size or image_size)
    patient_folder = folder / RAW_FOLDER / f"{patient:04d}"
    if patient_folder.exists():
        raise UserError(f"{patient_folder} exists: nothing is overwritten; give a new folder")
    uids = _UidGenerator(seed, patient)
    for series, images in _list_series(study, uids, image_size):
        series_folder = patient_folder / f"L-SPINE_LSS_20160309_{patient:06d}_240000" / series.folder
        series_folder.mkdir(parents=True)
        for number, image in enumerate(images, start=1):
            dataset = _build_dataset(series, image, number, patient, uids)
            # Siemens file names contain the first 11 characters of the series folder, the patient and the image number.
            name = f"{series.folder[:11]}_{patient:04d}_{number:03d}.ima"
            dataset.save_as(series_folder / name, enforce_file_format=True)
    return study.slices


def _write_job(root: Path, seed: int, image_size: int, job: tuple[int, int]) -> list[StudySlice]:
    patient_id, t2_size = job
    return write_study(root, seed=seed, patient=patient_id, image_size=image_size, t2_size=t2_size)


class _UidGenerator:
    """A generator of the UIDs of a study, which depend only on the seed, the patient and their purpose."""

    def __init__(self, seed: int, patient_id: int) -> None:
        self._source = f"lss phantom {seed} {patient_id}"

    def __call__(self, purpose: str) -> str:
        return generate_uid(entropy_srcs=[self._source, purpose])


def _list_series(
    study: PhantomStudy, uids: _UidGenerator, image_size: int
) -> list[tuple[_SeriesHeader, list[StudyImage]]]:
    sagittal = [cut_sagittal(study, x, image_size) for x in _SAGITTAL_POSITIONS]
    middle = len(study.t2) // 2
    localiser = [study.t2[middle], sagittal[len(sagittal) // 2]]
    frame, t1_frame = uids("frame"), uids("frame of T1")
    return [
        (
            _SeriesHeader("LOCALIZER_0001", 1, "localizer", _LOCALISER, frame, "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"),
            localiser,
        ),
        (_SeriesHeader("T2_TSE_SAG_384_0002", 2, "t2_tse_sag_384", T2_WEIGHTED, frame), sagittal),
        (_SeriesHeader(T2_SERIES, 4, "t2_tse_tra_384", T2_WEIGHTED, frame), study.t2),
        (_SeriesHeader(T1_SERIES, 5, "t1_tse_tra", T1_WEIGHTED, t1_frame), study.t1),
    ]


def _build_dataset(
    series: _SeriesHeader, image: StudyImage, number: int, patient_id: int, uids: _UidGenerator
) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = uids(f"{series.folder} {number}")
    dataset.StudyInstanceUID = uids("study")
    dataset.SeriesInstanceUID = uids(series.folder)
    dataset.FrameOfReferenceUID = series.frame_of_reference_uid
    dataset.ImageType = series.image_type
    dataset.Modality = "MR"
    dataset.Manufacturer = "SIEMENS"
    dataset.PatientName = f"Phantom^{patient_id:04d}"
    dataset.PatientID = f"PHANTOM-{patient_id:04d}"
    dataset.PatientPosition = "HFS"
    dataset.StudyDate, dataset.StudyTime = "20160309", "091629"
    dataset.StudyDescription = "L-SPINE^LSS"
    dataset.SeriesNumber, dataset.InstanceNumber = series.number, number
    dataset.SeriesDescription = dataset.ProtocolName = series.description
    dataset.ScanningSequence = "GR" if series.sequence is _LOCALISER else "SE"
    dataset.RepetitionTime, dataset.EchoTime = series.sequence.repetition_time, series.sequence.echo_time
    dataset.MagneticFieldStrength = 1.5
    dataset.SliceThickness, dataset.SpacingBetweenSlices = 4.0, SLICE_SPACING
    dataset.ImageOrientationPatient = [_format_decimal(value) for value in (*image.across, *image.down)]
    dataset.ImagePositionPatient = [_format_decimal(value) for value in image.corner]
    dataset.PixelSpacing = [_format_decimal(value) for value in image.spacing]
    dataset.Rows, dataset.Columns = image.pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = image.pixels.astype("<u2").tobytes()
    return dataset


def _format_decimal(value: float) -> str:
    """Format a number as a DICOM decimal string, which has at most 16 characters."""
    return f"{float(value):.8f}"


def _write_picks(folder: Path, studies: list[list[StudySlice]]) -> None:
    """Write three CSV files without headers: the disc slices of each patient, and the T1 and T2 series folders."""
    folder.mkdir(parents=True)
    patient_ids = [study[0].patient_id for study in studies]
    numbers = [
        [study[0].patient_id, *(slice_.number for slice_ in study if slice_.content == "disc")] for study in studies
    ]
    _write_rows(folder / SLICES_CSV, numbers)
    for name, series in ((T1_FOLDERS_CSV, T1_SERIES), (T2_FOLDERS_CSV, T2_SERIES)):
        _write_rows(folder / name, [[patient_id, series] for patient_id in patient_ids])


def _write_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    with atomic_write(path) as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
