"""Storage of decoded slices in a folder: a memory-mapped file of all pixels, and an index of the slices."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.files import atomic_write

PIXEL_FILE, INDEX_FILE = "pixels.bin", "index.json"


class BrokenPackError(Exception):
    """A folder whose index cannot be read or does not describe its pixels."""


class _Pixels:
    """A memory-mapped file; only its path is pickled, and the receiving process maps the file itself."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, np.memmap(path, np.uint8, "r")

    def __reduce__(self) -> tuple[Any, ...]:
        return _Pixels, (self.path,)

    def array(self, offset: int, shape: Sequence[int]) -> NDArray[np.uint8]:
        """Return the bytes from an offset as a read-only array of a given shape."""
        return np.ndarray(shape, np.uint8, self.bytes, offset)


@dataclass(frozen=True)
class PackedSlice(LoadedSlice):
    """A slice whose arrays are views of a memory-mapped file and are not copied by pickle.

    Attributes:
        pixels: The mapped file.
        entry: The slice's entry in the index.
    """

    pixels: _Pixels
    entry: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return _view, (self.slice, self.pixels, self.entry)


def _view(slice_: Slice, pixels: _Pixels, entry: Mapping[str, Any]) -> PackedSlice:
    image_offset, label_offset = entry["offset"], entry["offset"] + math.prod(entry["shape"])
    return PackedSlice(
        slice=slice_,
        image=pixels.array(image_offset, entry["shape"]),
        label=pixels.array(label_offset, entry["shape"][1:]),
        spacing=entry["spacing"],
        digest=entry["digest"],
        pixels=pixels,
        entry=entry,
    )


def write_packed(folder: Path, slices: Iterable[LoadedSlice], origin: Any) -> None:
    """Write slices one by one and flush them to the disk.

    Args:
        folder: An empty folder.
        slices: Slices of any size. The bytes of each image are followed by those of its label.
        origin: Plain data to store in the index.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    entries: list[dict[str, Any]] = []
    with (folder / PIXEL_FILE).open("wb") as stream:
        for loaded in slices:
            location = {"offset": stream.tell(), "shape": loaded.image.shape}
            entries.append({**location, "spacing": loaded.spacing, "digest": loaded.digest})
            stream.write(np.ascontiguousarray(loaded.image).data)
            stream.write(np.ascontiguousarray(loaded.label).data)
        length = stream.tell()
        # The folder is trusted once it has its final name, so the disk must hold its content by then.
        stream.flush()
        os.fsync(stream.fileno())
    with atomic_write(folder / INDEX_FILE, fsync=True) as stream:
        json.dump({"origin": origin, "bytes": length, "slices": entries}, stream)


def read_packed(folder: Path, slices: Sequence[Slice]) -> list[LoadedSlice]:
    """Memory-map the slices of a folder without reading their pixels.

    Args:
        folder: A folder written by :func:`write_packed`.
        slices: The slices that were written, in the same order.

    Returns:
        Slices with read-only views of the mapped file, which remain valid if the file is deleted.

    Raises:
        FileNotFoundError: If the folder or one of its files does not exist.
        BrokenPackError: If the pixels are truncated or the index was changed.
    """
    index = read_index(folder)
    try:
        pixels = _Pixels(folder / PIXEL_FILE)
        if len(pixels.bytes) != index["bytes"]:
            raise BrokenPackError(f"{pixels.path} has {len(pixels.bytes):,} bytes instead of {index['bytes']:,}")
        return [_view(slice_, pixels, entry) for slice_, entry in zip(slices, index["slices"], strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenPackError(f"{folder}: {error}") from error


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a folder: ``origin`` and the entries for :func:`read_packed`.

    Raises:
        FileNotFoundError: If there is no index.
        BrokenPackError: If the index cannot be read.
    """
    path = folder / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenPackError(f"{path}: {error}") from error
    if not isinstance(index, dict):
        raise BrokenPackError(f"{path}: not an index")
    return index
