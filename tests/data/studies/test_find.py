"""Tests of the search for studies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.studies import InputRequirements, find_studies
from lss_lightning.errors import UserError
from tests.data.studies.reading import read_studies
from tests.workflows.prediction.studies import T1_SERIES, write_dicom


def test_earlier_results_are_not_studies(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    results = tmp_path / "report" / "study_1" / "label_maps"
    results.mkdir(parents=True)
    shutil.copy(tmp_path / "t2.png", results / "slice_01.png")
    assert len(read_studies(tmp_path, "t2")) == 2
    (tmp_path / "report" / "predict.json").write_text("{}")
    assert len(read_studies(tmp_path, "t2")) == 1


def test_broken_links_pipes_and_locked_files_do_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert len(read_studies(tmp_path, "t2")) == 1
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="none of the 1 DICOM files can be read"):
        read_studies(tmp_path, "t2")

    def raise_permission_error(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "gone.dcm").unlink()
    monkeypatch.setattr(Path, "open", raise_permission_error)
    with pytest.raises(UserError, match="DICOM files can be read"):
        read_studies(tmp_path, "t2")


def test_what_is_left_out_beside_the_studies_is_counted(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    (tmp_path / "patient").symlink_to(tmp_path / "nowhere")
    listing = find_studies(tmp_path, tmp_path, tmp_path / "out")
    assert (listing.problems, listing.remarks) == (("1 symbolic link leads nowhere",), ())
    write_dicom(tmp_path / "dicom")
    listing = find_studies(tmp_path, tmp_path, tmp_path / "out")
    assert len(listing.studies) == 1
    assert listing.remarks == (
        "1 NIfTI or image file left out, because the input contains DICOM; give them as another input.",
    )


def test_linked_folders_are_searched(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "disk" / "t2.png")
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "0001").symlink_to(tmp_path / "disk")
    assert len(read_studies(tmp_path / "cohort", "t2")) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("p.zip", "1 file not read (1 × .zip); unpack them first."),
        ("a.dcm.gz", "1 file not read (1 × .gz); unpack them first."),
        ("scan.mhd", "1 file not read (1 × .mhd); convert volumes to NIfTI and images to PNG."),
        ("scan.IMG", "1 file not read (1 × .img); convert volumes to NIfTI and images to PNG."),
    ],
)
def test_archives_and_formats_that_are_not_read_are_named(name: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(UserError, match=r"holds no DICOM file") as refusal:
        find_studies(tmp_path, tmp_path, tmp_path / "out")
    assert str(refusal.value).endswith(sentence.removesuffix("."))
    Image.fromarray(np.zeros((30, 20), dtype=np.uint8)).save(tmp_path / "t2.png")
    assert find_studies(tmp_path, tmp_path, tmp_path / "out").remarks == (sentence,)
    (tmp_path / "t2.png").unlink()
    study = write_dicom(tmp_path / "dicom")
    (study / "1.img").write_bytes(next(study.rglob("*.ima")).read_bytes())  # DICOM, whatever its suffix
    assert find_studies(tmp_path, tmp_path, tmp_path / "out").remarks == (sentence,)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (b"\x08\0\x60\0", "StudyInstanceUID and Rows missing, so the file is truncated or no image; copy it again"),
        (b"\x28\0\x10\0", "Rows missing and Columns missing; export them again"),
    ],
)
def test_files_that_end_in_their_header_are_named(last: bytes, reason: str, tmp_path: Path) -> None:
    study = write_dicom(tmp_path)
    for path in sorted((study / T1_SERIES).iterdir())[:2]:
        content = path.read_bytes()
        path.write_bytes(content[: content.index(last)])
    listing = find_studies(study, study, tmp_path / "out")
    (source,) = listing.studies
    problems = source.read(InputRequirements("t1"), "study").problems
    (stated,) = {*(problem.reason for problem in listing.left_out), *problems}
    assert stated.endswith(reason)
