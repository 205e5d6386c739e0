"""Downloads from Mendeley Data, resumed after interruptions and verified before use."""

from __future__ import annotations

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
from lss_lightning.files import file_lock, sha256, write_json

MENDELEY_API = "https://data.mendeley.com/public-api/datasets"
"""Mendeley's public API, which lists the files of a data set."""

RETRIES = 3
TIMEOUT = 60.0
"""Seconds without an answer after which an attempt fails."""

_BLOCK = 2**20
_RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may change if the request is repeated."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set on Mendeley Data.

    Attributes:
        dataset: Id of the data set.
        name: Name of the file.
        version: Version of the data set.
    """

    dataset: str
    name: str
    version: int = 2

    @property
    def page(self) -> str:
        """The data set's web page."""
        return f"https://data.mendeley.com/datasets/{self.dataset}/{self.version}"


GROUND_TRUTH = RemoteFile("zbf6b4pttk", "Ground_Truth_Label.zip")
MRI = RemoteFile("k57fr854j2", "MRI_Data.zip")
SOURCE_CODE = RemoteFile("8cp2cp7km8", "Source_Code.zip")


def download(
    remote: RemoteFile,
    folder: Path,
    *,
    api: str = MENDELEY_API,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a file into a folder, unless the folder already contains it.

    The content is kept in ``<name>.part`` until its size and SHA-256, if the API states them, have been verified. A
    later call resumes the download if the server still has the same file. If several processes call this function, one
    of them downloads the file and the others wait.

    Args:
        remote: The file.
        folder: The target folder; created if it does not exist.
        api: Address of Mendeley's API, or of a mirror with the same API.
        sleep: Function that waits for a number of seconds; called with 1, 2 and 4 between attempts.
        timeout: Seconds without an answer after which an attempt fails.

    Returns:
        Path of the downloaded file.

    Raises:
        UserError: If the download fails. The message names the web page of the file and the folder in which it belongs.
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
            f"{target}: cannot be written ({error.strerror or error}); free disk space or make the folder writable, or "
            f"choose another data.root ({remote.name} is at {remote.page})"
        ) from error
    return target


class _FinalError(Exception):
    """A failure that retrying cannot fix."""


class _TransientError(Exception):
    """A failure that retrying may fix."""


class _RangeError(Exception):
    """A failure because the server has no content beyond the requested byte (HTTP 416)."""


@dataclass(frozen=True)
class _Version:
    """The properties that identify a version of a file; None means unknown."""

    size: int | None
    sha256: str | None
    etag: str | None = None


class _Download:
    """The download of one file.

    ``<name>.part`` holds the content received so far, and ``<name>.part.json`` the version to which it belongs.
    """

    def __init__(self, remote: RemoteFile, folder: Path, sleep: Callable[[float], None], timeout: float) -> None:
        self.remote, self.folder, self.sleep, self.timeout = remote, folder, sleep, timeout
        self.part = folder / f"{remote.name}.part"
        self.record = folder / f"{remote.name}.part.json"

    def run(self, api: str) -> None:
        """Look the file up, fetch it, verify it and give it its final name."""
        url, stated = self._retry(lambda: self._look_up(api))
        self._discard_unless(stated)
        self._check_space(stated.size)
        self._retry(lambda: self._fetch(url, stated))
        self._verify(stated)
        self.part.replace(self.folder / self.remote.name)
        self.record.unlink(missing_ok=True)

    def _retry(self, attempt: Callable[[], Any]) -> Any:
        for number in range(RETRIES + 1):
            try:
                return attempt()
            except _TransientError as error:
                if number == RETRIES:
                    raise _FinalError(f"{error} ({RETRIES + 1} attempts)") from error
            self.sleep(2.0**number)
        raise AssertionError

    def _look_up(self, api: str) -> tuple[str, _Version]:
        """Return the file's address, and the size and SHA-256 that the API states."""
        address = f"{api.rstrip('/')}/{self.remote.dataset}/files?version={self.remote.version}&folder_id=root"
        with self._open(address, {}) as answer:
            text = _receive(answer.read, address)
        try:
            entries = {entry["filename"]: entry for entry in json.loads(text)}
        except (ValueError, TypeError, KeyError) as error:
            content_type = answer.headers.get_content_type()
            raise _FinalError(f"{address} returns no list of files ({content_type})") from error
        if self.remote.name not in entries:
            raise _FinalError(f"{address} lists no such file, only {', '.join(map(str, entries)) or 'nothing'}")
        entry = entries[self.remote.name]
        details = entry.get("content_details")
        url = details.get("download_url") if isinstance(details, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise _FinalError(f"{address} states no address to download from ({url!r})")
        size, digest = details.get("size", entry.get("size")), details.get("sha256_hash")
        return url, _Version(
            size if isinstance(size, int) else None, digest.lower() if isinstance(digest, str) else None
        )

    def _discard_unless(self, stated: _Version) -> None:
        """Remove the received content unless it is known to belong to the stated version."""
        recorded = self._read_record()
        if recorded is None or replace(recorded, etag=None) != stated or not (recorded.etag or recorded.sha256):
            self._discard()

    def _read_record(self) -> _Version | None:
        try:
            return _Version(**json.loads(self.record.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def _received_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _check_space(self, size: int | None) -> None:
        missing, free = (size or 0) - self._received_size(), shutil.disk_usage(self.folder).free
        if missing > free:
            raise _FinalError(f"{missing:,} bytes are missing, but {self.folder} has {free:,} free: free disk space")

    def _fetch(self, url: str, stated: _Version) -> None:
        """Make one attempt to fetch the missing content."""
        if stated.size is not None and self._received_size() >= stated.size:
            return  # complete; or too long, which the verification reports
        received, recorded = self._received_size(), self._read_record()
        etag = recorded.etag if recorded else None
        headers = {}
        if received:
            headers["Range"] = f"bytes={received}-"
            if etag:
                headers["If-Range"] = etag  # the server sends the whole file if it has changed
        try:
            answer = self._open(url, headers)
        except _RangeError as error:
            self._discard()
            raise _TransientError(f"{url} has fewer than the {received:,} bytes already received") from error
        with answer:
            if answer.headers.get_content_type() == "text/html":
                raise _FinalError(f"{url} returns a web page, not the file")
            version = replace(stated, etag=_strong_etag(answer.headers.get("ETag")))
            is_resumed = answer.status == 206
            if is_resumed and not (_starts_at(answer.headers, received) and version.etag == etag):
                self._discard()
                raise _TransientError(f"{url} does not resume at the requested byte")
            if not is_resumed:
                received = 0
                self._discard()
                self._check_space(stated.size)
            # Write the record first: content without a record is discarded, but a record without content is harmless.
            write_json(self.record, asdict(version))
            length = answer.headers.get("Content-Length")
            self._append(answer, received, received + int(length) if length else stated.size)

    def _append(self, answer: http.client.HTTPResponse, received: int, total: int | None) -> None:
        """Append the body of a response to the content; ``total`` is the resulting size, or None if unknown."""
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
            bar = progress.add_task(self.remote.name, total=total, completed=received)
            while block := _receive(lambda: answer.read(_BLOCK), self.remote.name):
                sink.write(block)
                received += len(block)
                progress.update(bar, completed=received)
        if total is not None and received < total:
            raise _TransientError(f"the connection broke after {received:,} of {total:,} bytes")

    def _verify(self, stated: _Version) -> None:
        """Check the size and SHA-256 of the content, and discard wrong content, which cannot be completed."""
        received = self._received_size()
        if stated.size is not None and received != stated.size:
            self._discard()
            raise _FinalError(f"{received:,} bytes received instead of the stated {stated.size:,}")
        if stated.sha256 is not None and (digest := sha256(self.part)) != stated.sha256:
            self._discard()
            raise _FinalError(f"the received file has SHA-256 {digest} instead of the stated {stated.sha256}")

    def _open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers={"User-Agent": "lss_lightning", **headers})
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                raise _RangeError from error
            kind = _TransientError if error.code in _RETRIED_STATUSES else _FinalError
            raise kind(f"{url} answers {error.code} ({error.reason})") from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(f"{url} cannot be reached ({getattr(error, 'reason', error)})") from error
        return answer


def _receive(read: Callable[[], bytes], source: str) -> bytes:
    try:
        return read()
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"{source}: the connection broke ({error})") from error


def _strong_etag(etag: str | None) -> str | None:
    """Return an ETag, or None if it is weak and so does not guarantee byte-for-byte equality (RFC 9110, 8.8.1)."""
    return None if etag is None or etag.startswith("W/") else etag


def _starts_at(headers: Message, byte: int) -> bool:
    return headers.get("Content-Range", "").startswith(f"bytes {byte}-")
