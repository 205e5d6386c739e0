"""No name, ID, birth date or accession number of the input occurs in any output of ``predict.py``."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from tests.workflows.prediction.studies import T1_SERIES, edit, files, write_checkpoint, write_dicom
from tests.workflows.processes import command

SECRETS = ("QUARTERMAINE", "MRN7731905", "19410213", "ACC5527183")
"""A name, an ID, a birth date and an accession number."""

KEPT = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "SOPClassUID")
# Read by the program. All other text may contain anything.
NEEDED = ("SeriesDescription", "ImageType", "PhotometricInterpretation", "SpecificCharacterSet", "Modality")
TEXT = {"AE": 16, "CS": 16, "LO": 64, "LT": 900, "PN": 64, "SH": 16, "ST": 900, "UC": 900, "UR": 900, "UT": 900}
MORE = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientComments", "PatientAddress",
    "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName", "OperatorsName", "InstitutionName",
    "StationName", "ImageComments", "AdditionalPatientHistory", "RequestedProcedureDescription", "ProtocolName",
    "DerivationDescription", "RequestAttributesSequence",
)  # fmt: skip


def plant(dataset: pydicom.FileDataset) -> None:
    """Write the secrets into every text of a file, and into many elements that it did not have."""
    for keyword in MORE:
        if keyword not in dataset:
            vr = dictionary_VR(keyword)
            if vr == "SQ":
                item = pydicom.Dataset()
                item.ScheduledProcedureStepDescription = " ".join(SECRETS)
                setattr(dataset, keyword, [item])
            else:
                dataset.add_new(keyword, vr, "")
    for element in dataset:
        if element.VR in TEXT and element.keyword not in NEEDED:
            dataset[element.tag] = DataElement(element.tag, element.VR, planted(element))
        elif element.VR == "DA":
            dataset[element.tag].value = SECRETS[2]
    dataset.PatientBirthDate = SECRETS[2]
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", " ".join(SECRETS).encode())
    nested = pydicom.Dataset()
    nested.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x11, "LT", " ".join(SECRETS))
    block.add_new(0x12, "SQ", [nested])
    dataset.file_meta.SourceApplicationEntityTitle = SECRETS[1]


def planted(element: DataElement) -> str:
    if element.keyword == "AccessionNumber":
        return SECRETS[3]
    if element.VR == "PN":
        return SECRETS[0]  # in one part, because libraries warn about several
    longest = TEXT[element.VR]
    return SECRETS[1] if longest < 60 else " ".join(SECRETS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the zip of a study named after the patient, with a broken file and an unusable second study."""
    root = tmp_path_factory.mktemp("privacy")
    study = write_dicom(root / "phantom")
    named = root / "-".join(SECRETS) / SECRETS[0]
    for number, path in enumerate(files(study)):
        (named / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, named / path.parent.name / f"{SECRETS[0]}_{number}.dcm")
    edit(sorted(named.rglob("*.dcm")), plant)
    broken = sorted((named / T1_SERIES).iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-10])
    (named / f"{SECRETS[0]}.dcm").write_bytes(" ".join(SECRETS).encode())
    bad = named.with_name(SECRETS[1])
    bad.mkdir()
    dataset = pydicom.dcmread(sorted((named / T1_SERIES).iterdir())[1])
    dataset.StudyInstanceUID += ".1"
    del dataset.PixelSpacing
    dataset.save_as(bad / f"{SECRETS[0]}.dcm")
    zip_path(root).parent.mkdir()
    with zipfile.ZipFile(zip_path(root), "w") as archive:
        for path in sorted(named.parent.rglob("*.dcm")):
            archive.write(path, path.relative_to(root))
    return root


def zip_path(root: Path) -> Path:
    """Return the path of the zip, which is named after the patient as well."""
    return root / SECRETS[0] / f"{SECRETS[1]}.zip"


def predict(root: Path, out: str, *overrides: str) -> tuple[Path, str]:
    checkpoint = root / "best.ckpt"
    if not checkpoint.exists():
        write_checkpoint(checkpoint)
    done = command(
        "predict.py",
        f"ckpt_path={checkpoint}",
        f"input={zip_path(root)}",
        f"output={root / out}",
        f"hydra.run.dir={root / out}_log",
        "trainer=cpu",
        *overrides,
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: output=")
    assert "1 of 2 studies left out; study_1: no axial T1 or T2 images among 1: 1 with PixelSpacing missing" in last
    named = f" [{SECRETS[1]}/{SECRETS[0]}.dcm]"
    assert named in last
    assert "Traceback" not in done.stderr
    # The file that must be corrected is named on the terminal, as the input's path is, and nowhere else.
    return root / out, (done.stdout + done.stderr).replace(named, "")


def secrets_in(path: Path) -> list[str]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content += gzip.decompress(content)
    text = f"{path}".encode() + content
    return [secret for secret in SECRETS if secret.encode() in text]


@pytest.fixture(scope="module")
def anonymous(root: Path) -> tuple[Path, str]:
    return predict(root, "anonymous")


def test_the_secrets_are_in_the_input(root: Path) -> None:
    with zipfile.ZipFile(zip_path(root)) as archive:
        for name in archive.namelist():
            assert SECRETS[0] in name
            content = archive.read(name)
            assert [secret for secret in SECRETS if secret.encode() not in content] == []


def test_no_file_log_or_printed_line_contains_a_secret(anonymous: tuple[Path, str]) -> None:
    out, printed = anonymous
    assert [secret for secret in SECRETS if secret in printed] == []
    written = [path for folder in (out, Path(f"{out}_log")) for path in folder.rglob("*") if path.is_file()]
    kinds = {"".join(path.suffixes) for path in written}
    assert {".csv", ".json", ".png", ".nii.gz", ".dcm", ".html", ".log"} <= kinds
    assert {path: secrets for path in written if (secrets := secrets_in(path))} == {}


def test_slices_that_were_left_out_are_reported(anonymous: tuple[Path, str]) -> None:
    index = json.loads((anonymous[0] / "predict.json").read_text())
    assert index["unreadable_files"] == 1
    assert [study["done"] for study in index["studies"]] == [False, True]
    assert "PixelSpacing missing" in index["studies"][0]["problems"][0]
    assert "slices left out: pixel data truncated" in index["studies"][1]["problems"][0]


def test_keep_identity_keeps_it_in_seg_and_sr_only(root: Path) -> None:
    out, printed = predict(root, "kept", "output.keep_identity=true", "output.overlays=false")
    assert [secret for secret in SECRETS if secret in printed] == []
    for path in (path for path in out.rglob("*") if path.is_file()):
        if path.suffix != ".dcm":
            assert secrets_in(path) == [], path
            continue
        dataset = pydicom.dcmread(path)
        assert dataset.PatientName == SECRETS[0]
        assert SECRETS[1] in dataset.PatientID
        assert (dataset.PatientBirthDate, dataset.AccessionNumber) == (SECRETS[2], SECRETS[3])
