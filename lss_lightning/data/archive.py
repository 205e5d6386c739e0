"""Reading images from zip archives, and unpacking untrusted archives safely."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder

MAX_IMAGE_BYTES = 2**28
"""Largest declared size in bytes of an image in an archive; an 8-bit slice has about 100,000."""

MAX_COMPRESSION_RATIO = 100
"""Largest ratio of an archive's declared size to its file size; MR images compress by a factor of 2 to 4."""

_BLOCK = 2**20

_thread_cache = threading.local()


@dataclass(frozen=True)
class ZipMember:
    """A file in a zip archive, with the methods of ``Path`` that are needed to read an image.

    Threads and forked processes may read at the same time: each thread of each process opens the archive itself.

    Attributes:
        archive: The zip file.
        member: Path of the file within the archive, with ``/`` as the separator.
    """

    archive: Path
    member: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.member}"

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return PurePosixPath(self.member).name

    @property
    def stem(self) -> str:
        """The file's name without folders or suffix."""
        return PurePosixPath(self.member).stem

    def stat(self) -> os.stat_result:
        """Return the size and times of the archive, since a member changes only if the archive does."""
        return self.archive.stat()

    def size_and_checksum(self) -> tuple[int, int]:
        """Return the member's size in bytes and its CRC-32, as stated by the archive.

        Raises:
            FileNotFoundError: If the archive does not exist or has no such member.
            UserError: If the archive is broken.
        """
        _, info = self._open()
        return info.file_size, info.CRC

    def read_bytes(self) -> bytes:
        """Read the file.

        Raises:
            FileNotFoundError: If the archive does not exist or has no such member.
            UserError: If the archive or the member is broken, encrypted or too large for an image.
        """
        archive, info = self._open()
        if info.file_size > MAX_IMAGE_BYTES:
            raise UserError(f"{self}: declares {info.file_size:,} bytes; an image has at most {MAX_IMAGE_BYTES:,}")
        with _as_user_errors(self), archive.open(info) as stream:
            return stream.read()

    def _open(self) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
        archive = _open_in_thread(self.archive)
        try:
            return archive, archive.getinfo(self.member)
        except KeyError as error:
            raise FileNotFoundError(str(self)) from error


def translate_separators(name: str) -> str:
    """Replace the backslashes that some Windows programs write in a member's name with the zip format's ``/``."""
    return name.replace("\\", "/")


def open_zip_root(archive: Path) -> zipfile.Path:
    """Open a zip archive and return its top folder.

    Raises:
        UserError: If the file is not a zip archive, or is only part of one.
    """
    return zipfile.Path(_open_archive(archive))


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip archive into a new folder, atomically.

    If a single top-level folder holds everything, its contents go directly into ``target``.

    Args:
        archive: The zip file.
        target: The folder to create. Its parent must exist.

    Raises:
        UserError: If ``target`` exists and is not empty; if the archive is broken, or contains a member with a path
            outside the archive, a link, an encrypted member or two members with the same name (backslashes count as
            separators); if its declared size exceeds the free disk space or is implausible for the size of the archive,
            or if it contains more than it declares; or if writing fails.
    """
    with _open_archive(archive) as opened:
        members = opened.infolist()
        _check_members(archive, members)
        _check_size(archive, members, target.parent)
        try:
            with atomic_folder(target) as draft:
                for info in members:
                    _extract(opened, info, archive, draft)
                _remove_outer_folder(draft)
        except OSError as error:
            raise UserError(
                f"{archive}: cannot be unpacked into {target} ({error.strerror or error}); free disk space or make "
                "the folder writable, or unpack the archive elsewhere yourself"
            ) from error


def _check_members(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for info in members:
        # zipfile truncates a name at a zero byte, so check the name as stored in the archive.
        name = translate_separators(info.orig_filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.startswith("/") or PureWindowsPath(name).anchor:
            problem = "has an absolute path"
        elif "\0" in name:
            problem = "has a path with a zero byte"
        elif ".." in PurePosixPath(name).parts:
            problem = "has a path with .."
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = "is a link or device"
        elif info.flag_bits & 1:
            problem = "is encrypted"
        elif name in seen:
            problem = "occurs twice"
        else:
            seen.add(name)
            continue
        raise UserError(
            f"{archive}: member {info.orig_filename!r} {problem}; nothing was unpacked: download the archive again"
        )


def _check_size(archive: Path, members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    declared, size = sum(info.file_size for info in members), archive.stat().st_size
    if declared > MAX_COMPRESSION_RATIO * size:
        raise UserError(
            f"{archive}: declares {declared:,} bytes in a file of {size:,}, more than {MAX_COMPRESSION_RATIO} times; "
            "nothing was unpacked: download the archive again"
        )
    free = shutil.disk_usage(folder).free
    if declared > free:
        raise UserError(f"{archive}: unpacks to {declared:,} bytes, but {folder} has {free:,} free; free disk space")


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path, draft: Path) -> None:
    path = draft / info.filename
    if info.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # zipfile stops at the declared size and then compares the checksum, so a member that holds more counts as broken.
    # Mode x is used because two names may refer to the same file on a case-insensitive file system.
    with _as_user_errors(ZipMember(archive, info.filename)), opened.open(info) as source, path.open("xb") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)


def _remove_outer_folder(folder: Path) -> None:
    """Replace the only entry of a folder with its contents if that entry is itself a folder."""
    inner = list(folder.iterdir())
    if len(inner) == 1 and inner[0].is_dir():
        only = inner[0].rename(folder / ".only")  # its contents may include an entry of the same name
        for path in only.iterdir():
            path.rename(folder / path.name)
        only.rmdir()


@contextmanager
def _as_user_errors(member: ZipMember) -> Iterator[None]:
    """Convert zipfile's exceptions about a member's content to UserError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{member}: broken ({error}); download or copy the archive again") from error
    except RuntimeError as error:  # encrypted, or compressed with an unknown method
        raise UserError(f"{member}: cannot be read ({error}); pack the archive again without encryption") from error


def _open_archive(archive: Path) -> zipfile.ZipFile:
    try:
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise UserError(
            f"{archive}: not a zip archive, or only part of one ({error}); download or copy it again"
        ) from error
    for info in opened.filelist:
        info.filename = translate_separators(info.filename)
    opened.NameToInfo = {info.filename: info for info in opened.filelist}
    return opened


def _open_in_thread(archive: Path) -> zipfile.ZipFile:
    """Return this thread's handle of an archive, reopened after a fork so that no file position is shared."""
    status = archive.stat()
    state = (os.getpid(), archive, status.st_size, status.st_mtime_ns)
    if getattr(_thread_cache, "state", None) != state:
        _thread_cache.handle, _thread_cache.state = _open_archive(archive), state
    return _thread_cache.handle
