"""A local server with Mendeley's API, for tests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lss_lightning.data.download import RemoteFile

REMOTE = RemoteFile("abc123", "Data.zip", version=2)
CONTENT = bytes(range(256)) * 20_000  # 5 MB: several blocks
FILE = "/public-files/datasets/abc123/files/uuid/file_downloaded"


def list_address(remote: RemoteFile) -> str:
    return f"/public-api/datasets/{remote.dataset}/files?version=2&folder_id=root"


LIST = list_address(REMOTE)


@dataclass
class Server:
    """The state of a local server with Mendeley's API, and the faults that a test sets.

    Each request for the file takes one of `faults`, a function that answers instead of the usual handler.
    """

    content: bytes = CONTENT
    names: dict[str, str] = field(default_factory=lambda: {LIST: REMOTE.name})
    etag: str | None = '"one"'
    ranges: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    listing: Callable[[Handler], None] | None = None
    faults: list[Callable[[Handler], None]] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""

    @property
    def api(self) -> str:
        return f"{self.address}/public-api/datasets"

    def entries(self, name: str) -> list[dict[str, Any]]:
        stated = {
            "download_url": self.address + FILE,
            "sha256_hash": hashlib.sha256(self.content).hexdigest(),
            "size": len(self.content),
        }
        details = {key: value for key, value in {**stated, **self.details}.items() if value is not None}
        other = {"filename": "Other.zip", "content_details": {"download_url": f"{self.address}/other"}}
        return [other, {"filename": name, "size": details.get("size"), "content_details": details}]


class Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        self.state.requests.append((self.path, self.headers.get("Range")))
        if self.path in self.state.names:
            (self.state.listing or Handler.send_list)(self)
        elif self.path == FILE:
            (self.state.faults.pop(0) if self.state.faults else Handler.send_file)(self)
        else:
            self.send(b"", 404)

    def send_list(self) -> None:
        self.send(json.dumps(self.state.entries(self.state.names[self.path])).encode())

    def send_file(self) -> None:
        content, byte_range, condition = self.state.content, self.headers.get("Range"), self.headers.get("If-Range")
        headers: dict[str, Any] = {"ETag": self.state.etag} if self.state.etag else {}
        if not byte_range or not self.state.ranges or (condition and condition != self.state.etag):
            self.send(content, **headers)
            return
        start = int(byte_range.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send(b"", 416)
            return
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(content[start:], 206, **headers)

    def send(self, body: bytes, status: int = 200, kind: str = "application/octet-stream", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)

    def break_off(self, after: int = 2_000_000) -> None:
        """Announce the full length, send a part of the body, and close the connection."""
        stream = self.wfile
        self.wfile = TruncatedStream(stream, after)  # type: ignore[assignment]
        self.send_file()
        self.wfile = stream

    def log_message(self, *args: Any) -> None:
        pass


class TruncatedStream:
    """A stream that writes the headers and then a number of bytes of the body."""

    def __init__(self, stream: Any, after: int) -> None:
        self.stream, self.after = stream, after

    def write(self, data: bytes) -> None:
        self.stream.write(data if len(data) < 1000 else data[: self.after])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server; a test sets its content and its faults."""
    state = Server()
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        running.shutdown()
        thread.join()
