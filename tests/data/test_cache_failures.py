from __future__ import annotations

import json
import shutil

import pytest

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.cache import load_cached_slices
from lss_lightning.data.composite import PUBLISHED_FORMULA
from lss_lightning.data.packed import INDEX_FILE, PIXEL_FILE
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from tests.conftest import write_slice
from tests.data.caching import assert_as_decoded, first_file, list_caches, read


def cut_pixels(cached):
    with (cached / PIXEL_FILE).open("r+b") as stream:
        stream.truncate((cached / PIXEL_FILE).stat().st_size - 1)


def lengthen_pixels(cached):
    with (cached / PIXEL_FILE).open("ab") as stream:
        stream.write(b"\0")


def empty_pixels(cached):
    (cached / PIXEL_FILE).write_bytes(b"")


def remove_pixels(cached):
    (cached / PIXEL_FILE).unlink()


def cut_index(cached):
    (cached / INDEX_FILE).write_bytes((cached / INDEX_FILE).read_bytes()[:-10])


def blank_index(cached):
    (cached / INDEX_FILE).write_bytes(bytes((cached / INDEX_FILE).stat().st_size))


def remove_index(cached):
    (cached / INDEX_FILE).unlink()


def shorten_index(cached):
    index = json.loads((cached / INDEX_FILE).read_text())
    index["slices"].pop()
    (cached / INDEX_FILE).write_text(json.dumps(index))


def point_outside(cached):
    index = json.loads((cached / INDEX_FILE).read_text())
    index["slices"][-1]["offset"] += 1
    (cached / INDEX_FILE).write_text(json.dumps(index))


def replace_index(cached):
    (cached / INDEX_FILE).write_text("[]")


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
def test_a_damaged_cache_is_built_again(tree, cache_folder, decoded, damage):
    read(tree, cache_folder)
    (cached,) = list_caches(cache_folder)
    damage(cached)
    decoded.clear()
    assert_as_decoded(read(tree, cache_folder), tree)
    assert len(decoded) > 30
    assert list_caches(cache_folder) == [cached]
    decoded.clear()
    read(tree, cache_folder)
    assert decoded == []


def test_a_damaged_cache_of_other_data_is_deleted(tree, tmp_path, cache_folder):
    read(tree, cache_folder)
    cut_index(*list_caches(cache_folder))
    write_slice(tmp_path / "other", "0001", "D3")
    read(tmp_path / "other", cache_folder)
    assert len(list_caches(cache_folder)) == 1


def test_foreign_files_in_the_cache_folder_stay(tree, cache_folder):
    cache_folder.mkdir()
    (cache_folder / ".Data.zip.part").write_text("mine")
    (cache_folder / "slices-mine").mkdir()
    (cache_folder / ".slices-mine.part").mkdir()
    read(tree, cache_folder)
    assert len(list_caches(cache_folder)) == 4
    assert (cache_folder / ".Data.zip.part").read_text() == "mine"


def test_a_broken_slice_leaves_no_cache(tree, cache_folder):
    first_file(tree).write_bytes(first_file(tree).read_bytes()[:100])
    with pytest.raises(UserError, match="C1_0001_D3"):
        read(tree, cache_folder)
    assert list_caches(cache_folder) == []


def test_a_missing_file_is_named(tree, cache_folder):
    slices = find_slices(tree, "composite").slices
    first_file(tree).unlink()
    with pytest.raises(UserError, match=r"C1_0001_D3\.png: cannot be read \(No such file"):
        load_cached_slices(slices, "composite", LUMBAR, PUBLISHED_FORMULA, cache_folder)


def test_a_folder_that_cannot_be_created_is_named(tree, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"paths\.cache=.*/file/cache: cannot be used .*paths\.cache=null"):
        read(tree, tmp_path / "file" / "cache")


def test_a_read_only_folder_is_named(tree, cache_folder):
    cache_folder.mkdir()
    cache_folder.chmod(0o500)
    try:
        (cache_folder / "probe").touch()
    except PermissionError:
        with pytest.raises(UserError, match=r"paths\.cache=.*Permission denied.*paths\.cache=null"):
            read(tree, cache_folder)
    else:
        pytest.skip("this user may write anywhere")
    finally:
        cache_folder.chmod(0o700)


def test_disk_space_is_checked_before_writing(tree, cache_folder, decoded, monkeypatch):
    needed = 30 * 4 * 64 * 64
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(needed, 0, needed - 1))
    with pytest.raises(UserError, match=rf"paths\.cache=.*{needed:,} bytes, and {needed - 1:,} are free"):
        read(tree, cache_folder)
    assert list_caches(cache_folder) == []
    assert len(decoded) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(needed, 0, needed))
    assert_as_decoded(read(tree, cache_folder), tree)
