"""Tests of the listing of files through symbolic links."""

from __future__ import annotations

from pathlib import Path

from lss_lightning.data.dicom.archive import find_patient_files
from lss_lightning.data.walk import list_files


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in list_files(root))


def test_linked_folders_and_files_are_listed_under_the_links_name(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "0002" / "b.dcm")
    write(tmp_path / "cohort" / "0001" / "a.dcm")
    (tmp_path / "cohort" / "0002").symlink_to(tmp_path / "elsewhere" / "0002")
    (tmp_path / "cohort" / "c.dcm").symlink_to(tmp_path / "elsewhere" / "0002" / "b.dcm")
    assert names(tmp_path / "cohort") == ["0001/a.dcm", "0002/b.dcm", "c.dcm"]


def test_links_in_links_and_a_linked_root_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "c" / "deep" / "x.dcm")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "to_c").symlink_to(tmp_path / "c")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "root").symlink_to(tmp_path / "a")
    assert names(tmp_path / "root") == ["to_b/to_c/deep/x.dcm"]


def test_loops_end_and_folders_above_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "private.dcm")
    write(tmp_path / "in" / "s" / "x.dcm")
    (tmp_path / "in" / "s" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "s" / "self").symlink_to(tmp_path / "in" / "s")
    (tmp_path / "in" / "above").symlink_to(tmp_path)
    assert names(tmp_path / "in") == ["s/x.dcm"]


def test_folder_is_listed_once_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path / "z" / "x.dcm")
    for link in ("a", "b"):
        (tmp_path / link).symlink_to(tmp_path / "z")
    assert names(tmp_path) == ["z/x.dcm"]


def test_links_that_lead_nowhere_are_listed(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["gone"]


def test_linked_folders_of_raw_patients_are_found(tmp_path: Path) -> None:
    write(tmp_path / "disk" / "0002" / "x.ima")
    (tmp_path / "01_MRI_Data").mkdir()
    (tmp_path / "01_MRI_Data" / "0002").symlink_to(tmp_path / "disk" / "0002")
    assert find_patient_files(tmp_path / "01_MRI_Data") == {"0002": ["0002/x.ima"]}
