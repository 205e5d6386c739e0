"""Access to the raw data as downloaded: the folder ``01_MRI_Data`` or the zip file that contains it."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from lss_lightning.data.archive import translate_separators
from lss_lightning.data.walk import list_files
from lss_lightning.errors import UserError

RAW_FOLDER = "01_MRI_Data"
"""Name of the folder with the raw DICOM studies."""

RAW_ZIP = "MRI_Data.zip"
"""Name of the zip file with the raw DICOM studies."""

FileReader: TypeAlias = Callable[[str], bytes]
"""A function that returns the content of a file, given its name, or raises :class:`UnreadableError`."""

_PATIENT = re.compile(r"\d{4}")
_SUFFIXES = (".ima", ".dcm")
# An axial slice takes about 0.2 MB.
_MAX_BYTES = 64 * 2**20


class UnreadableError(Exception):
    """A single file that cannot be read."""


def find_raw_data(root: Path) -> Path:
    """Return the path of the raw data: ``root`` itself, or the folder ``01_MRI_Data`` or the zip file in it.

    The folder ``01_MRI_Data`` takes precedence over the zip.

    Raises:
        UserError: If none of them exists.
    """
    root = root.expanduser()
    for path in (root / RAW_FOLDER, root, root / RAW_ZIP):
        if (path.name == RAW_FOLDER and path.is_dir()) or zipfile.is_zipfile(path):
            return path
    problem = "neither a zip nor a folder that holds the raw data" if root.exists() else "no such file or folder"
    raise UserError(
        f"{root}: {problem}; give {RAW_FOLDER}, {RAW_ZIP} (Mendeley Data k57fr854j2), or the folder that contains "
        "either of them"
    )


def natural_sort_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts 2 before 10, to match the numbering of the data set's slices."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def find_patient_files(raw_data: Path) -> dict[str, list[str]]:
    """List the DICOM files of every patient.

    Args:
        raw_data: The folder or zip, as returned by :func:`find_raw_data`.

    Returns:
        File names in natural order (2 before 10) by patient. A patient is a folder whose name has four digits.

    Raises:
        UserError: If the zip is broken.
    """
    files: dict[str, list[str]] = {}
    for name in _list_names(raw_data):
        path = PurePosixPath(name)
        folders = path.parts[:-1]
        start = folders.index(RAW_FOLDER) + 1 if RAW_FOLDER in folders else 0
        numbered = len(folders) > start and _PATIENT.fullmatch(folders[start])
        if numbered and path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
            files.setdefault(folders[start], []).append(name)
    return {patient: sorted(names, key=natural_sort_key) for patient, names in files.items()}


@contextmanager
def open_reader(root: Path) -> Iterator[FileReader]:
    """Open a folder or a zip and yield a function that reads its files by name."""
    if root.is_dir():
        yield lambda name: _read_from_folder(root / name)
        return
    with zipfile.ZipFile(root) as archive:
        members = {translate_separators(info.filename): info for info in archive.infolist()}
        yield lambda name: _read_from_zip(archive, members[name])


def _list_names(root: Path) -> list[str]:
    if root.is_dir():
        return [path.relative_to(root).as_posix() for path in list_files(root) if path.is_file()]
    try:
        with zipfile.ZipFile(root) as archive:
            return [translate_separators(name) for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise UserError(f"{root}: broken zip ({error}); download it again") from error


def _read_from_folder(path: Path) -> bytes:
    try:
        _check_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be opened") from error


def _read_from_zip(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # A member never unpacks to more bytes than it declares.
    _check_size(member.file_size)
    if member.flag_bits & 1:
        raise UnreadableError("encrypted in the zip; create the zip again without a password")
    try:
        return archive.read(member)
    except NotImplementedError as error:
        raise UnreadableError(f"packed in the zip with an unknown method ({error}); create the zip again") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UnreadableError("broken in the zip; copy the zip again") from error


def _check_size(size: int) -> None:
    if size > _MAX_BYTES:
        raise UnreadableError(
            f"{size / 2**20:.0f} MB, more than the {_MAX_BYTES // 2**20} MB of a single slice; export each image as a "
            "file"
        )
