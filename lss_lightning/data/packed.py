"""Decoded slices in a folder: one file with all pixels, to be mapped into memory, and an index of what lies where."""

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

PIXELS, INDEX = "pixels.bin", "index.json"


class BrokenPackError(Exception):
    """A folder whose index cannot be read, or whose pixels are not those that the index tells of."""


class _Pixels:
    """A file mapped into memory; another process gets its path and maps it for itself, instead of a copy."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, np.memmap(path, np.uint8, "r")

    def __reduce__(self) -> tuple[Any, ...]:
        return _Pixels, (self.path,)

    def array(self, offset: int, shape: Sequence[int]) -> NDArray[np.uint8]:
        """What lies at a place, as an array that cannot be written to."""
        return np.ndarray(shape, np.uint8, self.bytes, offset)


@dataclass(frozen=True)
class PackedSlice(LoadedSlice):
    """A slice whose arrays lie in a mapped file, and in a pickle do not come along."""

    pixels: _Pixels
    entry: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return _slice, (self.slice, self.pixels, self.entry)


def _slice(piece: Slice, pixels: _Pixels, entry: Mapping[str, Any]) -> PackedSlice:
    image, label = entry["offset"], entry["offset"] + math.prod(entry["shape"])
    return PackedSlice(
        slice=piece,
        image=pixels.array(image, entry["shape"]),
        label=pixels.array(label, entry["shape"][1:]),
        spacing=entry["spacing"],
        digest=entry["digest"],
        pixels=pixels,
        entry=entry,
    )


def write_packed(folder: Path, slices: Iterable[LoadedSlice], origin: Any) -> None:
    """Write slices as they come; what has been written is safely on the disk at the end.

    Args:
        folder: An empty folder.
        slices: Of any sizes. Of each the image's bytes come first, then the label's.
        origin: Plain data, kept in the index.

    Raises:
        OSError: the disk is full, or refuses.
    """
    entries: list[dict[str, Any]] = []
    with (folder / PIXELS).open("wb") as stream:
        for piece in slices:
            place = {"offset": stream.tell(), "shape": piece.image.shape}
            entries.append({**place, "spacing": piece.spacing, "digest": piece.digest})
            stream.write(np.ascontiguousarray(piece.image).data)
            stream.write(np.ascontiguousarray(piece.label).data)
        length = stream.tell()
        _flush(stream)
    with (folder / INDEX).open("w", encoding="utf-8") as stream:
        json.dump({"origin": origin, "bytes": length, "slices": entries}, stream)
        _flush(stream)


def _flush(stream: Any) -> None:
    """Have the disk hold what was written, before the folder gets the name under which it is trusted."""
    stream.flush()
    os.fsync(stream.fileno())


def read_packed(folder: Path, pieces: Sequence[Slice]) -> list[LoadedSlice]:
    """The slices of a folder, without reading their pixels.

    Args:
        folder: As :func:`write_packed` left it.
        pieces: The slices that were written, in their order.

    Returns:
        Slices with views of the mapped file, which cannot be written to; they stay valid when the file is deleted.

    Raises:
        FileNotFoundError: there is no such folder, or not all of it.
        BrokenPackError: the pixels are cut short, or the index is not what was written.
    """
    index = read_index(folder)
    try:
        pixels = _Pixels(folder / PIXELS)
        if len(pixels.bytes) != index["bytes"]:
            raise BrokenPackError(f"{pixels.path} has {len(pixels.bytes):,} bytes instead of {index['bytes']:,}")
        return [_slice(piece, pixels, entry) for piece, entry in zip(pieces, index["slices"], strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenPackError(f"{folder}: {error}") from error


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a folder: ``origin`` and what :func:`read_packed` needs.

    Raises:
        FileNotFoundError: there is none.
        BrokenPackError: it cannot be read.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenPackError(f"{path}: {error}") from error
    if not isinstance(index, dict):
        raise BrokenPackError(f"{path}: no index")
    return index
