"""The raw data as it comes: the folder ``01_MRI_Data``, or the zip that holds it."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from lss_lightning.errors import UserError

RAW, ZIP = "01_MRI_Data", "MRI_Data.zip"

Read: TypeAlias = Callable[[str], bytes]

_PATIENT = re.compile(r"\d{4}")
_SUFFIXES = (".ima", ".dcm")
# An axial slice takes a fifth of a megabyte.
_MOST_BYTES = 64 * 2**20


class UnreadableError(Exception):
    """A single file whose bytes cannot be had."""


def find_raw(root: Path) -> Path:
    """The folder ``01_MRI_Data`` or the zip that ``root`` is or holds; the folder first.

    Raises:
        UserError: neither is there.
    """
    root = root.expanduser()
    for place in (root / RAW, root, root / ZIP):
        if (place.name == RAW and place.is_dir()) or zipfile.is_zipfile(place):
            return place
    found = "neither a zip nor a folder that holds the raw data" if root.exists() else "no such file or folder"
    raise UserError(f"{root}: {found}; give {RAW}, {ZIP} (Mendeley Data k57fr854j2), or the folder around either")


def natural(name: str) -> list[tuple[int, str]]:
    """Sorting key by which 2 comes before 10, as the data set numbers its slices."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def files_by_patient(place: Path) -> dict[str, list[str]]:
    """DICOM files of every patient by the folder's number, four digits, in natural order (2 before 10).

    Args:
        place: As :func:`find_raw` gives it.

    Raises:
        UserError: a broken zip.
    """
    found: dict[str, list[str]] = {}
    for name in _names(place):
        path = PurePosixPath(name)
        folders = path.parts[:-1]
        start = folders.index(RAW) + 1 if RAW in folders else 0
        numbered = len(folders) > start and _PATIENT.fullmatch(folders[start])
        if numbered and path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
            found.setdefault(folders[start], []).append(name)
    return {patient: sorted(names, key=natural) for patient, names in found.items()}


@contextmanager
def reader(place: Path) -> Iterator[Read]:
    """A function that gives a file's bytes by its name; it raises :class:`UnreadableError`."""
    if place.is_dir():
        yield lambda name: _read_plain(place / name)
        return
    with zipfile.ZipFile(place) as archive:
        yield lambda name: _read_packed(archive, name)


def _names(place: Path) -> list[str]:
    if place.is_dir():
        return [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    try:
        with zipfile.ZipFile(place) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise UserError(f"{place}: a broken zip ({error}); download it again") from error


def _read_plain(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UnreadableError("too large for one slice")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be opened") from error


def _read_packed(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        # A member never gives more bytes than it declares.
        if archive.getinfo(name).file_size > _MOST_BYTES:
            raise UnreadableError("too large for one slice")
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise UnreadableError("broken or encrypted in the zip") from error
