"""The pixel cache: slices decoded once, by one process, and mapped into memory by every run that needs them.

A cache is a folder named after all that determines its content: the files' paths, sizes and modification times, and
how they are decoded. So a changed file leads to another folder, and a cache that is there is right. It is drafted under
a hidden name and renamed when complete: whatever ends a process, nothing unfinished is ever taken for a cache.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lss_lightning.data.archive import ZipMember
from lss_lightning.data.loading import LoadedSlice, iterate_slices, load_slice
from lss_lightning.data.packed import BrokenPackError, read_index, read_packed, write_packed
from lss_lightning.data.parallel import progress
from lss_lightning.data.slices import ImageFile, Slice
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder, file_lock
from lss_lightning.labels import LabelSet

FORMAT = 2
"""Raise it with any change of what files are decoded to, or of how that is stored: older caches then no longer fit."""

_log = logging.getLogger(__name__)

_PREFIX = "slices-"
_NAME = _PREFIX + 32 * "[0-9a-f]"


def cached_slices(
    pieces: Sequence[Slice], channels: str, labels: LabelSet, third: str, folder: Path
) -> list[LoadedSlice]:
    """Read many slices as :func:`~lss_lightning.data.loading.load_slices` does, but decode them only once.

    Of several processes that need the same, one decodes and the others wait. Caches that hold some of the same files,
    decoded in the same way, are deleted when a new one is built; who has mapped one goes on reading it.

    Args:
        pieces: The slices.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        labels: The classes whose codes the label files hold.
        third: A key of :data:`~lss_lightning.data.composite.THIRD`.
        folder: Holds the caches (``paths.cache``); made if it does not exist.

    Returns:
        The slices in their order, each at its own size; the arrays are views of a mapped file and cannot be written to.

    Raises:
        UserError: a slice cannot be read, or the folder cannot be written or has no room.
    """
    origin = _Origin.of(pieces, {"channels": channels, "third": third, "codes": list(labels.codes)})
    target = folder / f"{_PREFIX}{origin.key}"
    try:
        if (slices := _find(target, pieces)) is not None:
            return slices
        with _alone(folder):
            # Another process may just have built it.
            if (slices := _find(target, pieces)) is not None:
                return slices
            _clear(folder, origin)
            _refuse_too_large(folder, pieces, load_slice(pieces[0], channels, labels, third))
            decoded = iterate_slices(pieces, channels, labels, third)
            with atomic_folder(target) as draft:
                write_packed(draft, progress(decoded, "Decoding", len(pieces)), origin.plain)
            return read_packed(target, pieces)
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"paths.cache={folder}: cannot be used ({getattr(error, 'strerror', None) or error}); make room or give "
            "rights there, choose another paths.cache, or paths.cache=null to decode into memory"
        ) from error


@dataclass(frozen=True)
class _Origin:
    """What determines the pixels of a cache.

    Attributes:
        recipe: How the files are decoded.
        slices: Field of view, and files by role, of each slice.
        files: What tells whether a file has changed, by its absolute path.
    """

    recipe: dict[str, Any]
    slices: list[tuple[float | None, dict[str, str]]]
    files: dict[str, list[int]]

    @classmethod
    def of(cls, pieces: Sequence[Slice], recipe: dict[str, Any]) -> _Origin:
        files: dict[str, list[int]] = {}
        slices = []
        for piece in pieces:
            roles = {}
            for role, file in {"label": piece.label, **piece.images}.items():
                roles[role], state = _state(file)
                files[roles[role]] = state
            slices.append((piece.field_of_view, roles))
        return cls({"format": FORMAT, **recipe}, slices, files)

    @property
    def key(self) -> str:
        """32 hexadecimal digits."""
        return blake2b(json.dumps([self.recipe, self.slices, self.files]).encode(), digest_size=16).hexdigest()

    @property
    def plain(self) -> dict[str, Any]:
        """What :meth:`replaces` needs to know of an older cache."""
        return {"recipe": self.recipe, "files": sorted(self.files)}

    def replaces(self, older: Any) -> bool:
        """Whether it holds some of the same files, decoded in the same way."""
        return older["recipe"] == self.recipe and not self.files.keys().isdisjoint(older["files"])


def _state(file: ImageFile) -> tuple[str, list[int]]:
    """A file's absolute path, and its size and modification time; for one in an archive the archive's, and its own."""
    try:
        status = file.stat()
        state = [status.st_size, status.st_mtime_ns]
        if isinstance(file, ZipMember):
            return str(ZipMember(file.archive.absolute(), file.member)), [*state, *file.size_and_checksum()]
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}); restore it") from error
    return str(Path(str(file)).absolute()), state


def _find(target: Path, pieces: Sequence[Slice]) -> list[LoadedSlice] | None:
    """The slices of a cache, or None where there is none that can be used."""
    try:
        return read_packed(target, pieces)
    except FileNotFoundError:
        return None
    except BrokenPackError as error:
        _log.warning("decoding again, the cache is broken: %s", error)
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the one process that builds in a folder; wait while there is another."""
    from filelock import Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = file_lock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.info("waiting for %s: another process decodes into it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clear(folder: Path, origin: _Origin) -> None:
    """Delete what builders that were killed have left, broken caches, and those that a new one replaces."""
    for path in folder.glob(f".{_NAME}.*.part"):
        shutil.rmtree(path)
    for path in folder.glob(_NAME):
        if not _is_other(path, origin):
            # Renamed first, so that nobody finds one half deleted. Windows refuses that while it is mapped.
            with suppress(PermissionError):
                shutil.rmtree(path.rename(path.with_name(f".{path.name}.old.part")))


def _is_other(cache: Path, origin: _Origin) -> bool:
    """Whether it is a cache, and of other data."""
    try:
        return not origin.replaces(read_index(cache)["origin"])
    except (FileNotFoundError, BrokenPackError, KeyError, TypeError):
        return False


def _refuse_too_large(folder: Path, pieces: Sequence[Slice], first: LoadedSlice) -> None:
    """Refuse to fill the disk, judged by the first slice.

    Raises:
        UserError: there is no room for all.
    """
    needed, free = len(pieces) * (first.image.nbytes + first.label.nbytes), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"paths.cache={folder}: {len(pieces)} slices take about {needed:,} bytes, and {free:,} are free; make room "
            "there, choose another paths.cache, or paths.cache=null to decode into memory"
        )
