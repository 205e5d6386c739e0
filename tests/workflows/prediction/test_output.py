"""The output folder of ``predict.py``: only what it wrote itself may go, and only once a new run has got through."""

from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.runs.output import check_output, output_folder, write_index

WRITTEN = (
    "predict.json",
    "study_1/measurements.csv",
    "study_1/measurements.json",
    "study_1/label_maps/slice_01.png",
    "study_1/overlays/slice_102.png",
    "study_1/segmentation.nii.gz",
    "study_1/segmentation_2.dcm",
    "study_1/report.dcm",
    "study_12/report.html",
    ".study_2.0123abcd.part/label_maps/half.png",
)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_all_that_an_earlier_run_wrote_may_go(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", *WRITTEN)
    with output_folder(out, overwrite=True) as folder:
        assert list(folder.iterdir()) == []
        fill(folder, "predict.json", "study_1/report.html")
    assert names_in(tmp_path) == {"out/predict.json", "out/study_1/report.html"}


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "study_1/notes.txt", "study_1/label_maps/corrected.png", "study_1/old/report.html", "study_x/a.csv"],
)
def test_what_somebody_else_put_there_stops_it(name: str, tmp_path: Path) -> None:
    out = fill(tmp_path / "out", *WRITTEN, name)
    with pytest.raises(UserError, match=f"only what predict.py wrote, not {name.rpartition('/')[0] or name}"):
        check_output(out, overwrite=True)
    assert names_in(out) == {*WRITTEN, name}


def test_links_are_never_ours(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", "predict.json", "study_1/report.html")
    fill(tmp_path / "thesis", "measurements.csv")
    (out / "study_2").symlink_to(tmp_path / "thesis")
    with pytest.raises(UserError, match="not study_2; move that"):
        check_output(out, overwrite=True)


def test_a_folder_without_an_index_is_not_ours(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", "study_1/report.html")
    with pytest.raises(UserError, match=r"which holds predict\.json"):
        check_output(out, overwrite=True)


def stop(out: Path, end: type[BaseException], *names: str) -> None:
    """A run that writes some files, and then is stopped."""
    with output_folder(out, overwrite=True) as folder:
        write_index(folder, {"finished": False})
        fill(folder, *names)
        raise end("in the middle")


@pytest.mark.parametrize(
    ("end", "kept"),
    [(KeyboardInterrupt, "earlier"), (RuntimeError, "earlier"), (IncompleteError, "new")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_earlier_results_come_back_if_a_run_is_stopped(end: type[BaseException], kept: str, tmp_path: Path) -> None:
    earlier, new = ("predict.json", "study_1/report.html"), ("predict.json", "study_1/report.dcm")
    out = fill(tmp_path / "out", *earlier)
    with pytest.raises(end):
        stop(out, end, *new[1:])
    assert names_in(out) == set(earlier if kept == "earlier" else new)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_stopped_run_leaves_the_studies_that_it_has_done_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stop(tmp_path / "out", KeyboardInterrupt, "study_1/report.html")
    assert names_in(tmp_path / "out") == {"predict.json", "study_1/report.html"}
    with pytest.raises(KeyboardInterrupt):
        stop(tmp_path / "none", KeyboardInterrupt)
    assert not (tmp_path / "none").exists()


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "file")
    with pytest.raises(UserError, match="cannot be written"), output_folder(tmp_path / "file" / "out", overwrite=False):
        pass
