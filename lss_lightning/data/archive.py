"""Zip archives: images read where they lie, and unpacking that trusts nothing."""

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

LARGEST_IMAGE = 2**28
"""Bytes that one image in an archive may declare; an 8-bit slice has some 100,000."""

LARGEST_RATIO = 100
"""Bytes that an archive may declare for each of its own; MR images shrink by a factor of 2 to 4."""

_BLOCK = 2**20

_own = threading.local()


@dataclass(frozen=True)
class ZipMember:
    """A file in a zip archive, with as much of a ``Path`` as an image's reader needs.

    Threads and forked processes may read at the same time: each thread of each process opens the archive for itself.

    Attributes:
        archive: The zip file.
        member: The file's path within it, parted by ``/``.
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
        """The file's name without folders and suffix."""
        return PurePosixPath(self.member).stem

    def stat(self) -> os.stat_result:
        """Size and times of the archive: a member changes only with it."""
        return self.archive.stat()

    def size_and_checksum(self) -> tuple[int, int]:
        """The member's own size in bytes, and its CRC-32, as the archive states them.

        Raises:
            FileNotFoundError: the archive is gone, or has no such member.
            UserError: the archive is broken.
        """
        _, info = self._opened()
        return info.file_size, info.CRC

    def read_bytes(self) -> bytes:
        """Read the whole file.

        Raises:
            FileNotFoundError: the archive is gone, or has no such member.
            UserError: the archive or the member is broken, encrypted or too large for an image.
        """
        archive, info = self._opened()
        if info.file_size > LARGEST_IMAGE:
            raise UserError(f"{self}: declares {info.file_size:,} bytes; an image has at most {LARGEST_IMAGE:,}")
        with _readable(self), archive.open(info) as stream:
            return stream.read()

    def _opened(self) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
        archive = _thread_s_own(self.archive)
        try:
            return archive, archive.getinfo(self.member)
        except KeyError as error:
            raise FileNotFoundError(str(self)) from error


def zip_top(archive: Path) -> zipfile.Path:
    """The top folder of a zip archive, to look around in.

    Raises:
        UserError: the file is no zip archive, or not all of one.
    """
    return zipfile.Path(_open(archive))


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip archive into a new folder, which appears whole or not at all.

    A single folder at the archive's top that holds everything is left out: its contents land in ``target``.

    Args:
        archive: The zip file.
        target: The folder to make; its parent must exist.

    Raises:
        UserError: ``target`` exists and is not empty; the archive is broken, holds a member that would land outside, a
            link, an encrypted member or the same name twice, declares more than the disk has room for or than its own
            size makes credible, or holds more than it declares; or the disk refuses.
    """
    with _open(archive) as opened:
        members = opened.infolist()
        _refuse_unsafe(archive, members)
        _refuse_too_large(archive, members, target.parent)
        try:
            with atomic_folder(target) as draft:
                for info in members:
                    _extract(opened, info, archive, draft)
                _lift(draft)
        except OSError as error:
            raise UserError(
                f"{archive}: cannot be unpacked into {target} ({error.strerror or error}); make room or give rights "
                "there, or unpack it elsewhere yourself"
            ) from error


def _refuse_unsafe(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for info in members:
        # zipfile cuts a name at a zero byte, and on Windows turns its backslashes round; what was packed counts.
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.startswith("/") or PureWindowsPath(name).anchor or "\\" in name or "\0" in name:
            fault = "an absolute or foreign path"
        elif ".." in PurePosixPath(name).parts:
            fault = "a path with .."
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            fault = "a link or device"
        elif info.flag_bits & 1:
            fault = "encrypted"
        elif name in seen:
            fault = "held twice"
        else:
            seen.add(name)
            continue
        raise UserError(f"{archive}: member {name!r} is {fault}; nothing was unpacked: download the archive anew")


def _refuse_too_large(archive: Path, members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    declared, size = sum(info.file_size for info in members), archive.stat().st_size
    if declared > LARGEST_RATIO * size:
        raise UserError(
            f"{archive}: declares {declared:,} bytes in a file of {size:,}, more than {LARGEST_RATIO} times; nothing "
            "was unpacked: download the archive anew"
        )
    free = shutil.disk_usage(folder).free
    if declared > free:
        raise UserError(f"{archive}: unpacks to {declared:,} bytes, but {folder} has {free:,} free; make room there")


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path, draft: Path) -> None:
    path = draft / info.filename
    if info.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # zipfile stops at the declared size and then compares the checksum: a member that holds more ends as a broken one.
    # Mode x, because two names are one on a disk that does not tell upper from lower case.
    with _readable(ZipMember(archive, info.filename)), opened.open(info) as source, path.open("xb") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)


def _lift(folder: Path) -> None:
    """Where a folder holds but one folder, put that one's contents in its place."""
    inner = list(folder.iterdir())
    if len(inner) == 1 and inner[0].is_dir():
        only = inner[0].rename(folder / ".only")  # its own name may be that of something in it
        for path in only.iterdir():
            path.rename(folder / path.name)
        only.rmdir()


@contextmanager
def _readable(member: ZipMember) -> Iterator[None]:
    """Turn what zipfile raises over a member's content into a user's error."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{member}: broken ({error}); download or copy the archive anew") from error
    except RuntimeError as error:  # encrypted, or compressed by an unknown method
        raise UserError(f"{member}: cannot be read ({error}); pack the archive anew, without encryption") from error


def _open(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise UserError(f"{archive}: no zip archive, or not all of one ({error}); download or copy it anew") from error


def _thread_s_own(archive: Path) -> zipfile.ZipFile:
    """This thread's handle; a forked child inherits it, but must not share its file position with the parent."""
    now = archive.stat()
    state = (os.getpid(), archive, now.st_size, now.st_mtime_ns)
    if getattr(_own, "state", None) != state:
        _own.handle, _own.state = _open(archive), state
    return _own.handle
