from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.annotators import MANUAL, find_annotators
from lss_lightning.data.formats import read_mask
from lss_lightning.data.slices import FINAL
from lss_lightning.labels import LUMBAR
from lss_lightning.workflows.comparison.protocols import labeller_ceiling
from tests.conftest import write_slice


def draw(folder: Path, labeller: int, name: str, width: int, size: int = 32) -> Path:
    """A disc of so many columns, everything else as Other."""
    classes = np.full((size, size), 5, dtype=np.uint8)
    classes[8:16, :width] = 1
    path = folder / f"Labeller {labeller:02d}" / f"T1_{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(LUMBAR.to_codes(classes)).save(path)
    path.with_suffix(".xcf").write_text("a drawing")
    return path


def packed(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*.*")):
            opened.write(path, path.relative_to(folder.parent).as_posix())


@pytest.fixture
def root(tmp_path) -> Path:
    """Data with three labellers' folders beside it."""
    root = tmp_path / "lss"
    write_slice(root, "0001", "D3")
    for labeller, width in ((1, 8), (2, 8), (5, 16)):
        draw(root / MANUAL, labeller, "0001_D3", width)
    draw(root / MANUAL, 1, "0002_D4", 8)  # nobody else drew it
    return root


def test_maps_are_found_in_folders(root):
    maps = find_annotators(root)
    assert {name: sorted(drawn) for name, drawn in maps.items()} == {("0001", "D3"): ["01", "02", "05"]}
    assert read_mask(maps["0001", "D3"]["05"])[8, 15] == 50


def test_maps_are_found_in_an_archive_beside_the_images_folder(root, tmp_path):
    packed(root / MANUAL, root / "Manual_Label_Data.zip")
    unpacked = find_annotators(root)
    for path in sorted((root / MANUAL).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / MANUAL).rmdir()
    for place in (root, root / FINAL):
        maps = find_annotators(place)
        assert maps.keys() == unpacked.keys()
        assert read_mask(maps["0001", "D3"]["05"])[8, 15] == 50


def test_no_labellers_are_no_mistake(tmp_path):
    assert find_annotators(tmp_path) == {}
    assert find_annotators(tmp_path / "nowhere") == {}
    assert labeller_ceiling(str(tmp_path), LUMBAR)[0] is None


def test_agreement_is_pooled_over_pairs(root):
    agreement, about = labeller_ceiling(str(root), LUMBAR)
    # 64 pixels twice and 128 once: the same pair, and two pairs of which one holds the other.
    assert agreement[1] == pytest.approx((64 + 64 + 64) / (64 + 128 + 128))
    assert np.isnan(agreement[3])
    assert "3 of them, 1 slices" in about


def test_maps_of_other_sizes_are_left_out_and_counted(root):
    draw(root / MANUAL, 1, "0003_D3", 8)
    draw(root / MANUAL, 2, "0003_D3", 8, size=64)
    agreement, about = labeller_ceiling(str(root), LUMBAR)
    assert agreement[1] == pytest.approx(192 / 320)
    assert "1 slices are left out" in about


def test_maps_of_other_codes_are_refused_by_name(root):
    path = draw(root / MANUAL, 2, "0001_D3", 8)
    Image.fromarray(np.full((32, 32), 77, dtype=np.uint8)).save(path)
    agreement, about = labeller_ceiling(str(root), LUMBAR)
    assert agreement is None
    assert "T1_0001_D3.png" in about
    assert "77" in about
