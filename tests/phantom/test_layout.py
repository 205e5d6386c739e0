"""Tests of writing a phantom data set: files, reproducibility and refusal to overwrite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, layout, render_slice, write_phantom
from lss_lightning.phantom.version import PHANTOM_VERSION

SIZE = 64
FOLDERS = {
    "t1": ("04_Intermediary_Ground_Truth_Data/T1_Output", "T1"),
    "t2": ("04_Intermediary_Ground_Truth_Data/T2_Output", "T2"),
    "composite": ("05_Final_Ground_Truth_Data/Composite_Images", "C1"),
    "label": ("05_Final_Ground_Truth_Data/Label_Images", "L1"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "set"
    write_phantom(root, patients=2, image_size=SIZE, seed=5, workers=2)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def read(root: Path, kind: str, name: str) -> np.ndarray:
    folder, prefix = FOLDERS[kind]
    return np.asarray(Image.open(root / folder / f"{prefix}_{name}.png"))


def test_layout_and_pixel_formats(written: Path) -> None:
    names = [f"{patient_id:04d}_{level}" for patient_id in (1, 2) for level in ALKAFRI_LEVELS]
    expected = {f"{folder}/{prefix}_{name}.png" for folder, prefix in FOLDERS.values() for name in names}
    assert set(contents(written)) == expected | {"phantom.json", "truth.csv"}
    assert json.loads((written / "phantom.json").read_text()) == {
        "version": PHANTOM_VERSION,
        "patients": 2,
        "image_size": SIZE,
        "seed": 5,
        "randomise": 0.0,
        "severities": [0.0, 1.0],
    }
    for kind, mode in (("t1", "L"), ("t2", "L"), ("composite", "RGB"), ("label", "L")):
        folder, prefix = FOLDERS[kind]
        with Image.open(written / folder / f"{prefix}_0001_D3.png") as image:
            assert (image.mode, image.size, image.format) == (mode, (SIZE, SIZE), "PNG")
    assert [path.name for path in written.parent.iterdir()] == ["set"]


def test_written_slice_equals_the_rendered_slice(written: Path) -> None:
    rendered = render_slice(5, 2, "D4", SIZE)
    np.testing.assert_array_equal(read(written, "t1", "0002_D4"), rendered.t1)
    np.testing.assert_array_equal(read(written, "t2", "0002_D4"), rendered.t2)
    np.testing.assert_array_equal(read(written, "label", "0002_D4"), LUMBAR.to_codes(rendered.label))


def test_composite_is_t1_t2_and_their_positive_difference(written: Path) -> None:
    t1, t2 = (read(written, kind, "0001_D5").astype(int) for kind in ("t1", "t2"))
    composite = read(written, "composite", "0001_D5")
    np.testing.assert_array_equal(composite, np.stack((t1, t2, np.maximum(t1 - t2, 0)), axis=-1))
    assert (t1 > t2).any()
    assert (t1 < t2).any()


def test_bytes_do_not_depend_on_the_workers(written: Path, tmp_path: Path) -> None:
    write_phantom(tmp_path / "again", patients=2, image_size=SIZE, seed=5, workers=1)
    assert contents(tmp_path / "again") == contents(written)


def test_existing_phantom_is_kept(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    write_phantom(written, patients=2, image_size=SIZE, seed=5)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


@pytest.mark.parametrize("other", [{"patients": 3}, {"image_size": 65}, {"seed": 6}, {"severities": (0.0, 0.9)}])
def test_phantom_with_other_parameters_is_refused(written: Path, other: dict[str, Any]) -> None:
    before = contents(written)
    with pytest.raises(UserError, match=r"holds another phantom.*remove it or give another folder"):
        write_phantom(written, **({"patients": 2, "image_size": SIZE, "seed": 5} | other))
    assert contents(written) == before


def test_foreign_and_damaged_folders_are_refused_and_an_empty_one_is_filled(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_phantom(foreign, patients=1, image_size=SIZE, seed=0, workers=1)
    assert contents(foreign) == {"thesis.txt": b"years of work"}

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "phantom.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        write_phantom(damaged, patients=1, image_size=SIZE, seed=0, workers=1)

    empty = tmp_path / "empty"
    empty.mkdir()
    write_phantom(empty, patients=1, image_size=SIZE, seed=0, workers=1)
    assert len(contents(empty)) == 14


def test_nothing_remains_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> RenderedSlice:
        raise KeyboardInterrupt

    monkeypatch.setattr("lss_lightning.phantom.layout.render_slice", fail)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "set", patients=1, image_size=SIZE, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_concurrent_writers_of_the_same_phantom_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, write_slices = tmp_path / "set", layout._write_slices

    def write_after_another_writer(*arguments: Any) -> None:
        monkeypatch.undo()
        write_phantom(root, patients=1, image_size=SIZE, seed=0, workers=1)
        write_slices(*arguments)

    monkeypatch.setattr(layout, "_write_slices", write_after_another_writer)
    write_phantom(root, patients=1, image_size=SIZE, seed=0, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(contents(root)) == 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"patients": 10_000}, "1 to 9999"),
        ({"image_size": 63}, "image_size is 63"),
        ({"seed": -1}, "seed is -1"),
        ({"severities": (0.2, 1.1)}, r"impossible anatomy: phantom severity is 0.2 to 1.1"),
        ({"severities": (-0.1, 0.5)}, "impossible anatomy"),
        ({"severities": (0.6, 0.5)}, "impossible anatomy"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        write_phantom(tmp_path / "set", **({"patients": 1, "image_size": SIZE, "seed": 0} | arguments))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
