"""Tests of the recognition of label maps among NIfTI files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lss_lightning.data.studies import find_studies
from lss_lightning.data.studies.label_maps import is_label_map
from lss_lightning.errors import UserError
from tests.data.studies.reading import SHAPE, make_volume, write_volume


def make_labels(count: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """Return rectangles with labels from 1."""
    labels = np.zeros(SHAPE, dtype=dtype)
    for label in range(1, count + 1):
        labels[:, 5 + 30 * label // count, 5:35] = label
        labels[:, 4 + 30 * label // count, 5:35] = label
    return labels


NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (make_labels(), True),
        (make_labels(1) * 255, True),
        (make_labels(14, np.int16), True),
        (make_labels(3, np.float32), True),
        (make_labels(5, np.int32) * 100, True),
        (make_volume(), False),
        (make_volume().astype(np.float32) + 0.5, False),
        ((make_volume() // 4).astype(np.uint8), False),
        (NOISE.integers(0, 8, SHAPE).astype(np.uint8), False),
        (np.zeros(SHAPE, dtype=np.uint8), False),
        (make_volume() - 50, False),
    ],
)
def test_label_maps_are_recognised_by_their_values(voxels: np.ndarray, expected: bool, tmp_path: Path) -> None:
    assert is_label_map(write_volume(tmp_path / "t1_seg.nii.gz", voxels)) is expected


def test_label_maps_are_recognised_by_their_header_and_broken_files_are_not(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "t1.nii", make_volume())
    content = bytearray(path.read_bytes())
    content[68:70] = (1002).to_bytes(2, "little")
    path.write_bytes(content)
    assert is_label_map(path)
    path.write_bytes(b"no volume")
    assert not is_label_map(path)


def test_label_maps_beside_images_are_left_out_by_name(tmp_path: Path) -> None:
    write_volume(tmp_path / "scan_T1.nii.gz", make_volume())
    write_volume(tmp_path / "scan_T2.nii.gz", make_volume(1))
    for name in ("scan_T1_dseg.nii.gz", "mask.nii", "mask.nrrd", "scan.nii.gz"):
        write_volume(tmp_path / name, make_labels())
    listing = find_studies(tmp_path, tmp_path, tmp_path / "out")
    studies, left_out = listing.studies, listing.left_out
    assert len(studies) == 1
    assert [Path(problem.file).name for problem in left_out] == [
        "mask.nii",
        "mask.nrrd",
        "scan.nii.gz",
        "scan_T1_dseg.nii.gz",
    ]
    assert {problem.reason.partition(":")[0] for problem in left_out} == {"a label map, not an image"}
    assert not any(problem.is_error for problem in left_out)


def test_an_input_of_label_maps_only_is_refused(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "mask.nii", make_labels())
    with pytest.raises(UserError, match="1 × a label map, not an image") as refusal:
        find_studies(path, path, tmp_path / "out")
    assert refusal.value.files == (str(path),)


def test_sheared_axes_are_named(tmp_path: Path) -> None:
    from lss_lightning.data.studies.volumes import _read_volume

    path = write_volume(tmp_path / "t1.nii", make_volume())
    content = bytearray(path.read_bytes())
    content[252:256] = (0).to_bytes(2, "little") + (1).to_bytes(2, "little")  # no qform, an sform
    content[280:328] = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 4, 0]], dtype="<f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(UserError, match="affine is sheared"):
        _read_volume(path, stretch_whole=False)
