"""Tests of what names of files and folders state."""

from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.data.studies.names import find_sibling_folder, parse_file_names
from lss_lightning.errors import UserError
from tests.data.studies.reading import make_volume, read_studies, write_volume


@pytest.mark.parametrize(
    ("name", "kind", "pair"),
    [
        ("scan_T1", "T1", "scan_"),
        ("sub-C1_T1w", "T1", "sub-C1_"),
        ("sub-01_ses-T1_T2w", "T2", "sub-01_ses-T1_"),
        ("sub-T2_acq-tra_T1w", "T1", "sub-T2_acq-tra_"),
        ("T2-07_t1_tse", "T1", "T2-07__tse"),
        ("T1_pat03_ax_t2", "T2", "T1_pat03_ax_"),
        ("AXT2_001", "T2", "AX_001"),
        ("pat_T2_L5_t1w", "T1", "pat_T2_L5_"),
        ("T1_pat03_T2", "T2", "T1_pat03_"),
        ("C1_007", "composite", "_007"),
        ("t2_tse_C1", "T2", "_tse_C1"),
        ("T12_level", None, "T12_level"),
        ("t2_stir", "STIR", "t2_stir"),
        ("sub-01_PDw", "PD", "sub-01_PDw"),
        ("PD0123_x", None, "PD0123_x"),
        ("t1_flair", "T1", "_flair"),
        ("sub-01_FLAIR", "FLAIR", "sub-01_FLAIR"),
        ("sub-01_T2starw", "T2STAR", "sub-01_T2starw"),
    ],
)
def test_weighting_is_that_of_the_suffix_the_token_beside_a_word_or_the_last_token(
    name: str, kind: str | None, pair: str
) -> None:
    (named,) = parse_file_names([Path("study", f"{name}.nii.gz")], {})
    assert (named.kind, named.pair, named.contradiction) == (kind, pair, False)


@pytest.mark.parametrize("name", ["pat01_T1_ax_t2", "T2_tra_T1w_x", "t1_tse_t2_tse"])
def test_contradicting_tokens_are_refused_unless_the_user_chooses(name: str) -> None:
    path = Path("study", f"{name}.nii")
    (named,) = parse_file_names([path], {})
    with pytest.raises(UserError, match=r"both T1 and T2.*rename it .*or choose the files with series="):
        named.check_weighting(("T2",))
    named.check_weighting(("image",))
    (chosen,) = parse_file_names([path], {"T2": name[-6:]})
    assert chosen.kind == "T2"


def test_files_that_the_user_does_not_choose_have_no_other_way_in() -> None:
    paths = [Path("study", f"{name}.nii") for name in ("a_T2", "b_T2")]
    assert [named.path.name for named in parse_file_names(paths, {"T2": "b_"})] == ["b_T2.nii"]


def test_folders_of_time_points_are_not_weightings() -> None:
    paths = [Path("pat", folder, f"scan_{kind}.png") for folder in ("T1", "T2") for kind in ("t1", "t2")]
    named = parse_file_names(paths, {})
    assert [file.kind for file in named] == ["T1", "T2", "T1", "T2"]
    assert [file.study for file in named] == ["pat/T1", "pat/T1", "pat/T2", "pat/T2"]
    weightings = parse_file_names([Path("pat", kind, "slice1.png") for kind in ("T1", "T2")], {})
    assert [(file.kind, file.study) for file in weightings] == [("T1", "pat"), ("T2", "pat")]


def test_numbered_folders_are_not_siblings(tmp_path: Path) -> None:
    for name in ("T1-07", "T2-07", "T1_Output", "T2_Output"):
        (tmp_path / name).mkdir()
    assert find_sibling_folder(tmp_path / "T2-07") is None
    assert find_sibling_folder(tmp_path / "T2_Output") == tmp_path / "T1_Output"
    assert parse_file_names([tmp_path / "T2-07" / "a.png"], {})[0].kind is None


def test_time_points_are_not_paired(tmp_path: Path) -> None:
    for point in ("T1", "T2"):
        write_volume(tmp_path / f"{point}_pat01_ax_t2.nii.gz", make_volume())
    assert [len(study.slices) for study in read_studies(tmp_path, "t2")] == [5, 5]
    with pytest.raises(
        UserError, match="a T2 volume without T1; give the two files names that differ only in T1 and T2"
    ):
        read_studies(tmp_path, "composite")


def test_the_users_texts_pair_files_of_any_name(tmp_path: Path) -> None:
    write_volume(tmp_path / "pat01_T1_ax_t2.nii.gz", make_volume())
    write_volume(tmp_path / "spin echo.nii.gz", make_volume())
    (study,) = read_studies(tmp_path, "composite", series={"T1": "spin", "T2": "ax_t2"})
    assert [path.name for path in study.slices[0].sources] == ["spin echo.nii.gz", "pat01_T1_ax_t2.nii.gz"]
    with pytest.raises(UserError, match="no file or folder has this text"):
        read_studies(tmp_path, "composite", series={"T1": "nowhere", "T2": "neither"})


def test_stir_is_t2_only_if_asked_for(tmp_path: Path) -> None:
    write_volume(tmp_path / "pat_stir.nii", make_volume())
    with pytest.raises(UserError, match="whose name says STIR, which is neither T1 nor T2"):
        read_studies(tmp_path, "t2")
    (study,) = read_studies(tmp_path, "t2", series={"T2": "stir"})
    assert study.slices[0].images.keys() == {"T2"}
    (grey,) = read_studies(tmp_path, "grey")
    assert len(grey.slices) == 5


def test_two_files_of_one_kind_are_refused(tmp_path: Path) -> None:
    for suffix in ("nii", "nii.gz"):
        write_volume(tmp_path / f"pat_t2.{suffix}", make_volume())
    with pytest.raises(UserError, match="several T2 volumes whose names are otherwise the same"):
        read_studies(tmp_path, "t2")


def test_a_choice_between_tokens_is_stated(tmp_path: Path) -> None:
    write_volume(tmp_path / "T2-07_t1_tse.nii", make_volume())
    (study,) = read_studies(tmp_path, "t1")
    assert any("names of 1 of 1 files say both T1 and T2" in remark for remark in study.remarks)
