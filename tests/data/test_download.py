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
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.download import GROUND_TRUTH, MRI, SOURCE_CODE, download
from lss_lightning.data.slices import FINAL
from lss_lightning.data.splits.fractions import PatientSplit
from lss_lightning.errors import UserError
from tests.data.mendeley import CONTENT, FILE, LIST, REMOTE, Handler, Server, list_of, serve
from tests.data.test_archive import pack


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
    """The message of a refused download, which must always say where a person finds the file and where it belongs."""
    with pytest.raises(UserError) as refused:
        fetch()
    message = str(refused.value)
    assert "https://data.mendeley.com/datasets/abc123/2" in message
    assert str(tmp_path / "data") in message
    assert "\n" not in message
    assert not (tmp_path / "data" / "Data.zip").exists()
    return message


def ranges(server: Server) -> list[str | None]:
    return [asked for path, asked in server.requests if path == FILE]


def left(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "data").iterdir()} - {".Data.zip.lock"}


def test_file_arrives_whole_under_its_name(server, fetch, tmp_path, waits):
    assert fetch() == tmp_path / "data" / "Data.zip"
    assert (tmp_path / "data" / "Data.zip").read_bytes() == CONTENT
    assert left(tmp_path) == {"Data.zip"}
    assert server.requests == [(LIST, None), (FILE, None)]
    assert waits == []


def test_file_that_is_there_is_not_fetched(server, fetch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Data.zip").write_bytes(b"mine")
    assert fetch().read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', None])
def test_broken_connection_is_taken_up_where_it_broke(server, fetch, waits, etag):
    server.etag = etag
    server.faults = [Handler.break_off, Handler.break_off]
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=2000000-", "bytes=4000000-"]
    assert waits == [1, 2]


def test_later_call_goes_on_with_what_an_earlier_one_left(server, fetch, tmp_path, waits):
    server.faults = [Handler.break_off] + 3 * [lambda handler: handler.send(b"", 503)]
    message = refusal(fetch, tmp_path)
    assert "503" in message
    assert "4 attempts" in message
    assert waits == [1, 2, 4]
    assert left(tmp_path) == {"Data.zip.part", "Data.zip.part.json"}
    server.requests.clear()
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=2000000-"]
    assert left(tmp_path) == {"Data.zip"}


def interrupt(server: Server, fetch: Callable[[], Path]) -> None:
    server.faults = [Handler.break_off, lambda handler: handler.send(b"", 403)]
    with pytest.raises(UserError):
        fetch()
    server.requests.clear()


def test_server_without_ranges_sends_everything_again(server, fetch):
    interrupt(server, fetch)
    server.ranges = False
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=2000000-"]


@pytest.mark.parametrize("stated", [True, False])
def test_part_of_another_version_is_not_mixed_in(server, fetch, stated):
    if not stated:
        server.details = {"size": None, "sha256_hash": None}
    interrupt(server, fetch)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch().read_bytes() == CONTENT[::-1]
    # What the API states tells before the file is asked for, the ETag after.
    assert ranges(server) == [None if stated else "bytes=2000000-"]


def test_part_that_nothing_can_vouch_for_is_not_gone_on_with(server, fetch):
    server.details, server.etag = {"sha256_hash": None}, None
    interrupt(server, fetch)
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_part_without_record_is_not_gone_on_with(server, fetch, tmp_path):
    interrupt(server, fetch)
    (tmp_path / "data" / "Data.zip.part.json").write_text("{")
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_answer_from_another_byte_than_asked_is_not_appended(server, fetch):
    interrupt(server, fetch)
    wrong = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", "ETag": '"one"'}
    server.faults = [lambda handler: handler.send(CONTENT, 206, **wrong)]
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=2000000-", None]


def test_part_longer_than_the_file_is_thrown_away(server, fetch, waits):
    server.details = {"size": None}
    interrupt(server, fetch)
    server.faults = [lambda handler: handler.send(b"", 416)]
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == ["bytes=2000000-", None]
    assert waits == [1, 1]


def test_whole_part_is_only_checked(server, fetch, tmp_path):
    interrupt(server, fetch)
    (tmp_path / "data" / "Data.zip.part").write_bytes(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == []


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 1])
def test_wrong_content_is_refused_and_removed(server, fetch, tmp_path, length):
    server.details = {"sha256_hash": "0" * 64, "size": length}
    server.faults = 4 * [lambda handler: handler.send(CONTENT)]
    message = refusal(fetch, tmp_path)
    if length == len(CONTENT):
        assert f"SHA-256 {hashlib.sha256(CONTENT).hexdigest()} where {64 * '0'} is stated" in message
    else:
        assert f"{len(CONTENT):,} bytes arrived where {length:,} are stated" in message
    assert left(tmp_path) == set()


def test_upper_case_hash_is_the_same_hash(server, fetch):
    server.details = {"sha256_hash": hashlib.sha256(CONTENT).hexdigest().upper()}
    assert fetch().read_bytes() == CONTENT


def test_body_that_stays_truncated_is_refused_but_kept(server, fetch, tmp_path, waits):
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
        (lambda handler: handler.send(b"<html>Sign in</html>", kind="text/html"), "list of files (text/html)", 1),
        (lambda handler: handler.send(b'{"message": "no"}'), "something else than a list of files", 1),
        (lambda handler: handler.send(b'[{"name": 1}]'), "something else than a list of files", 1),
        (lambda handler: handler.send(b"null"), "something else than a list of files", 1),
        (lambda handler: handler.send(b"\xff\xfe[", kind="application/json"), "something else than a list", 1),
        (lambda handler: handler.send(b"[]"), "lists no such file, only nothing", 1),
        (lambda handler: handler.send(b'[{"filename": "A.zip"}]'), "lists no such file, only A.zip", 1),
        (lambda handler: handler.send(b'[{"filename": "Data.zip"}]'), "states no address to download from", 1),
        (lambda handler: handler.send(b'[{"filename": "Data.zip", "content_details": []}]'), "states no address", 1),
    ],
)
def test_useless_listing_is_refused(server, fetch, tmp_path, answer, reason, attempts):
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
        (lambda handler: handler.send(b"<html>Sign in</html>", kind="text/html"), "answers a web page, not the file"),
    ],
)
def test_useless_answer_for_the_file_is_refused_at_once(server, fetch, tmp_path, answer, reason, waits):
    server.faults = [answer]
    assert reason in refusal(fetch, tmp_path)
    assert waits == []
    assert "Data.zip.part" not in left(tmp_path)


def test_web_page_does_not_spoil_what_had_arrived(server, fetch):
    interrupt(server, fetch)
    server.faults = [lambda handler: handler.send(b"<html>", kind="text/html")]
    with pytest.raises(UserError, match="web page"):
        fetch()
    assert fetch().read_bytes() == CONTENT
    assert ranges(server) == 2 * ["bytes=2000000-"]


def test_without_network_the_page_is_named_after_three_retries(tmp_path, waits, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    closed = "http://127.0.0.1:9"  # the discard port, which nothing serves
    fetch = partial(download, REMOTE, tmp_path / "data", api=closed, sleep=waits.append)
    assert "cannot be reached" in refusal(fetch, tmp_path)
    assert waits == [1, 2, 4]


@pytest.mark.parametrize("already", [0, 2_000_000])
def test_free_disk_is_looked_at_before_the_file_is_asked_for(server, fetch, tmp_path, monkeypatch, already):
    if already:
        interrupt(server, fetch)
    free = len(CONTENT) - already - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    message = refusal(fetch, tmp_path)
    assert f"{free + 1:,} bytes are still to come" in message
    assert f"{free:,} free" in message
    assert ranges(server) == []


class FullDisk:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, stream: Any, room: int) -> None:
        self.stream, self.room = stream, room

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def write(self, data: bytes) -> None:
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        self.stream.write(data)


def test_disk_that_fills_up_is_named_and_the_part_kept(server, fetch, tmp_path, monkeypatch):
    usual = Path.open

    def open_full(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        stream = usual(path, mode, *rest, **more)
        return FullDisk(stream, 3_000_000) if (path.name, mode) == ("Data.zip.part", "ab") else stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        assert "cannot be written (No space left on device)" in refusal(fetch, tmp_path)
    assert 0 < (tmp_path / "data" / "Data.zip.part").stat().st_size < 3_000_000
    server.requests.clear()
    assert fetch().read_bytes() == CONTENT
    assert ranges(server)[0].startswith("bytes=2")


def test_folder_that_cannot_be_written_is_named(server, tmp_path, fetch):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written") as refused:
        fetch()
    assert "https://data.mendeley.com/datasets/abc123/2" in str(refused.value)


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


def test_refused_right_to_write_is_named(server, fetch, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert "cannot be written (Read-only file system)" in refusal(fetch, tmp_path)


def test_of_several_callers_one_downloads(server, tmp_path):
    def fetch() -> None:
        results.append(download(REMOTE, tmp_path / "data", api=server.api).read_bytes())

    results: list[bytes] = []
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == 4 * [CONTENT]
    assert ranges(server) == [None]


@pytest.fixture
def published(server, tree, tmp_path) -> Server:
    """A server of the ground truth."""
    server.content = pack(tree, tmp_path / "packed.zip").read_bytes()
    server.names = {list_of(GROUND_TRUTH): GROUND_TRUTH.name}
    return server


def source(published: Server, root: Path, **settings: Any) -> AlKafri:
    return AlKafri(name="alkafri", root=str(root), download_url=published.api, **settings)


def test_training_downloads_what_it_lacks(published, tmp_path):
    data = SliceDataModule(source(published, tmp_path / "new" / "data", download=True), PatientSplit())
    data.source.check()
    data.prepare_data()
    data.prepare_data()
    data.setup()
    assert len(data.slices) == 30
    assert ranges(published) == [None]
    assert {path.name for path in (tmp_path / "new" / "data").glob("*")} == {
        "Ground_Truth_Label.zip",
        ".Ground_Truth_Label.zip.lock",
    }


def test_data_that_is_there_in_any_form_is_not_downloaded(published, tree):
    for root in (tree, tree / FINAL, tree.parent):
        source(published, root, download=True).prepare()
    assert published.requests == []


def test_nothing_is_downloaded_unless_told(published, tmp_path):
    unwilling = source(published, tmp_path / "new")
    unwilling.prepare()
    for look in (unwilling.check, unwilling.find):
        with pytest.raises(UserError, match=r"no such folder.*data.download=true"):
            look()
    assert published.requests == []
    assert not (tmp_path / "new").exists()


def test_file_in_the_place_of_the_folder_is_refused_before_the_download(published, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file, not a folder"):
        source(published, tmp_path / "file", download=True).check()


def test_the_published_files():
    assert (GROUND_TRUTH.dataset, GROUND_TRUTH.name) == ("zbf6b4pttk", "Ground_Truth_Label.zip")
    assert (MRI.dataset, MRI.name) == ("k57fr854j2", "MRI_Data.zip")
    assert (SOURCE_CODE.dataset, SOURCE_CODE.name) == ("8cp2cp7km8", "Source_Code.zip")
    assert GROUND_TRUTH.page == "https://data.mendeley.com/datasets/zbf6b4pttk/2"
    assert module.API == "https://data.mendeley.com/public-api/datasets"
