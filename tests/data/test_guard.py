"""Tests of the guard around third-party parsers, and of damaged files in every format that goes through it."""

from __future__ import annotations

import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.formats import read_header, read_image, read_mask
from lss_lightning.data.guard import guard_parser
from lss_lightning.errors import IncompleteError, UserError


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), RecursionError(), ZeroDivisionError(), AssertionError("a\n b"), OverflowError(), SystemError()],
)
@pytest.mark.parametrize("kind", [UnreadableError, UserError])
def test_any_exception_of_a_parser_becomes_an_error_of_the_file(
    error: Exception, kind: type[UnreadableError] | type[UserError]
) -> None:
    with (
        pytest.raises(kind, match=rf"^damaged \({type(error).__name__}(: ('x'|b))?\)$"),
        guard_parser(lambda reason: kind(f"damaged ({reason})")),
    ):
        raise error


@pytest.mark.parametrize("error", [UnreadableError("own"), UserError("own"), IncompleteError("own")])
def test_errors_for_the_user_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=r"^own$"), guard_parser(UnreadableError):
        raise error


def write_png(path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(path)


def write_npy(path: Path) -> None:
    np.save(path, np.arange(256, dtype=np.uint16).reshape(16, 16))


def write_volume(path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.arange(512, dtype=np.int16).reshape(2, 16, 16)), str(path))


WRITERS: dict[str, Callable[[Path], None]] = {
    "image.png": write_png,
    "image.tif": write_png,
    "image.npy": write_npy,
    "image.nii": write_volume,
    "image.nii.gz": write_volume,
    "image.mha": write_volume,
    "image.nrrd": write_volume,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_gives_one_line_with_its_name(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    content = path.read_bytes()
    rng = random.Random(name)
    refusals = []
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(min(len(content), 400))] = rng.randrange(256)
        path.write_bytes(damaged if rng.random() < 0.7 else damaged[: rng.randrange(len(damaged))])
        for read in (read_header, lambda path: read_image(path, "grey"), read_mask):
            try:
                with warnings.catch_warnings(action="ignore"):
                    read(path)
            except UserError as error:
                refusals.append(str(error))
    assert refusals
    assert all(str(path) in text and "\n" not in text for text in refusals)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_tiff_with_an_unreadable_tag_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    write_png(path)
    content = bytearray(path.read_bytes())
    # The strip offset (tag 273) points beyond the end of the file.
    entry = content.index(struct.pack("<HH", 273, 4))
    content[entry + 8 : entry + 12] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path}: broken or truncated image \("):
        read_image(path, "grey")


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "image.npz", a=np.zeros((4, 4)))
    path = (tmp_path / "image.npz").rename(tmp_path / "image.npy")
    for read in (read_header, read_mask):
        with pytest.raises(UserError, match=r"an archive of arrays \(NPZ\)"):
            read(path)
