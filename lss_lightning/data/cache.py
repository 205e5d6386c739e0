"""The pixel cache: slices are decoded once, by one process, and memory-mapped by every run that needs them.

A cache is a folder whose name is a hash of everything that determines its content: the paths, sizes and modification
times of the files, and how they are decoded. A changed file therefore leads to a new folder, and an existing cache is
always valid. It is written under a hidden name and renamed when complete, so an interrupted process never leaves an
incomplete cache.
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
from lss_lightning.data.parallel import track_progress
from lss_lightning.data.slices import ImageFile, Slice
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder, file_lock
from lss_lightning.labels import LabelSet

FORMAT = 3
"""Version of the decoding and storage. Increase it whenever either changes, so that older caches are not used."""

_log = logging.getLogger(__name__)

_PREFIX = "slices-"
_NAME = _PREFIX + 32 * "[0-9a-f]"


def load_cached_slices(
    slices: Sequence[Slice], channels: str, labels: LabelSet, third_channel: str, folder: Path
) -> list[LoadedSlice]:
    """Read many slices like :func:`~lss_lightning.data.loading.load_slices`, but decode them only once.

    If several processes need the same slices, one decodes them and the others wait. Building a cache deletes older
    caches that hold some of the same files, decoded in the same way; processes that have mapped one can still read it.

    Args:
        slices: The slices.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        labels: The classes whose codes the label files hold.
        third_channel: A key of :data:`~lss_lightning.data.composite.THIRD_CHANNELS`.
        folder: The folder of the caches (``paths.cache``); created if it does not exist.

    Returns:
        The slices in the given order, each at its own size. The arrays are read-only views of a mapped file.

    Raises:
        UserError: If a slice cannot be read, or the folder cannot be written or has too little space.
    """
    codes = list(labels.mask_colours or labels.codes)
    origin = _Origin.of(slices, {"channels": channels, "third": third_channel, "codes": codes})
    target = folder / f"{_PREFIX}{origin.key}"
    try:
        if (cached := _read_cache(target, slices)) is not None:
            return cached
        with _exclusive(folder):
            # Another process may have built the cache in the meantime.
            if (cached := _read_cache(target, slices)) is not None:
                return cached
            _remove_stale(folder, origin)
            _check_space(folder, len(slices), load_slice(slices[0], channels, labels, third_channel))
            decoded = iterate_slices(slices, channels, labels, third_channel)
            with atomic_folder(target) as draft:
                write_packed(draft, track_progress(decoded, "Decoding", len(slices)), origin.plain)
            return read_packed(target, slices)
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"paths.cache={folder}: cannot be used ({getattr(error, 'strerror', None) or error}); free disk space or "
            "make the folder writable, choose another paths.cache, or set paths.cache=null to decode into memory"
        ) from error


@dataclass(frozen=True)
class _Origin:
    """The inputs that determine the pixels of a cache.

    Attributes:
        recipe: How the files are decoded.
        slices: Field of view and files by role of each slice.
        files: Size and modification time of each file by absolute path; for an archive member, also its own size and
            CRC-32.
    """

    recipe: dict[str, Any]
    slices: list[tuple[float | None, dict[str, str]]]
    files: dict[str, list[int]]

    @classmethod
    def of(cls, slices: Sequence[Slice], recipe: dict[str, Any]) -> _Origin:
        files: dict[str, list[int]] = {}
        entries = []
        for slice_ in slices:
            roles = {}
            for role, file in {"label": slice_.label, **slice_.images}.items():
                roles[role], files[roles[role]] = _read_state(file)
            entries.append((slice_.field_of_view, roles))
        return cls({"format": FORMAT, **recipe}, entries, files)

    @property
    def key(self) -> str:
        """A hash of the recipe, slices and files, as 32 hexadecimal digits."""
        return blake2b(json.dumps([self.recipe, self.slices, self.files]).encode(), digest_size=16).hexdigest()

    @property
    def plain(self) -> dict[str, Any]:
        """The plain data that :meth:`replaces` needs to know about an older cache."""
        return {"recipe": self.recipe, "files": sorted(self.files)}

    def replaces(self, older: Any) -> bool:
        """Return whether an older cache holds some of the same files, decoded in the same way."""
        return older["recipe"] == self.recipe and not self.files.keys().isdisjoint(older["files"])


def _read_state(file: ImageFile) -> tuple[str, list[int]]:
    """Return a file's absolute path, size and modification time; for an archive member, also its size and CRC-32."""
    try:
        status = file.stat()
        state = [status.st_size, status.st_mtime_ns]
        if isinstance(file, ZipMember):
            return str(ZipMember(file.archive.absolute(), file.member)), [*state, *file.size_and_checksum()]
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}); restore it") from error
    return str(Path(str(file)).absolute()), state


def _read_cache(target: Path, slices: Sequence[Slice]) -> list[LoadedSlice] | None:
    try:
        return read_packed(target, slices)
    except FileNotFoundError:
        return None
    except BrokenPackError as error:
        _log.warning("decoding again, since the cache is broken: %s", error)
        return None


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, and log a message before waiting if another process holds it."""
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


def _remove_stale(folder: Path, origin: _Origin) -> None:
    """Delete incomplete and broken caches, and caches that a new cache replaces."""
    for path in folder.glob(f".{_NAME}.*.part"):
        shutil.rmtree(path)
    for path in folder.glob(_NAME):
        if not _is_unrelated(path, origin):
            # Rename the cache first, so that no process finds a half-deleted one. Windows refuses to rename a mapped
            # cache.
            with suppress(PermissionError):
                shutil.rmtree(path.rename(path.with_name(f".{path.name}.old.part")))


def _is_unrelated(cache: Path, origin: _Origin) -> bool:
    """Return whether a cache is intact and is not replaced by the new one."""
    try:
        return not origin.replaces(read_index(cache)["origin"])
    except (FileNotFoundError, BrokenPackError, KeyError, TypeError):
        return False


def _check_space(folder: Path, count: int, first: LoadedSlice) -> None:
    """Check that the disk has space for all slices, assuming that each is as large as the first.

    Raises:
        UserError: If the disk has too little space.
    """
    needed, free = count * (first.image.nbytes + first.label.nbytes), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"paths.cache={folder}: {count} slices take about {needed:,} bytes, and {free:,} are free; free disk "
            "space, choose another paths.cache, or set paths.cache=null to decode into memory"
        )
