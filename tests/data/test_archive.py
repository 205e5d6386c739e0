from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.data import archive as module
from lss_lightning.data.alkafri import AlKafri, find_slices
from lss_lightning.data.archive import ZipMember, unpack, zip_top
from lss_lightning.data.loading import load_slice, load_slices
from lss_lightning.data.png import read_grey
from lss_lightning.data.slices import FINAL, INTERMEDIATE, LABELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR


def pack(tree: Path, archive: Path, inside: str = "") -> Path:
    """Zip a folder's files under a folder of that name in the archive."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(tree.rglob("*.png")):
            packed.write(path, inside + path.relative_to(tree).as_posix())
    return archive


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def patch(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def expected(tree):
    found = find_slices(tree, "t1_t2")
    return load_slices(found.slices, "t1_t2", LUMBAR)


def assert_same(root: Path, expected, channels: str = "t1_t2") -> None:
    source = AlKafri(name="alkafri", root=str(root), channels=channels)
    source.check()
    source.prepare()
    found = source.find()
    loaded = load_slices(found.slices, channels, LUMBAR)
    assert [piece.slice.name for piece in loaded] == [piece.slice.name for piece in expected]
    for one, other in zip(loaded, expected, strict=True):
        np.testing.assert_array_equal(one.label, other.label)
        if channels == "t1_t2":
            np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("inside", ["", "Ground_Truth_Label/"])
@pytest.mark.parametrize("point_at", ["folder", "archive"])
def test_slices_are_read_from_the_archive_as_downloaded(tree, expected, tmp_path, inside, point_at):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip", inside)
    shutil.rmtree(tree)
    assert_same(archive if point_at == "archive" else archive.parent, expected)
    assert contents(archive.parent).keys() == {"Ground_Truth_Label.zip"}


def test_archive_under_another_name_is_found(tree, expected, tmp_path):
    pack(tree, tmp_path / "data" / "download (1).zip")
    shutil.rmtree(tree)
    assert_same(tmp_path / "data", expected)


@pytest.mark.parametrize("packed", [True, False])
def test_image_folders_alone_are_enough(tree, expected, tmp_path, packed):
    (tmp_path / "flat").mkdir()
    for path in [*(tree / FINAL).iterdir(), *(tree / INTERMEDIATE).iterdir()]:
        shutil.move(path, tmp_path / "flat" / path.name)
    if packed:
        pack(tmp_path / "flat", tmp_path / "zipped" / "images.zip")
    assert_same(tmp_path / ("zipped" if packed else "flat"), expected)


def test_final_folder_alone_is_enough_for_the_composite(tree, expected, tmp_path):
    shutil.rmtree(tree / INTERMEDIATE)
    for root in (tree, tree / FINAL, pack(tree, tmp_path / "zipped" / "05.zip").parent):
        assert_same(root, expected, "composite")


def test_what_is_unpacked_comes_before_the_archive(tree):
    pack(tree, tree / "Ground_Truth_Label.zip")
    assert all(isinstance(piece.label, Path) for piece in find_slices(tree, "t2").slices)


def test_ground_truth_s_archive_comes_before_others(tree, tmp_path):
    pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    pack(tree, tmp_path / "data" / "A.zip")
    found = find_slices(tmp_path / "data", "t2")
    assert {piece.label.archive.name for piece in found.slices} == {"Ground_Truth_Label.zip"}


def test_archive_that_broke_off_is_named(tree, tmp_path):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    for look in (
        lambda: find_slices(archive.parent, "t2"),
        lambda: zip_top(archive),
        lambda: unpack(archive, tmp_path / "x"),
    ):
        with pytest.raises(UserError, match=r"Ground_Truth_Label\.zip: no zip archive, or not all of one"):
            look()


def test_archive_without_labels_is_refused(tmp_path):
    write_zip(tmp_path / "MRI_Data.zip", {"01_MRI_Data/0001/x.ima": b""})
    with pytest.raises(UserError, match=f"holds no {LABELS[0]}.*Ground_Truth_Label.zip.*data.download=true"):
        find_slices(tmp_path, "t2")


@pytest.fixture
def member(tree, tmp_path) -> ZipMember:
    archive = pack(tree, tmp_path / "packed.zip")
    return ZipMember(archive, f"{LABELS[0]}/L1_0001_D3.png")


def test_member_is_what_was_packed(member, tree):
    path = tree / member.member
    assert member.read_bytes() == path.read_bytes()
    assert (member.name, member.stem) == (path.name, path.stem)
    assert str(member) == f"{member.archive}/{LABELS[0]}/L1_0001_D3.png"
    assert member.stat() == member.archive.stat()
    assert pickle.loads(pickle.dumps(member)).read_bytes() == path.read_bytes()


def test_replaced_archive_is_read_anew(member):
    member.read_bytes()
    write_zip(member.archive, {member.member: b"another"})
    os.utime(member.archive, (1, 1))
    assert member.read_bytes() == b"another"


def test_lacking_member_or_archive_is_named(member):
    with pytest.raises(UserError, match=r"packed\.zip/nothing\.png: no such file"):
        read_grey(ZipMember(member.archive, "nothing.png"))
    member.archive.unlink()
    with pytest.raises(UserError, match=r"L1_0001_D3\.png: no such file"):
        read_grey(member)


def test_broken_member_is_named(member):
    content = bytearray(member.archive.read_bytes())
    start = content.index(member.member.encode()) + len(member.member)
    content[start : start + 8] = bytes(8)
    member.archive.write_bytes(content)
    with pytest.raises(UserError, match=r"packed\.zip/.*L1_0001_D3\.png: broken"):
        member.read_bytes()


def test_member_too_large_for_an_image_is_not_read(member, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_IMAGE", 50)
    with pytest.raises(UserError, match=r"L1_0001_D3\.png: declares \d+ bytes; an image has at most 50"):
        member.read_bytes()


def test_encrypted_member_is_named(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a.png": b"content"})
    encrypt(archive)
    with pytest.raises(UserError, match=r"a\.zip/a\.png: cannot be read \(.*encrypted"):
        ZipMember(archive, "a.png").read_bytes()


def encrypt(archive: Path) -> None:
    """Set the flag of encryption in every header of a zip."""
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)


def many(tmp_path: Path) -> tuple[list[ZipMember], list[bytes]]:
    rng = np.random.default_rng(0)
    stored = {f"{number}.bin": rng.bytes(20_000) for number in range(50)}
    archive = write_zip(tmp_path / "many.zip", stored)
    return [ZipMember(archive, name) for name in stored], list(stored.values())


def test_threads_read_at_the_same_time(tmp_path):
    members, stored = many(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(ZipMember.read_bytes, members)) == stored


def test_every_thread_has_its_own_handle(member):
    handles = [module._thread_s_own(member.archive), module._thread_s_own(member.archive)]
    thread = threading.Thread(target=lambda: handles.append(module._thread_s_own(member.archive)))
    thread.start()
    thread.join()
    assert handles[0] is handles[1]
    assert handles[0] is not handles[2]


FORKED = """
import multiprocessing, sys
from pathlib import Path
from lss_lightning.data.archive import ZipMember

members = [ZipMember(Path(sys.argv[1]), f"{number}.bin") for number in range(50)]
members[0].read_bytes()  # opens the archive, which the children inherit
right = {member: member.read_bytes() for member in members}
def check(_):
    return all(member.read_bytes() == right[member] for _ in range(20) for member in members)
with multiprocessing.get_context("fork").Pool(4) as pool:
    results = pool.map_async(check, range(4))
    while not results.ready():
        assert check(0)
    assert all(results.get())
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_forked_processes_read_at_the_same_time(tmp_path):
    many(tmp_path)
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "many.zip")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unpacked_archive_is_what_was_packed(tree, tmp_path):
    unpack(pack(tree, tmp_path / "a.zip"), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tree)
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "a.zip", "out"}


@pytest.mark.parametrize("inside", ["top/", "05_Final_Ground_Truth_Data/"])
def test_single_folder_at_the_top_is_left_out(tree, tmp_path, inside):
    unpack(pack(tree, tmp_path / "a.zip", inside), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tree)


def test_source_unpacks_when_told_to(tree, expected, tmp_path):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip", "Ground_Truth_Label/")
    source = AlKafri(name="alkafri", root=str(archive.parent), channels="t1_t2", unpack=True)
    for _ in range(2):
        source.check()
        source.prepare()
    assert contents(archive.parent / "Ground_Truth_Label") == contents(tree)
    (piece, *_) = source.find().slices
    assert isinstance(piece.label, Path)
    np.testing.assert_array_equal(load_slice(piece, "t1_t2", LUMBAR).image, expected[0].image)
    with pytest.raises(UserError, match="a file; give the folder"):
        AlKafri(name="alkafri", root=str(archive), unpack=True).check()


def refusal(archive: Path, tmp_path: Path) -> str:
    """The message of a refused unpacking, which must leave nothing behind."""
    before = contents(tmp_path)
    with pytest.raises(UserError) as refused:
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.txt", "a path with .."),
        ("a/../../evil.txt", "a path with .."),
        ("/tmp/evil.txt", "an absolute or foreign path"),
        ("C:/evil.txt", "an absolute or foreign path"),
        ("C:evil.txt", "an absolute or foreign path"),
        ("//host/share/evil.txt", "an absolute or foreign path"),
        ("..\\evil.txt", "an absolute or foreign path"),
        ("..\\evil/", "an absolute or foreign path"),
        ("evil\0.txt", "an absolute or foreign path"),
    ],
)
def test_member_that_would_land_outside_is_refused(tmp_path, name, fault):
    archive = write_zip(tmp_path / "a.zip", {"good.txt": b"good", "x" * len(name): b""})
    patch(archive, b"x" * len(name), name.encode())
    assert f"member {name!r} is {fault}" in refusal(archive, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    assert "member 'link' is a link or device" in refusal(tmp_path / "a.zip", tmp_path)


def test_encrypted_archive_is_refused(tmp_path):
    encrypt(write_zip(tmp_path / "a.zip", {"a.txt": b"content"}))
    assert "member 'a.txt' is encrypted" in refusal(tmp_path / "a.zip", tmp_path)


def test_name_held_twice_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a.txt": b"one", "b.txt": b"two"})
    patch(archive, b"b.txt", b"a.txt")
    assert "member 'a.txt' is held twice" in refusal(archive, tmp_path)


def test_bomb_is_refused_by_what_it_declares(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"zeros": bytes(10_000_000)})
    assert "declares 10,000,000 bytes" in refusal(archive, tmp_path)


def test_bomb_that_declares_less_than_it_holds_is_refused(tmp_path):
    content = np.random.default_rng(0).bytes(1000) * 50
    archive = write_zip(tmp_path / "a.zip", {"good.txt": b"good", "more": content})
    patch(archive, struct.pack("<L", len(content)), struct.pack("<L", 100))
    assert "a.zip/more: broken" in refusal(archive, tmp_path)


def test_free_disk_is_looked_at_first(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", {"a": b"0123456789"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 0, 9))
    assert "unpacks to 10 bytes" in refusal(archive, tmp_path)


def test_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    archive = write_zip(tmp_path / "a.zip", {"a": b"0123456789"})
    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "cannot be unpacked into" in (message := refusal(archive, tmp_path))
    assert "No space left on device" in message


def test_nothing_is_overwritten(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {"a": b"mine"}
