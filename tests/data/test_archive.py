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
from lss_lightning.data.alkafri_layout import FINAL_FOLDER, INTERMEDIATE_FOLDER, LABELS
from lss_lightning.data.archive import ZipMember, open_zip_root, unpack
from lss_lightning.data.formats import read_image
from lss_lightning.data.loading import load_slice, load_slices
from lss_lightning.data.source import PairedChannels
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from tests.data.archives import pack, write_zip


def replace_bytes(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def expected(tree):
    return load_slices(find_slices(tree, "t1_t2").slices, "t1_t2", LUMBAR)


def assert_same(root: Path, expected, channels: PairedChannels = "t1_t2") -> None:
    source = AlKafri(name="alkafri", root=str(root), channels=channels)
    source.check()
    source.prepare()
    slices = load_slices(source.find().slices, channels, LUMBAR)
    assert [loaded.slice.name for loaded in slices] == [loaded.slice.name for loaded in expected]
    for actual, desired in zip(slices, expected, strict=True):
        np.testing.assert_array_equal(actual.label, desired.label)
        if channels == "t1_t2":
            np.testing.assert_array_equal(actual.image, desired.image)


@pytest.mark.parametrize("inside", ["", "Ground_Truth_Label/"])
@pytest.mark.parametrize("root", ["folder", "archive"])
def test_slices_are_read_from_the_archive_as_downloaded(tree, expected, tmp_path, inside, root):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip", inside)
    shutil.rmtree(tree)
    assert_same(archive if root == "archive" else archive.parent, expected)
    assert contents(archive.parent).keys() == {"Ground_Truth_Label.zip"}


def test_archive_under_another_name_is_found(tree, expected, tmp_path):
    pack(tree, tmp_path / "data" / "download (1).zip")
    shutil.rmtree(tree)
    assert_same(tmp_path / "data", expected)


@pytest.mark.parametrize("packed", [True, False])
def test_image_folders_alone_suffice(tree, expected, tmp_path, packed):
    (tmp_path / "flat").mkdir()
    for path in [*(tree / FINAL_FOLDER).iterdir(), *(tree / INTERMEDIATE_FOLDER).iterdir()]:
        shutil.move(path, tmp_path / "flat" / path.name)
    if packed:
        pack(tmp_path / "flat", tmp_path / "zipped" / "images.zip")
    assert_same(tmp_path / ("zipped" if packed else "flat"), expected)


def test_final_folder_alone_suffices_for_the_composite(tree, expected, tmp_path):
    shutil.rmtree(tree / INTERMEDIATE_FOLDER)
    for root in (tree, tree / FINAL_FOLDER, pack(tree, tmp_path / "zipped" / "05.zip").parent):
        assert_same(root, expected, "composite")


def test_unpacked_files_take_precedence_over_the_archive(tree):
    pack(tree, tree / "Ground_Truth_Label.zip")
    assert all(isinstance(slice_.label, Path) for slice_ in find_slices(tree, "t2").slices)


def test_the_ground_truth_archive_takes_precedence_over_others(tree, tmp_path):
    pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    pack(tree, tmp_path / "data" / "A.zip")
    labels = [slice_.label for slice_ in find_slices(tmp_path / "data", "t2").slices]
    assert {label.archive.name for label in labels if isinstance(label, ZipMember)} == {"Ground_Truth_Label.zip"}
    assert all(isinstance(label, ZipMember) for label in labels)


def test_truncated_archive_is_named(tree, tmp_path):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    for read in (
        lambda: find_slices(archive.parent, "t2"),
        lambda: open_zip_root(archive),
        lambda: unpack(archive, tmp_path / "x"),
    ):
        with pytest.raises(UserError, match=r"Ground_Truth_Label\.zip: not a zip archive, or only part of one"):
            read()


def test_archive_without_labels_is_refused(tmp_path):
    write_zip(tmp_path / "MRI_Data.zip", {"01_MRI_Data/0001/x.ima": b""})
    with pytest.raises(UserError, match=f"holds no {LABELS[0]}.*Ground_Truth_Label.zip.*data.download=true"):
        find_slices(tmp_path, "t2")


@pytest.fixture
def member(tree, tmp_path) -> ZipMember:
    archive = pack(tree, tmp_path / "packed.zip")
    return ZipMember(archive, f"{LABELS[0]}/L1_0001_D3.png")


def test_member_has_the_packed_content(member, tree):
    path = tree / member.member
    assert member.read_bytes() == path.read_bytes()
    assert (member.name, member.stem) == (path.name, path.stem)
    assert str(member) == f"{member.archive}/{LABELS[0]}/L1_0001_D3.png"
    assert member.stat() == member.archive.stat()
    assert pickle.loads(pickle.dumps(member)).read_bytes() == path.read_bytes()


def test_replaced_archive_is_read_again(member):
    member.read_bytes()
    write_zip(member.archive, {member.member: b"another"})
    os.utime(member.archive, (1, 1))
    assert member.read_bytes() == b"another"


def test_missing_member_or_archive_is_named(member):
    with pytest.raises(UserError, match=r"packed\.zip/nothing\.png: no such file"):
        read_image(ZipMember(member.archive, "nothing.png"), "t1")
    member.archive.unlink()
    with pytest.raises(UserError, match=r"L1_0001_D3\.png: no such file"):
        read_image(member, "t1")


def test_broken_member_is_named(member):
    content = bytearray(member.archive.read_bytes())
    start = content.index(member.member.encode()) + len(member.member)
    content[start : start + 8] = bytes(8)
    member.archive.write_bytes(content)
    with pytest.raises(UserError, match=r"packed\.zip/.*L1_0001_D3\.png: broken"):
        member.read_bytes()


def test_member_too_large_for_an_image_is_not_read(member, monkeypatch):
    monkeypatch.setattr(module, "MAX_IMAGE_BYTES", 50)
    with pytest.raises(UserError, match=r"L1_0001_D3\.png: declares \d+ bytes; an image has at most 50"):
        member.read_bytes()


def test_encrypted_member_is_named(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a.png": b"content"})
    encrypt(archive)
    with pytest.raises(UserError, match=r"a\.zip/a\.png: cannot be read \(.*encrypted"):
        ZipMember(archive, "a.png").read_bytes()


def encrypt(archive: Path) -> None:
    """Set the encryption flag in every header of a zip archive."""
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)


def write_members(tmp_path: Path) -> tuple[list[ZipMember], list[bytes]]:
    rng = np.random.default_rng(0)
    content = {f"{number}.bin": rng.bytes(20_000) for number in range(50)}
    archive = write_zip(tmp_path / "many.zip", content)
    return [ZipMember(archive, name) for name in content], list(content.values())


def test_threads_read_at_the_same_time(tmp_path):
    members, content = write_members(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(ZipMember.read_bytes, members)) == content


def test_every_thread_has_its_own_handle(member):
    handles = [module._open_in_thread(member.archive), module._open_in_thread(member.archive)]
    thread = threading.Thread(target=lambda: handles.append(module._open_in_thread(member.archive)))
    thread.start()
    thread.join()
    assert handles[0] is handles[1]
    assert handles[0] is not handles[2]


FORKED = """
import multiprocessing, sys
from pathlib import Path
from lss_lightning.data.archive import ZipMember

members = [ZipMember(Path(sys.argv[1]), f"{number}.bin") for number in range(50)]
members[0].read_bytes()  # opens the archive, and the children inherit its handle
expected = {member: member.read_bytes() for member in members}
def check(_):
    return all(member.read_bytes() == expected[member] for _ in range(20) for member in members)
with multiprocessing.get_context("fork").Pool(4) as pool:
    results = pool.map_async(check, range(4))
    while not results.ready():
        assert check(0)
    assert all(results.get())
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_forked_processes_read_at_the_same_time(tmp_path):
    write_members(tmp_path)
    process = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "many.zip")], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_unpacked_archive_has_the_packed_content(tree, tmp_path):
    unpack(pack(tree, tmp_path / "a.zip"), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tree)
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "a.zip", "out"}


@pytest.mark.parametrize("inside", ["top/", "05_Final_Ground_Truth_Data/"])
def test_single_top_level_folder_is_dropped(tree, tmp_path, inside):
    unpack(pack(tree, tmp_path / "a.zip", inside), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tree)


def test_source_unpacks_with_unpack_true(tree, expected, tmp_path):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip", "Ground_Truth_Label/")
    source = AlKafri(name="alkafri", root=str(archive.parent), channels="t1_t2", unpack=True)
    for _ in range(2):
        source.check()
        source.prepare()
    assert contents(archive.parent / "Ground_Truth_Label") == contents(tree)
    (slice_, *_) = source.find().slices
    assert isinstance(slice_.label, Path)
    np.testing.assert_array_equal(load_slice(slice_, "t1_t2", LUMBAR).image, expected[0].image)
    with pytest.raises(UserError, match="a file; give the folder"):
        AlKafri(name="alkafri", root=str(archive), unpack=True).check()


def refusal(archive: Path, tmp_path: Path) -> str:
    """Return the error message of `unpack`, which must leave nothing behind."""
    before = contents(tmp_path)
    with pytest.raises(UserError) as error:
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../evil.txt", "has a path with .."),
        ("a/../../evil.txt", "has a path with .."),
        ("/tmp/evil.txt", "has an absolute path"),
        ("C:/evil.txt", "has an absolute path"),
        ("C:evil.txt", "has an absolute path"),
        ("//host/share/evil.txt", "has an absolute path"),
        ("..\\evil.txt", "has a path with .."),
        ("\\\\host\\share\\evil.txt", "has an absolute path"),
        ("C:\\evil.txt", "has an absolute path"),
        ("a\\..\\..\\evil.txt", "has a path with .."),
        ("..\\evil/", "has a path with .."),
        ("evil\0.txt", "has a path with a zero byte"),
    ],
)
def test_member_with_a_path_outside_is_refused(tmp_path, name, problem):
    archive = write_zip(tmp_path / "a.zip", {"good.txt": b"good", "x" * len(name): b""})
    replace_bytes(archive, b"x" * len(name), name.encode())
    assert f"member {name!r} {problem}" in refusal(archive, tmp_path)


def test_backslashes_separate_folders_as_in_zips_of_some_windows_programs(tmp_path):
    names = ("study\\t1\\a.dcm", "study\\t1\\", "study\\t2\\a.dcm", "study/readme.txt")
    unpack(write_zip(tmp_path / "a.zip", {name: name.encode() for name in names}), tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"t1/a.dcm", "t2/a.dcm", "readme.txt"}
    assert open_zip_root(tmp_path / "a.zip").joinpath("study/t2/a.dcm").read_bytes() == b"study\\t2\\a.dcm"
    assert ZipMember(tmp_path / "a.zip", "study/t1/a.dcm").read_bytes() == b"study\\t1\\a.dcm"
    shutil.rmtree(tmp_path / "out")
    archive = write_zip(tmp_path / "b.zip", {"t1\\a.dcm": b"1", "t1/a.dcm": b"2"})
    assert "occurs twice" in refusal(archive, tmp_path)


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


def test_repeated_name_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a.txt": b"one", "b.txt": b"two"})
    replace_bytes(archive, b"b.txt", b"a.txt")
    assert "member 'a.txt' occurs twice" in refusal(archive, tmp_path)


def test_zip_bomb_is_refused_by_its_declared_size(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"zeros": bytes(10_000_000)})
    assert "declares 10,000,000 bytes" in refusal(archive, tmp_path)


def test_zip_bomb_that_understates_its_size_is_refused(tmp_path):
    content = np.random.default_rng(0).bytes(1000) * 50
    archive = write_zip(tmp_path / "a.zip", {"good.txt": b"good", "more": content})
    replace_bytes(archive, struct.pack("<L", len(content)), struct.pack("<L", 100))
    assert "a.zip/more: broken" in refusal(archive, tmp_path)


def test_disk_space_is_checked_first(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", {"a": b"0123456789"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 0, 9))
    assert "unpacks to 10 bytes" in refusal(archive, tmp_path)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    archive = write_zip(tmp_path / "a.zip", {"a": b"0123456789"})
    monkeypatch.setattr(shutil, "copyfileobj", fail)
    assert "cannot be unpacked into" in (message := refusal(archive, tmp_path))
    assert "No space left on device" in message


def test_nothing_is_overwritten(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {"a": b"mine"}
