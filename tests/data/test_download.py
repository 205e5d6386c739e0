from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lss_lightning.data import download as module
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.alkafri_layout import FINAL_FOLDER
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.download import GROUND_TRUTH, MRI, SOURCE_CODE, download
from lss_lightning.data.splits.fractions import PatientSplit
from lss_lightning.errors import UserError
from tests.data.archives import pack
from tests.data.mendeley import CONTENT, FILE, LIST, REMOTE, Handler, Server, list_address, serve


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serve() as state:
        yield state


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetch(server, tmp_path, waits) -> Callable[[], Path]:
    return lambda: download(REMOTE, tmp_path / "data", api=server.api, sleep=waits.append, timeout=5)


def refusal(fetch: Callable[[], Path], tmp_path: Path) -> str:
    """Return the error message of a failed download, which must name the file's web page and its target folder."""
    with pytest.raises(UserError) as error:
        fetch()
    message = str(error.value)
    assert "https://data.mendeley.com/datasets/abc123/2" in message
    assert str(tmp_path / "data") in message
    assert "\n" not in message
    assert not (tmp_path / "data" / "Data.zip").exists()
    return message


def list_ranges(server: Server) -> list[str | None]:
    return [byte_range for path, byte_range in server.requests if path == FILE]


def remaining_files(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "data").iterdir()} - {".Data.zip.lock"}


def test_file_is_downloaded(server, fetch, tmp_path, waits):
    assert fetch() == tmp_path / "data" / "Data.zip"
    assert (tmp_path / "data" / "Data.zip").read_bytes() == CONTENT
    assert remaining_files(tmp_path) == {"Data.zip"}
    assert server.requests == [(LIST, None), (FILE, None)]
    assert waits == []


def test_existing_file_is_not_downloaded(server, fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Data.zip").write_bytes(b"mine")
    assert fetch().read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', None])
def test_download_resumes_after_a_broken_connection(server, fetch, waits, etag):
    server.etag = etag
    server.faults = [Handler.break_off, Handler.break_off]
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == [None, "bytes=2000000-", "bytes=4000000-"]
    assert waits == [1, 2]


def test_later_call_resumes_an_earlier_download(server, fetch, tmp_path, waits):
    server.faults = [Handler.break_off] + 3 * [lambda handler: handler.send(b"", 503)]
    message = refusal(fetch, tmp_path)
    assert "503" in message
    assert "4 attempts" in message
    assert waits == [1, 2, 4]
    assert remaining_files(tmp_path) == {"Data.zip.part", "Data.zip.part.json"}
    server.requests.clear()
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == ["bytes=2000000-"]
    assert remaining_files(tmp_path) == {"Data.zip"}


def interrupt(server: Server, fetch: Callable[[], Path]) -> None:
    server.faults = [Handler.break_off, lambda handler: handler.send(b"", 403)]
    with pytest.raises(UserError):
        fetch()
    server.requests.clear()


def test_server_without_ranges_sends_the_whole_file_again(server, fetch):
    interrupt(server, fetch)
    server.ranges = False
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == ["bytes=2000000-"]


@pytest.mark.parametrize("stated", [True, False])
def test_part_of_another_version_is_discarded(server, fetch, stated):
    if not stated:
        server.details = {"size": None, "sha256_hash": None}
    interrupt(server, fetch)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch().read_bytes() == CONTENT[::-1]
    # The API's statement differs before the file is requested, the ETag only in the answer.
    assert list_ranges(server) == [None if stated else "bytes=2000000-"]


def test_part_of_unknown_version_is_discarded(server, fetch):
    server.details, server.etag = {"sha256_hash": None}, None
    interrupt(server, fetch)
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == [None]


def test_part_without_record_is_discarded(server, fetch, tmp_path):
    interrupt(server, fetch)
    (tmp_path / "data" / "Data.zip.part.json").write_text("{")
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == [None]


def test_answer_from_another_byte_is_not_appended(server, fetch):
    interrupt(server, fetch)
    wrong = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", "ETag": '"one"'}
    server.faults = [lambda handler: handler.send(CONTENT, 206, **wrong)]
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == ["bytes=2000000-", None]


def test_part_longer_than_the_file_is_discarded(server, fetch, waits):
    server.details = {"size": None}
    interrupt(server, fetch)
    server.faults = [lambda handler: handler.send(b"", 416)]
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == ["bytes=2000000-", None]
    assert waits == [1, 1]


def test_complete_part_is_only_verified(server, fetch, tmp_path):
    interrupt(server, fetch)
    (tmp_path / "data" / "Data.zip.part").write_bytes(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == []


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 1])
def test_wrong_content_is_refused_and_removed(server, fetch, tmp_path, length):
    server.details = {"sha256_hash": "0" * 64, "size": length}
    server.faults = 4 * [lambda handler: handler.send(CONTENT)]
    message = refusal(fetch, tmp_path)
    if length == len(CONTENT):
        assert f"SHA-256 {hashlib.sha256(CONTENT).hexdigest()} instead of the stated {64 * '0'}" in message
    else:
        assert f"{len(CONTENT):,} bytes received instead of the stated {length:,}" in message
    assert remaining_files(tmp_path) == set()


def test_hash_may_be_upper_case(server, fetch):
    server.details = {"sha256_hash": hashlib.sha256(CONTENT).hexdigest().upper()}
    assert fetch().read_bytes() == CONTENT


def test_truncated_body_is_refused_but_kept(server, fetch, tmp_path, waits):
    server.faults = 4 * [lambda handler: handler.break_off(1_000_000)]
    message = refusal(fetch, tmp_path)
    assert f"the connection broke after 4,000,000 of {len(CONTENT):,} bytes" in message
    assert waits == [1, 2, 4]
    assert (tmp_path / "data" / "Data.zip.part").read_bytes() == CONTENT[:4_000_000]


@pytest.mark.parametrize(
    ("answer", "reason", "attempts"),
    [
        (lambda handler: handler.send(b"", 403), "answers 403 (Forbidden)", 1),
        (lambda handler: handler.send(b"", 404), "answers 404 (Not Found)", 1),
        (lambda handler: handler.send(b"", 500), "answers 500 (Internal Server Error)", 4),
        (lambda handler: handler.send(b"<html>Sign in</html>", kind="text/html"), "no list of files (text/html)", 1),
        (lambda handler: handler.send(b'{"message": "no"}'), "returns no list of files", 1),
        (lambda handler: handler.send(b'[{"name": 1}]'), "returns no list of files", 1),
        (lambda handler: handler.send(b"null"), "returns no list of files", 1),
        (lambda handler: handler.send(b"\xff\xfe[", kind="application/json"), "returns no list of files", 1),
        (lambda handler: handler.send(b"[]"), "lists no such file, only nothing", 1),
        (lambda handler: handler.send(b'[{"filename": "A.zip"}]'), "lists no such file, only A.zip", 1),
        (lambda handler: handler.send(b'[{"filename": "Data.zip"}]'), "states no address to download from", 1),
        (lambda handler: handler.send(b'[{"filename": "Data.zip", "content_details": []}]'), "states no address", 1),
    ],
)
def test_unusable_listing_is_refused(server, fetch, tmp_path, answer, reason, attempts):
    server.listing = answer
    message = refusal(fetch, tmp_path)
    assert reason in message
    assert server.api in message
    assert [path for path, _ in server.requests] == attempts * [LIST]


def test_address_of_a_local_file_is_refused(server, fetch, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    server.details = {"download_url": secret.as_uri(), "size": None, "sha256_hash": None}
    assert "states no address to download from" in refusal(fetch, tmp_path)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda handler: handler.send(b"", 403), "answers 403"),
        (lambda handler: handler.send(b"<html>Sign in</html>", kind="text/html"), "returns a web page, not the file"),
    ],
)
def test_unusable_answer_for_the_file_is_refused_without_retry(server, fetch, tmp_path, answer, reason, waits):
    server.faults = [answer]
    assert reason in refusal(fetch, tmp_path)
    assert waits == []
    assert "Data.zip.part" not in remaining_files(tmp_path)


def test_web_page_does_not_discard_the_part(server, fetch):
    interrupt(server, fetch)
    server.faults = [lambda handler: handler.send(b"<html>", kind="text/html")]
    with pytest.raises(UserError, match="web page"):
        fetch()
    assert fetch().read_bytes() == CONTENT
    assert list_ranges(server) == 2 * ["bytes=2000000-"]


def test_unreachable_server_is_named_after_three_retries(tmp_path, waits, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    closed = "http://127.0.0.1:9"  # the discard port, which is not served
    fetch = partial(download, REMOTE, tmp_path / "data", api=closed, sleep=waits.append)
    assert "cannot be reached" in refusal(fetch, tmp_path)
    assert waits == [1, 2, 4]


@pytest.mark.parametrize("received", [0, 2_000_000])
def test_disk_space_is_checked_before_the_file_is_requested(server, fetch, tmp_path, monkeypatch, received):
    if received:
        interrupt(server, fetch)
    free = len(CONTENT) - received - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    message = refusal(fetch, tmp_path)
    assert f"{free + 1:,} bytes are missing" in message
    assert f"{free:,} free" in message
    assert list_ranges(server) == []


class FullDisk:
    """A file on a disk with space for a number of bytes."""

    def __init__(self, stream: Any, free: int) -> None:
        self.stream, self.free = stream, free

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def write(self, data: bytes) -> None:
        if len(data) > self.free:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.free -= len(data)
        self.stream.write(data)


def test_full_disk_is_named_and_the_part_kept(server, fetch, tmp_path, monkeypatch):
    open_path: Any = Path.open

    def open_full(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        stream = open_path(path, mode, *args, **options)
        return FullDisk(stream, 3_000_000) if (path.name, mode) == ("Data.zip.part", "ab") else stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        assert "cannot be written (No space left on device)" in refusal(fetch, tmp_path)
    assert 0 < (tmp_path / "data" / "Data.zip.part").stat().st_size < 3_000_000
    server.requests.clear()
    assert fetch().read_bytes() == CONTENT
    (byte_range,) = list_ranges(server)
    assert byte_range is not None
    assert byte_range.startswith("bytes=2")


def test_file_in_place_of_the_folder_is_named(server, tmp_path, fetch):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written") as error:
        fetch()
    assert "https://data.mendeley.com/datasets/abc123/2" in str(error.value)


def test_read_only_folder_is_named(server, fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o500)
    try:
        (tmp_path / "data" / "probe").touch()
    except PermissionError:
        assert "cannot be written (Permission denied)" in refusal(fetch, tmp_path)
    else:
        pytest.skip("this user may write anywhere")
    finally:
        (tmp_path / "data").chmod(0o700)


def test_read_only_file_system_is_named(server, fetch, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module, "write_json", fail)
    assert "cannot be written (Read-only file system)" in refusal(fetch, tmp_path)


def test_one_of_several_callers_downloads(server, tmp_path):
    def fetch() -> None:
        results.append(download(REMOTE, tmp_path / "data", api=server.api).read_bytes())

    results: list[bytes] = []
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == 4 * [CONTENT]
    assert list_ranges(server) == [None]


@pytest.fixture
def published(server, tree, tmp_path) -> Server:
    """Return a server of the ground truth."""
    server.content = pack(tree, tmp_path / "packed.zip").read_bytes()
    server.names = {list_address(GROUND_TRUTH): GROUND_TRUTH.name}
    return server


def source(published: Server, root: Path, **settings: Any) -> AlKafri:
    return AlKafri(name="alkafri", root=str(root), download_url=published.api, **settings)


def test_training_downloads_missing_data(published, tmp_path):
    data = SliceDataModule(source(published, tmp_path / "new" / "data", download=True), PatientSplit())
    data.source.check()
    data.prepare_data()
    data.prepare_data()
    data.setup()
    assert len(data.slices) == 30
    assert list_ranges(published) == [None]
    assert {path.name for path in (tmp_path / "new" / "data").glob("*")} == {
        "Ground_Truth_Label.zip",
        ".Ground_Truth_Label.zip.lock",
    }


def test_existing_data_is_not_downloaded(published, tree):
    for root in (tree, tree / FINAL_FOLDER, tree.parent):
        source(published, root, download=True).prepare()
    assert published.requests == []


def test_nothing_is_downloaded_without_download_true(published, tmp_path):
    data = source(published, tmp_path / "new")
    data.prepare()
    for read in (data.check, data.find):
        with pytest.raises(UserError, match=r"no such folder.*data.download=true"):
            read()
    assert published.requests == []
    assert not (tmp_path / "new").exists()


def test_file_in_place_of_the_folder_is_refused_before_the_download(published, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file, not a folder"):
        source(published, tmp_path / "file", download=True).check()


def test_the_published_files():
    assert (GROUND_TRUTH.dataset, GROUND_TRUTH.name) == ("zbf6b4pttk", "Ground_Truth_Label.zip")
    assert (MRI.dataset, MRI.name) == ("k57fr854j2", "MRI_Data.zip")
    assert (SOURCE_CODE.dataset, SOURCE_CODE.name) == ("8cp2cp7km8", "Source_Code.zip")
    assert GROUND_TRUTH.page == "https://data.mendeley.com/datasets/zbf6b4pttk/2"
    assert module.MENDELEY_API == "https://data.mendeley.com/public-api/datasets"
