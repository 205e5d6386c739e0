from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.alkafri_layout import FINAL_FOLDER
from lss_lightning.data.annotators import MANUAL_FOLDER, find_annotator_maps
from lss_lightning.data.formats import read_mask
from lss_lightning.labels import LUMBAR
from lss_lightning.workflows.comparison.protocol_effects import compute_annotator_ceiling
from tests.conftest import write_slice


def draw(folder: Path, annotator: int, name: str, width: int, size: int = 32) -> Path:
    """Write an annotator's map with a disc of a width in columns, and Other elsewhere."""
    classes = np.full((size, size), 5, dtype=np.uint8)
    classes[8:16, :width] = 1
    path = folder / f"Labeller {annotator:02d}" / f"T1_{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(LUMBAR.to_codes(classes)).save(path)
    path.with_suffix(".xcf").write_text("a drawing")
    return path


def pack_folder(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*.*")):
            opened.write(path, path.relative_to(folder.parent).as_posix())


@pytest.fixture
def root(tmp_path) -> Path:
    """Return a folder of data with three annotators' folders beside it."""
    root = tmp_path / "lss"
    write_slice(root, "0001", "D3")
    for annotator, width in ((1, 8), (2, 8), (5, 16)):
        draw(root / MANUAL_FOLDER, annotator, "0001_D3", width)
    draw(root / MANUAL_FOLDER, 1, "0002_D4", 8)  # no other annotator drew it
    return root


def test_maps_are_found_in_folders(root):
    maps = find_annotator_maps(root)
    assert {name: sorted(by_annotator) for name, by_annotator in maps.items()} == {("0001", "D3"): ["01", "02", "05"]}
    assert read_mask(maps["0001", "D3"]["05"])[8, 15] == 50


def test_maps_are_found_in_an_archive_beside_the_image_folder(root, tmp_path):
    pack_folder(root / MANUAL_FOLDER, root / "Manual_Label_Data.zip")
    unpacked = find_annotator_maps(root)
    for path in sorted((root / MANUAL_FOLDER).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / MANUAL_FOLDER).rmdir()
    for folder in (root, root / FINAL_FOLDER):
        maps = find_annotator_maps(folder)
        assert maps.keys() == unpacked.keys()
        assert read_mask(maps["0001", "D3"]["05"])[8, 15] == 50


def test_missing_annotators_are_not_an_error(tmp_path):
    assert find_annotator_maps(tmp_path) == {}
    assert find_annotator_maps(tmp_path / "nowhere") == {}
    assert compute_annotator_ceiling(str(tmp_path), LUMBAR)[0] is None


def test_agreement_is_pooled_over_pairs(root):
    agreement, note = compute_annotator_ceiling(str(root), LUMBAR)
    assert agreement is not None
    # Discs of 64, 64 and 128 pixels: a pair of equal discs, and two pairs in which the larger contains the smaller.
    assert agreement[1] == pytest.approx((64 + 64 + 64) / (64 + 128 + 128))
    assert np.isnan(agreement[3])
    assert "3 annotators, 1 slices" in note


def test_maps_of_different_sizes_are_left_out_and_counted(root):
    draw(root / MANUAL_FOLDER, 1, "0003_D3", 8)
    draw(root / MANUAL_FOLDER, 2, "0003_D3", 8, size=64)
    agreement, note = compute_annotator_ceiling(str(root), LUMBAR)
    assert agreement is not None
    assert agreement[1] == pytest.approx(192 / 320)
    assert "1 slices are excluded" in note


def test_maps_with_unknown_codes_are_refused_by_name(root):
    path = draw(root / MANUAL_FOLDER, 2, "0001_D3", 8)
    Image.fromarray(np.full((32, 32), 77, dtype=np.uint8)).save(path)
    agreement, note = compute_annotator_ceiling(str(root), LUMBAR)
    assert agreement is None
    assert "T1_0001_D3.png" in note
    assert "77" in note
