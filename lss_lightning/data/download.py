"""Downloads from Mendeley Data: resumed where they broke off, checked before they get their name."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lss_lightning.errors import UserError
from lss_lightning.files import file_lock

API = "https://data.mendeley.com/public-api/datasets"
"""Mendeley's public API, which lists a data set's files."""

RETRIES = 3
TIMEOUT = 60.0
"""Seconds without an answer."""

_BLOCK = 2**20
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may differ the next time."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set on Mendeley Data.

    Attributes:
        dataset: The data set's id.
        name: The file's name.
        version: Of the data set.
    """

    dataset: str
    name: str
    version: int = 2

    @property
    def page(self) -> str:
        """The data set's page, for people."""
        return f"https://data.mendeley.com/datasets/{self.dataset}/{self.version}"


GROUND_TRUTH = RemoteFile("zbf6b4pttk", "Ground_Truth_Label.zip")
MRI = RemoteFile("k57fr854j2", "MRI_Data.zip")
SOURCE_CODE = RemoteFile("8cp2cp7km8", "Source_Code.zip")


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    api: str = API,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = TIMEOUT,
) -> Path:
    """Fetch a file into a folder, unless it is there.

    What has arrived lies beside it as ``<name>.part`` until its size and SHA-256, where the API states them, have been
    checked; a later call goes on with it if the server still has the same file. Of several processes one downloads.

    Args:
        remote: What to fetch.
        folder: Made if it does not exist.
        api: Address of an API of Mendeley's shape.
        sleep: Waits so many seconds; between the attempts 1, 2 and 4.
        timeout: Seconds without an answer after which an attempt has failed.

    Returns:
        The file.

    Raises:
        UserError: it cannot be had; the message says where a person finds it and where it belongs.
    """
    target = folder / remote.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / f".{remote.name}.lock"):
            if not target.exists():
                _Download(remote, folder, sleep, timeout).run(api)
    except _FinalError as error:
        raise UserError(
            f"{remote.name}: {error}; run the command again, or download the file from {remote.page} yourself and put "
            f"it into {folder.absolute()}"
        ) from error
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror or error}); make room or give rights there, or choose "
            f"another data.root ({remote.name} is at {remote.page})"
        ) from error
    return target


class _FinalError(Exception):
    """A download that failed, in words; trying again does not help."""


class _PassingError(Exception):
    """An attempt that failed, in words; another may not."""


@dataclass(frozen=True)
class _Version:
    """What tells one version of a file from another; None is unknown."""

    size: int | None
    sha256: str | None
    etag: str | None = None


class _Download:
    """One file on its way.

    ``<name>.part`` holds what has arrived, ``<name>.part.json`` the version it belongs to.
    """

    def __init__(self, remote: RemoteFile, folder: Path, sleep: Callable[[float], None], timeout: float) -> None:
        self.remote, self.folder, self.sleep, self.timeout = remote, folder, sleep, timeout
        self.part = folder / f"{remote.name}.part"
        self.record = folder / f"{remote.name}.part.json"

    def run(self, api: str) -> None:
        """Look the file up, fetch it, check it, name it."""
        url, stated = self._retried(lambda: self._look_up(api))
        self._keep_only(stated)
        self._refuse_full_disk(stated.size)
        self._retried(lambda: self._fetch(url, stated))
        self._verify(stated)
        self.part.replace(self.folder / self.remote.name)
        self.record.unlink(missing_ok=True)

    def _retried(self, attempt: Callable[[], Any]) -> Any:
        for number in range(RETRIES + 1):
            try:
                return attempt()
            except _PassingError as error:
                if number == RETRIES:
                    raise _FinalError(f"{error} ({RETRIES + 1} attempts)") from error
            self.sleep(2.0**number)
        raise AssertionError

    def _look_up(self, api: str) -> tuple[str, _Version]:
        """The file's address, and its size and SHA-256 where the API states them."""
        address = f"{api.rstrip('/')}/{self.remote.dataset}/files?version={self.remote.version}&folder_id=root"
        with self._open(address, {}) as answer:
            text = _received(answer.read, address)
        try:
            entries = {entry["filename"]: entry for entry in json.loads(text)}
        except (ValueError, TypeError, KeyError) as error:
            kind = answer.headers.get_content_type()
            raise _FinalError(f"{address} answers something else than a list of files ({kind})") from error
        if self.remote.name not in entries:
            raise _FinalError(f"{address} lists no such file, only {', '.join(map(str, entries)) or 'nothing'}")
        entry = entries[self.remote.name]
        details = entry.get("content_details")
        url = details.get("download_url") if isinstance(details, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise _FinalError(f"{address} states no address to download from ({url!r})")
        size = details.get("size", entry.get("size"))
        sha256 = details.get("sha256_hash")
        return url, _Version(
            size if isinstance(size, int) else None, sha256.lower() if isinstance(sha256, str) else None
        )

    def _keep_only(self, stated: _Version) -> None:
        """Remove what arrived unless it is of the version now stated, as far as that can be told."""
        known = self._known()
        if known is None or replace(known, etag=None) != stated or not (known.etag or known.sha256):
            self._remove()

    def _known(self) -> _Version | None:
        try:
            return _Version(**json.loads(self.record.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _remove(self) -> None:
        self.part.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def _arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _refuse_full_disk(self, size: int | None) -> None:
        missing, free = (size or 0) - self._arrived(), shutil.disk_usage(self.folder).free
        if missing > free:
            raise _FinalError(f"{missing:,} bytes are still to come, but {self.folder} has {free:,} free: make room")

    def _fetch(self, url: str, stated: _Version) -> None:
        """One attempt at what is still missing."""
        if stated.size is not None and self._arrived() >= stated.size:
            return  # whole; or too long, which the check will tell
        arrived, known = self._arrived(), self._known()
        etag = known.etag if known else None
        headers = {}
        if arrived:
            headers["Range"] = f"bytes={arrived}-"
            if etag:
                headers["If-Range"] = etag  # the whole file, should it be another by now
        try:
            answer = self._open(url, headers)
        except _RangeError as error:
            self._remove()
            raise _PassingError(f"{url} has less than the {arrived:,} bytes that had arrived") from error
        with answer:
            if answer.headers.get_content_type() == "text/html":
                raise _FinalError(f"{url} answers a web page, not the file")
            version = replace(stated, etag=_strong(answer.headers.get("ETag")))
            resumed = answer.status == 206
            if resumed and not (_starts_at(answer.headers, arrived) and version.etag == etag):
                self._remove()
                raise _PassingError(f"{url} resumes with something else than what was missing")
            if not resumed:
                arrived = 0
                self._remove()
                self._refuse_full_disk(stated.size)
            # First the record: a part without one is thrown away, a record without a part harms nothing.
            self.record.write_text(json.dumps(asdict(version)), encoding="utf-8")
            length = answer.headers.get("Content-Length")
            self._receive(answer, arrived, arrived + int(length) if length else stated.size)

    def _receive(self, answer: http.client.HTTPResponse, arrived: int, total: int | None) -> None:
        """Append an answer's body to the part; ``total`` is the size it then has, where known."""
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn()) as progress, self.part.open("ab") as sink:
            bar = progress.add_task(self.remote.name, total=total, completed=arrived)
            while block := _received(lambda: answer.read(_BLOCK), self.remote.name):
                sink.write(block)
                arrived += len(block)
                progress.update(bar, completed=arrived)
        if total is not None and arrived < total:
            raise _PassingError(f"the connection broke after {arrived:,} of {total:,} bytes")

    def _verify(self, stated: _Version) -> None:
        """Hold what arrived against size and SHA-256; what is wrong is removed, since nothing can be made of it."""
        arrived = self._arrived()
        if stated.size is not None and arrived != stated.size:
            self._remove()
            raise _FinalError(f"{arrived:,} bytes arrived where {stated.size:,} are stated")
        if stated.sha256 is not None:
            with self.part.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != stated.sha256:
                self._remove()
                raise _FinalError(f"what arrived has SHA-256 {found} where {stated.sha256} is stated")

    def _open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers={"User-Agent": "lss_lightning", **headers})
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                raise _RangeError from error
            kind = _PassingError if error.code in _PASSING else _FinalError
            raise kind(f"{url} answers {error.code} ({error.reason})") from error
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(f"{url} cannot be reached ({getattr(error, 'reason', error)})") from error
        return answer


class _RangeError(Exception):
    """The server has nothing from the asked byte on (416)."""


def _received(read: Callable[[], bytes], what: str) -> bytes:
    try:
        return read()
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"{what}: the connection broke ({error})") from error


def _strong(etag: str | None) -> str | None:
    """An ETag that vouches for every byte; a weak one does not (RFC 9110, 8.8.1)."""
    return None if etag is None or etag.startswith("W/") else etag


def _starts_at(headers: Message, byte: int) -> bool:
    return headers.get("Content-Range", "").startswith(f"bytes {byte}-")
