"""The output folder of ``predict.py``: only its own files may be replaced, and only once a new run is complete."""

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


def test_overwrite_replaces_everything_that_an_earlier_run_wrote(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", *WRITTEN)
    with output_folder(out, overwrite=True) as folder:
        assert list(folder.iterdir()) == []
        fill(folder, "predict.json", "study_1/report.html")
    assert names_in(tmp_path) == {"out/predict.json", "out/study_1/report.html"}


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "study_1/notes.txt", "study_1/label_maps/corrected.png", "study_1/old/report.html", "study_x/a.csv"],
)
def test_overwrite_refuses_files_that_predict_did_not_write(name: str, tmp_path: Path) -> None:
    out = fill(tmp_path / "out", *WRITTEN, name)
    with pytest.raises(UserError, match=f"only what predict.py wrote, not {name.rpartition('/')[0] or name}"):
        check_output(out, overwrite=True)
    assert names_in(out) == {*WRITTEN, name}


def test_overwrite_refuses_links(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", "predict.json", "study_1/report.html")
    fill(tmp_path / "thesis", "measurements.csv")
    (out / "study_2").symlink_to(tmp_path / "thesis")
    with pytest.raises(UserError, match="not study_2; move it"):
        check_output(out, overwrite=True)


def test_overwrite_refuses_a_folder_without_an_index(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", "study_1/report.html")
    with pytest.raises(UserError, match=r"which contains predict\.json"):
        check_output(out, overwrite=True)


def interrupt(out: Path, error: type[BaseException], *names: str) -> None:
    """Write some files as a run does, then raise an error."""
    with output_folder(out, overwrite=True) as folder:
        write_index(folder, {"finished": False})
        fill(folder, *names)
        raise error("in the middle")


@pytest.mark.parametrize(
    ("error", "kept"),
    [(KeyboardInterrupt, "earlier"), (RuntimeError, "earlier"), (IncompleteError, "new")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_earlier_results_are_restored_if_a_run_is_interrupted(
    error: type[BaseException], kept: str, tmp_path: Path
) -> None:
    earlier, new = ("predict.json", "study_1/report.html"), ("predict.json", "study_1/report.dcm")
    out = fill(tmp_path / "out", *earlier)
    with pytest.raises(error):
        interrupt(out, error, *new[1:])
    assert names_in(out) == set(earlier if kept == "earlier" else new)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_run_keeps_the_studies_that_it_has_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(tmp_path / "out", KeyboardInterrupt, "study_1/report.html")
    assert names_in(tmp_path / "out") == {"predict.json", "study_1/report.html"}
    with pytest.raises(KeyboardInterrupt):
        interrupt(tmp_path / "none", KeyboardInterrupt)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "file")
    with pytest.raises(UserError, match="cannot be written"), output_folder(tmp_path / "file" / "out", overwrite=False):
        pass
