"""Input that ``predict.py`` cannot use: one-line errors without names, while the other studies are processed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1

from lss_lightning.errors import IncompleteError, UserError
from tests.workflows.prediction.studies import (
    LOCALISER,
    SAGITTAL,
    T1_SERIES,
    T2_SERIES,
    edit,
    files,
    keep,
    run,
    write_checkpoint,
    write_dicom,
)
from tests.workflows.processes import command

QUICK = ("output.overlays=false", "output.nifti=false")
NAME = "DOE_JOHN"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.ckpt")


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(tmp_path_factory.mktemp("valid"), patient=2)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(tmp_path_factory.mktemp("victim"))


@pytest.fixture
def study(victim: Path, tmp_path: Path) -> Path:
    """A study to damage, in a folder with the name of a person."""
    return Path(shutil.copytree(victim, tmp_path / "input" / NAME))


def compressed(study: Path) -> None:
    def compress(dataset: pydicom.FileDataset) -> None:
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1

    edit(files(study, T1_SERIES, T2_SERIES), compress)


def truncated(study: Path) -> None:
    for path in files(study, T2_SERIES):
        path.write_bytes(path.read_bytes()[:-100])


def sagittal_only(study: Path) -> None:
    keep(study, SAGITTAL, LOCALISER)


def no_t2(study: Path) -> None:
    keep(study, T1_SERIES)


def no_t1(study: Path) -> None:
    keep(study, T2_SERIES, SAGITTAL)


def no_spacing(study: Path) -> None:
    edit(files(study, T1_SERIES, T2_SERIES), lambda dataset: dataset.__delattr__("PixelSpacing"))


def no_spacing_of_t1(study: Path) -> None:
    edit(files(study, T1_SERIES), lambda dataset: dataset.__delattr__("PixelSpacing"))


def multi_frame(study: Path) -> None:
    def stack(dataset: pydicom.FileDataset) -> None:
        dataset.NumberOfFrames = 2
        dataset.PixelData = dataset.PixelData * 2
        del dataset.PixelSpacing, dataset.ImagePositionPatient, dataset.ImageOrientationPatient

    edit(files(study), stack)


def not_spin_echo(study: Path) -> None:
    def quicken(dataset: pydicom.FileDataset) -> None:
        dataset.RepetitionTime, dataset.EchoTime = 8, 4

    edit(files(study), quicken)


def apart(study: Path) -> None:
    def move(dataset: pydicom.FileDataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 500]

    edit(files(study, T2_SERIES), move)


def no_study(study: Path) -> None:
    edit(files(study), lambda dataset: dataset.__delattr__("StudyInstanceUID"))


def coloured(study: Path) -> None:
    def paint(dataset: pydicom.FileDataset) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = bytes(3 * dataset.Rows * dataset.Columns)

    edit(files(study, T2_SERIES), paint)


def enhanced_t2(study: Path) -> None:
    def enhance(dataset: pydicom.FileDataset) -> None:
        dataset.NumberOfFrames, dataset.SeriesDescription = 2, "axial"
        dataset.PixelData = dataset.PixelData * 2
        del dataset.PixelSpacing, dataset.ImagePositionPatient, dataset.ImageOrientationPatient
        del dataset.RepetitionTime, dataset.EchoTime

    edit(files(study, T2_SERIES), enhance)


BAD: dict[Callable[[Path], None], str] = {
    compressed: "pixels compressed as JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection "
    "Value 1]), for which no decoder is installed; pip install pylibjpeg pylibjpeg-libjpeg",
    truncated: "pixel data missing or truncated; export it again",
    sagittal_only: "no axial T1 or T2 images among 7, only sagittal or coronal ones; add the axial series",
    no_t2: "no axial T2 images, only T1; the checkpoint needs T1 and T2 (data.channels=composite)",
    no_t1: "no axial T1 images, only T2; the checkpoint needs",
    no_spacing: "PixelSpacing missing or invalid in",
    no_spacing_of_t1: "images left out: PixelSpacing missing or invalid",
    multi_frame: "multi-frame files, which are not supported; export them as one file for each image",
    not_spin_echo: "axial images, but none is T1- or T2-weighted by RepetitionTime and EchoTime",
    apart: "T1 and T2 show no slice in common",
    coloured: "colour image (RGB) where greyscale is expected; export the original series",
    enhanced_t2: "multi-frame files left out: export them as one file for each image, or split them",
    no_study: "StudyInstanceUID missing in",
}


@pytest.fixture(scope="module")
def batch(
    checkpoint: Path, victim: Path, valid: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, IncompleteError]:
    """The results of a folder with all damaged studies and a valid one at the end, and the error raised."""
    root = tmp_path_factory.mktemp("batch")
    for number, damage in enumerate(BAD):
        study = Path(shutil.copytree(victim, root / "input" / f"{number:02d}" / NAME))
        edit(files(study), partial(number_study, number))
        damage(study)
    shutil.copytree(valid, root / "input" / "valid")
    with pytest.raises(IncompleteError) as partly:
        run(checkpoint, root / "input", root / "out", *QUICK)
    return root / "out", partly.value


def number_study(number: int, dataset: pydicom.FileDataset) -> None:
    dataset.StudyInstanceUID = f"1.2.3.{number + 1}"


@pytest.mark.parametrize("damage", BAD, ids=lambda damage: damage.__name__)
def test_a_study_that_cannot_be_used_is_listed_with_the_reason(
    damage: Callable[[Path], None], batch: tuple[Path, IncompleteError]
) -> None:
    index = json.loads((batch[0] / "predict.json").read_text())
    study = index["studies"][list(BAD).index(damage)]
    assert not study["done"]
    (problem,) = study["problems"]
    assert BAD[damage] in problem
    assert "\n" not in problem
    assert NAME not in problem


def test_the_other_studies_of_a_batch_are_processed(batch: tuple[Path, IncompleteError]) -> None:
    out, error = batch
    last = f"study_{len(BAD) + 1}"
    assert {path.name for path in out.iterdir()} == {"predict.json", last}
    index = json.loads((out / "predict.json").read_text())
    assert [study["done"] for study in index["studies"]] == [False] * len(BAD) + [True]
    assert f"{len(BAD)} of {len(BAD) + 1} studies left out; study_1: " in str(error)
    assert NAME not in str(error)


def test_a_single_study_that_cannot_be_used_leaves_no_output(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    sagittal_only(study)
    with pytest.raises(UserError, match="study_1: no axial T1 or T2 images") as refusal:
        run(checkpoint, study.parent, tmp_path / "out", *QUICK)
    assert not isinstance(refusal.value, IncompleteError)
    assert NAME not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_slice_that_cannot_be_read_is_left_out_and_reported(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    path = files(study, T1_SERIES)[4]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IncompleteError, match=r"study_1: 1 of \d+ slices left out: pixel data missing or truncated"):
        run(checkpoint, study, tmp_path / "out", *QUICK)
    about = json.loads((tmp_path / "out" / "study_1" / "measurements.json").read_text())
    assert len(about["slices"]) == len(files(study, T1_SERIES)) - 1
    assert "slice_05" not in [slice_["name"] for slice_ in about["slices"]]
    assert about["remarks"][0].startswith("1 of ")


def test_t1_alone_is_enough_for_a_checkpoint_of_t1(study: Path, tmp_path: Path) -> None:
    no_t2(study)
    t1 = write_checkpoint(tmp_path / "t1.ckpt", "t1")
    run(t1, study, tmp_path / "out", *QUICK)
    about = json.loads((tmp_path / "out" / "study_1" / "measurements.json").read_text())
    assert len(about["slices"]) == len(files(study, T1_SERIES))
    grey = write_checkpoint(tmp_path / "grey.ckpt", "grey")
    run(grey, study, tmp_path / "grey", *QUICK)


def test_two_weightings_are_refused_for_a_checkpoint_of_unspecified_images(victim: Path, tmp_path: Path) -> None:
    grey = write_checkpoint(tmp_path / "grey.ckpt", "grey")
    with pytest.raises(UserError, match=r"data\.channels=grey\), and the study has T1 and T2"):
        run(grey, victim, tmp_path / "out")


def test_unpaired_slices_are_counted(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    for path in files(study, T2_SERIES)[:2]:
        path.unlink()
    run(checkpoint, study, tmp_path / "out", *QUICK)
    remarks = json.loads((tmp_path / "out" / "study_1" / "measurements.json").read_text())["remarks"]
    assert f"2 of {len(files(study, T1_SERIES))} T1 slices have no T2 slice" in remarks[0]


def test_a_duplicated_series_counts_once(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    def rename(dataset: pydicom.FileDataset) -> None:
        dataset.SeriesInstanceUID += ".1"

    again = Path(shutil.copytree(study / T1_SERIES, study / "again"))
    for path in files(study, "again")[3:]:
        path.unlink()
    edit(sorted(again.iterdir()), rename)
    run(checkpoint, study, tmp_path / "out", *QUICK)
    about = json.loads((tmp_path / "out" / "study_1" / "measurements.json").read_text())
    assert len(about["slices"]) == len(files(study, T1_SERIES))
    assert about["remarks"][0].startswith("3 T1 images show the same slices as others")


def test_broken_files_beside_a_study_are_counted(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    (study / "broken.dcm").write_bytes(b"\0" * 500)
    (study / "notes.txt").write_text("not an image")
    with pytest.raises(IncompleteError, match="1 DICOM file cannot be read"):
        run(checkpoint, study, tmp_path / "out", *QUICK)
    assert (tmp_path / "out" / "study_1" / "measurements.csv").is_file()


def nothing(folder: Path) -> Path:
    (folder / "notes.txt").write_text("")
    return folder


def no_dicom(folder: Path) -> Path:
    (folder / f"{NAME}.dcm").write_bytes(b"no image")
    return folder


def no_image(folder: Path) -> Path:
    dataset = pydicom.Dataset()
    dataset.PatientName = NAME
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.BasicTextSRStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.save_as(folder / "report.dcm", enforce_file_format=True)
    return folder


def half_a_zip(folder: Path) -> Path:
    (folder / "study.zip").write_bytes(b"PK\x03\x04 and then nothing")
    return folder / "study.zip"


def escaping_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        archive.writestr(f"../{NAME}.dcm", b"")
    return folder / "study.zip"


def broken_nifti(folder: Path) -> Path:
    (folder / f"{NAME}.nii").write_bytes(b"no volume")
    return folder


def broken_png(folder: Path) -> Path:
    (folder / f"T1_{NAME}.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, "holds no DICOM file, and none that ends in"),
        (no_dicom, "none of the 1 DICOM files can be read"),
        (no_image, "1 DICOM files, but none of them holds an image"),
        (half_a_zip, "not a zip archive, or only part of one"),
        (escaping_zip, "cannot be unpacked"),
        (broken_nifti, "study_1: a volume whose name says neither T1 nor T2"),
        (broken_png, "study_1: an image file: "),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_input_without_a_study_is_refused(
    make: Callable[[Path], Path], message: str, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "input").mkdir()
    with pytest.raises(UserError) as refusal:
        run(checkpoint, make(tmp_path / "input"), tmp_path / "out")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert NAME not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_exit_code_is_2_if_no_study_can_be_used(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    sagittal_only(study)
    logs = (f"paths.logs={tmp_path / 'logs'}", "trainer=cpu")
    none = command("predict.py", f"ckpt_path={checkpoint}", f"input={study}", f"output={tmp_path / 'out'}", *logs)
    assert none.returncode == 2
    assert none.stderr.splitlines()[-1].startswith("error: study_1: no axial T1 or T2 images")
    assert "Traceback" not in none.stderr
    assert NAME not in none.stdout + none.stderr


def test_a_file_that_is_not_a_checkpoint_is_refused(study: Path, tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"no weights")
    with pytest.raises(UserError, match="truncated, or not a checkpoint"):
        run(tmp_path / "best.ckpt", study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_that_returns_nan_leaves_no_output(study: Path, tmp_path: Path) -> None:
    import torch

    path = write_checkpoint(tmp_path / "nan.ckpt", "t1")
    content = torch.load(path, weights_only=True)
    for weights in content["state_dict"].values():
        if weights.is_floating_point():
            weights.fill_(np.nan)
    torch.save(content, path)
    with pytest.raises(UserError, match="returns NaN or infinity"):
        run(path, study, tmp_path / "out")
    assert not (tmp_path / "out").exists()
