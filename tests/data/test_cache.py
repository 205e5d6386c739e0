from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data import cache, loading
from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.cache import cached_slices
from lss_lightning.data.composite import PUBLISHED, THIRD
from lss_lightning.data.loading import load_slices
from lss_lightning.data.packed import INDEX, PIXELS
from lss_lightning.data.slices import IMAGES, LABELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR, LabelSet
from tests.cli.commands import REPOSITORY
from tests.conftest import write_slice
from tests.data import test_image_folder
from tests.data.test_archive import pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the slices decoded from now on; the first of a new cache comes twice."""
    names: list[str] = []
    usual = loading.load_slice

    def load(piece, *rest, **more):
        names.append(piece.name)
        return usual(piece, *rest, **more)

    for module in (loading, cache):
        monkeypatch.setattr(module, "load_slice", load)
    return names


def read(root, folder, channels="composite", labels=LUMBAR, third=PUBLISHED):
    return cached_slices(find_slices(root, channels).slices, channels, labels, third, folder)


def caches(folder):
    return sorted(path for path in folder.iterdir() if path.name != ".lock")


def assert_same(slices, others):
    assert len(slices) == len(others) > 0
    for one, other in zip(slices, others, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label, other.label)
        assert one.image.dtype == one.label.dtype == np.uint8
        assert (one.slice, one.spacing, one.digest) == (other.slice, other.spacing, other.digest)


def assert_right(slices, root, channels="composite"):
    assert_same(slices, load_slices(find_slices(root, channels).slices, channels, LUMBAR))


@pytest.mark.parametrize("channels", ["composite", "t1", "t1_t2"])
def test_the_cache_holds_what_decoding_yields(tree, folder, channels):
    first = read(tree, folder, channels)
    assert_right(first, tree, channels)
    assert_right(read(tree, folder, channels), tree, channels)
    assert len(caches(folder)) == 1


def test_what_is_cached_is_not_decoded_again(tree, folder, decoded):
    read(tree, folder)
    assert len(decoded) == 31
    decoded.clear()
    read(tree, folder)
    assert decoded == []


def test_the_cache_does_not_depend_on_the_working_directory(tree, folder, decoded, monkeypatch):
    read(tree, folder)
    decoded.clear()
    monkeypatch.chdir(tree.parent)
    read(Path(tree.name), Path(folder.name))
    assert decoded == []


def test_different_sizes_keep_their_own(tmp_path, folder):
    for patient, size in enumerate([(64, 64), (31, 80), (100, 40)], start=1):
        write_slice(tmp_path / "mixed", f"{patient:04d}", "D3", size)
    for _ in range(2):
        slices = read(tmp_path / "mixed", folder)
        assert [piece.image.shape for piece in slices] == [(3, 64, 64), (3, 31, 80), (3, 100, 40)]
        assert_right(slices, tmp_path / "mixed")


def test_channels_lie_side_by_side(tree, folder, decoded):
    for channels in ("composite", "t2", "composite", "t2"):
        assert_right(read(tree, folder, channels), tree, channels)
    assert len(caches(folder)) == 2


def test_composites_of_each_formula_lie_side_by_side(tree, folder):
    for _ in range(2):
        for third in THIRD:
            slices = read(tree, folder, third=third)
            assert_same(slices, load_slices([piece.slice for piece in slices], "composite", LUMBAR, third))
    assert len(caches(folder)) == len(THIRD)


def test_other_label_codes_make_another_cache(tree, folder):
    read(tree, folder)
    turned = LabelSet(LUMBAR.labels[::-1])
    slices = read(tree, folder, labels=turned)
    np.testing.assert_array_equal(slices[0].label, 5 - load_slices([slices[0].slice], "composite", LUMBAR)[0].label)
    assert len(caches(folder)) == 2


def some(tree, kind="composite"):
    place, prefix = LABELS if kind == "label" else IMAGES[kind]
    return tree / place / f"{prefix}_0001_D3.png"


def repaint(path):
    pixels = np.array(Image.open(path))
    pixels[:2] = pixels[-1:]
    Image.fromarray(pixels).save(path)


def change_content(tree):
    repaint(some(tree))


def change_label(tree):
    repaint(some(tree, "label"))


def change_time(tree):
    status = some(tree).stat()
    os.utime(some(tree), ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def change_size(tree):
    status = some(tree).stat()
    with some(tree).open("ab") as stream:
        stream.write(b"\0")
    os.utime(some(tree), ns=(status.st_atime_ns, status.st_mtime_ns))


def add_slice(tree):
    write_slice(tree, "0011", "D3")


def remove_slice(tree):
    some(tree, "label").unlink()


CHANGES = [change_content, change_label, change_time, change_size, add_slice, remove_slice]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_source_is_decoded_anew_and_replaces_the_old_cache(tree, folder, decoded, change):
    before = read(tree, folder)
    kept = [piece.image.copy() for piece in before]
    old = caches(folder)
    change(tree)
    decoded.clear()
    after = read(tree, folder)
    assert set(decoded) == {piece.slice.name for piece in after}
    assert_right(after, tree)
    assert len(caches(folder)) == 1
    assert caches(folder) != old
    # Whoever has mapped the old one reads on.
    for piece, image in zip(before, kept, strict=True):
        np.testing.assert_array_equal(piece.image, image)


def test_other_data_keeps_its_cache(tree, tmp_path, folder, decoded):
    read(tree, folder)
    write_slice(tmp_path / "other", "0001", "D3", seed=1)
    read(tmp_path / "other", folder)
    change_time(tmp_path / "other")
    read(tmp_path / "other", folder)
    assert len(caches(folder)) == 2
    decoded.clear()
    read(tree, folder)
    assert decoded == []


def test_slices_in_an_archive(tree, tmp_path, folder, decoded):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    assert_right(read(archive, folder), archive)
    decoded.clear()
    read(archive, folder)
    assert decoded == []
    status = archive.stat()
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    read(archive, folder)
    assert len(decoded) == 31


def test_members_changed_in_an_archive_of_the_same_size_and_time(tree, tmp_path, folder):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    before = read(archive, folder)
    status = archive.stat()
    one, other = some(tree), some(tree).with_name("C1_0001_D4.png")
    swapped = other.read_bytes(), one.read_bytes()
    one.write_bytes(swapped[0])
    other.write_bytes(swapped[1])
    pack(tree, archive)
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert archive.stat().st_size == status.st_size
    with ThreadPoolExecutor(1) as pool:  # this thread has the archive's old directory open
        after = pool.submit(read, archive, folder).result()
    np.testing.assert_array_equal(after[0].image, before[1].image)
    np.testing.assert_array_equal(after[1].image, before[0].image)


def test_planes_of_a_volume(tmp_path, folder, decoded):
    for name, one in (("images", test_image_folder.picture), ("masks", test_image_folder.mask)):
        test_image_folder.save(tmp_path / f"data/{name}/p1.nii", np.stack([one(number) for number in range(3)]))
    source = test_image_folder.folder(tmp_path / "data", patient="(.*)")
    found = source.find().slices, source.channels, source.labels, source.third
    for count in (4, 0):
        decoded.clear()
        slices = cached_slices(*found, folder)
        assert len(decoded) == count
        assert_same(slices, load_slices(*found))
        assert len({piece.digest for piece in slices}) == 3


def test_nothing_can_be_written_into_the_cache(tree, folder):
    piece = read(tree, folder)[0]
    for array in (piece.image, piece.label):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def cut_pixels(cached):
    with (cached / PIXELS).open("r+b") as stream:
        stream.truncate((cached / PIXELS).stat().st_size - 1)


def lengthen_pixels(cached):
    with (cached / PIXELS).open("ab") as stream:
        stream.write(b"\0")


def empty_pixels(cached):
    (cached / PIXELS).write_bytes(b"")


def remove_pixels(cached):
    (cached / PIXELS).unlink()


def cut_index(cached):
    (cached / INDEX).write_bytes((cached / INDEX).read_bytes()[:-10])


def blank_index(cached):
    (cached / INDEX).write_bytes(bytes((cached / INDEX).stat().st_size))


def remove_index(cached):
    (cached / INDEX).unlink()


def shorten_index(cached):
    index = json.loads((cached / INDEX).read_text())
    index["slices"].pop()
    (cached / INDEX).write_text(json.dumps(index))


def point_outside(cached):
    index = json.loads((cached / INDEX).read_text())
    index["slices"][-1]["offset"] += 1
    (cached / INDEX).write_text(json.dumps(index))


def replace_index(cached):
    (cached / INDEX).write_text("[]")


DAMAGES = [
    cut_pixels,
    lengthen_pixels,
    empty_pixels,
    remove_pixels,
    cut_index,
    blank_index,
    remove_index,
    shorten_index,
    point_outside,
    replace_index,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_cache_is_built_again(tree, folder, decoded, damage):
    read(tree, folder)
    (cached,) = caches(folder)
    damage(cached)
    decoded.clear()
    assert_right(read(tree, folder), tree)
    assert len(decoded) > 30
    assert caches(folder) == [cached]
    decoded.clear()
    read(tree, folder)
    assert decoded == []


def test_a_damaged_cache_of_other_data_is_cleared_away(tree, tmp_path, folder):
    read(tree, folder)
    cut_index(*caches(folder))
    write_slice(tmp_path / "other", "0001", "D3")
    read(tmp_path / "other", folder)
    assert len(caches(folder)) == 1


def test_what_is_not_the_cache_s_own_stays(tree, folder):
    folder.mkdir()
    (folder / ".Data.zip.part").write_text("mine")
    (folder / "slices-mine").mkdir()
    (folder / ".slices-mine.part").mkdir()
    read(tree, folder)
    assert len(caches(folder)) == 4
    assert (folder / ".Data.zip.part").read_text() == "mine"


def test_a_broken_slice_leaves_no_cache(tree, folder):
    some(tree).write_bytes(some(tree).read_bytes()[:100])
    with pytest.raises(UserError, match="C1_0001_D3"):
        read(tree, folder)
    assert caches(folder) == []


def test_a_file_that_has_gone_is_named(tree, folder):
    pieces = find_slices(tree, "composite").slices
    some(tree).unlink()
    with pytest.raises(UserError, match=r"C1_0001_D3\.png: cannot be read \(No such file"):
        cached_slices(pieces, "composite", LUMBAR, PUBLISHED, folder)


def test_a_folder_that_cannot_be_made_is_named(tree, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"paths\.cache=.*/file/cache: cannot be used .*paths\.cache=null"):
        read(tree, tmp_path / "file" / "cache")


def test_a_read_only_folder_is_named(tree, folder):
    folder.mkdir()
    folder.chmod(0o500)
    try:
        (folder / "probe").touch()
    except PermissionError:
        with pytest.raises(UserError, match=r"paths\.cache=.*Permission denied.*paths\.cache=null"):
            read(tree, folder)
    else:
        pytest.skip("this user may write anywhere")
    finally:
        folder.chmod(0o700)


def test_room_is_looked_at_before_anything_is_written(tree, folder, decoded, monkeypatch):
    needed = 30 * 4 * 64 * 64
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(needed, 0, needed - 1))
    with pytest.raises(UserError, match=rf"paths\.cache=.*{needed:,} bytes, and {needed - 1:,} are free"):
        read(tree, folder)
    assert caches(folder) == []
    assert len(decoded) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(needed, 0, needed))
    assert_right(read(tree, folder), tree)


def in_another_process(code: str, *arguments: object, **more: object) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(program, cwd=REPOSITORY, **pipes, **more)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.data.test_cache import read
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    read(Path(sys.argv[1]), Path(sys.argv[2]))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_disk_that_fills_up_is_named_and_cleared(tree, folder):
    # The system refuses to let the file grow beyond 100 kB of the 490 kB needed.
    said, errors = in_another_process(FULL_DISK, tree, folder).communicate(timeout=60)
    assert said.startswith(f"UserError paths.cache={folder}: cannot be used (File too large)"), errors
    assert caches(folder) == []


SLOW = """
import logging, sys, time
from pathlib import Path
from lss_lightning.data import cache, loading
from tests.data.test_cache import read
logging.basicConfig(level=logging.INFO, format="%(message)s")
usual, count = loading.load_slice, 0
def load(*rest, **more):
    global count
    count += 1
    time.sleep(0.2)
    return usual(*rest, **more)
loading.load_slice = cache.load_slice = load
slices = read(Path(sys.argv[1]), Path(sys.argv[2]))
print(count, sum(int(piece.image.sum()) for piece in slices))
"""


def test_of_several_processes_one_builds(tree, folder):
    processes = [in_another_process(SLOW, tree, folder) for _ in range(3)]
    outputs = [process.communicate(timeout=100) for process in processes]
    counts = sorted(int(said.split()[0]) for said, _ in outputs)
    assert counts == [0, 0, 31]
    assert len({said.split()[1] for said, _ in outputs}) == 1
    waited = [errors for _, errors in outputs if f"waiting for {folder}: another process" in errors]
    assert len(waited) == 2
    assert_right(read(tree, folder), tree)


def test_a_killed_builder_leaves_nothing_that_is_taken_for_a_cache(tree, folder, decoded):
    builder = in_another_process(SLOW, tree, folder)
    deadline = time.monotonic() + 60
    while not list(folder.glob(f".*.part/{PIXELS}")):
        assert builder.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.communicate(timeout=60)
    (left,) = caches(folder)
    assert left.suffix == ".part"
    assert_right(read(tree, folder), tree)
    assert len(decoded) > 30
    assert left not in caches(folder)
    assert len(caches(folder)) == 1


def mapped(path: Path) -> int:
    """Bytes of a file that this process has mapped, and of those that it has written to (and so copied)."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    sizes = {"Rss": 0, "Private_Dirty": 0}
    inside = False
    for line in lines:
        head, *rest = line.split()
        if "-" in head and not head.endswith(":"):
            inside = bool(rest) and rest[-1] == str(path)
        elif inside and head.rstrip(":") in sizes:
            sizes[head.rstrip(":")] += int(rest[0]) * 1024
    assert sizes["Private_Dirty"] == 0
    return sizes["Rss"]


def read_all(dataset: SliceDataset, answer) -> None:
    batch = collate([dataset[index] for index in range(len(dataset))])
    (path,) = {piece.pixels.path for piece in dataset.slices}
    answer.put((int(batch["image"].sum()), mapped(path)))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_map_the_same_file(tree, folder, method):
    slices = read(tree, folder)
    dataset = SliceDataset(slices, None, label_on_working_grid=True)
    # What a spawned worker is sent.
    assert len(pickle.dumps(dataset)) < sum(piece.image.nbytes for piece in slices) / 10
    assert_same(pickle.loads(pickle.dumps(dataset)).slices, slices)
    context = multiprocessing.get_context(method)
    answer = context.SimpleQueue()
    worker = context.Process(target=read_all, args=(dataset, answer))
    worker.start()
    total, resident = answer.get()
    worker.join()
    assert total == sum(int(piece.image.sum()) for piece in slices)
    assert resident >= sum(piece.image.nbytes for piece in slices)


def test_progress_is_silent_where_nobody_looks(tree, folder, capfd, caplog):
    with caplog.at_level(logging.INFO):
        read(tree, folder)
        read(tree, folder)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
