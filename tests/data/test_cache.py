from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.cache import load_cached_slices
from lss_lightning.data.composite import THIRD_CHANNELS
from lss_lightning.data.loading import load_slices
from lss_lightning.labels import LUMBAR, LabelSet
from tests.conftest import write_slice
from tests.data.archives import pack
from tests.data.caching import assert_as_decoded, assert_same, first_file, list_caches, read
from tests.data.image_files import folder_source, mask, picture, save


@pytest.mark.parametrize("channels", ["composite", "t1", "t1_t2"])
def test_cached_slices_equal_decoded_slices(tree, cache_folder, channels):
    first = read(tree, cache_folder, channels)
    assert_as_decoded(first, tree, channels)
    assert_as_decoded(read(tree, cache_folder, channels), tree, channels)
    assert len(list_caches(cache_folder)) == 1


def test_cached_slices_are_not_decoded_again(tree, cache_folder, decoded):
    read(tree, cache_folder)
    assert len(decoded) == 31
    decoded.clear()
    read(tree, cache_folder)
    assert decoded == []


def test_the_cache_does_not_depend_on_the_working_directory(tree, cache_folder, decoded, monkeypatch):
    read(tree, cache_folder)
    decoded.clear()
    monkeypatch.chdir(tree.parent)
    read(Path(tree.name), Path(cache_folder.name))
    assert decoded == []


def test_slices_keep_their_sizes(tmp_path, cache_folder):
    for patient, size in enumerate([(64, 64), (31, 80), (100, 40)], start=1):
        write_slice(tmp_path / "mixed", f"{patient:04d}", "D3", size)
    for _ in range(2):
        slices = read(tmp_path / "mixed", cache_folder)
        assert [loaded.image.shape for loaded in slices] == [(3, 64, 64), (3, 31, 80), (3, 100, 40)]
        assert_as_decoded(slices, tmp_path / "mixed")


def test_each_choice_of_channels_has_its_cache(tree, cache_folder, decoded):
    for channels in ("composite", "t2", "composite", "t2"):
        assert_as_decoded(read(tree, cache_folder, channels), tree, channels)
    assert len(list_caches(cache_folder)) == 2


def test_each_third_channel_has_its_cache(tree, cache_folder):
    for _ in range(2):
        for third_channel in THIRD_CHANNELS:
            slices = read(tree, cache_folder, third_channel=third_channel)
            files = [loaded.slice for loaded in slices]
            assert_same(slices, load_slices(files, "composite", LUMBAR, third_channel))
    assert len(list_caches(cache_folder)) == len(THIRD_CHANNELS)


def test_each_order_of_codes_has_its_cache(tree, cache_folder):
    read(tree, cache_folder)
    reversed_labels = LabelSet(LUMBAR.labels[::-1])
    slices = read(tree, cache_folder, labels=reversed_labels)
    np.testing.assert_array_equal(slices[0].label, 5 - load_slices([slices[0].slice], "composite", LUMBAR)[0].label)
    assert len(list_caches(cache_folder)) == 2


def repaint(path):
    pixels = np.array(Image.open(path))
    pixels[:2] = pixels[-1:]
    Image.fromarray(pixels).save(path)


def change_content(tree):
    repaint(first_file(tree))


def change_label(tree):
    repaint(first_file(tree, "label"))


def change_time(tree):
    status = first_file(tree).stat()
    os.utime(first_file(tree), ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def change_size(tree):
    status = first_file(tree).stat()
    with first_file(tree).open("ab") as stream:
        stream.write(b"\0")
    os.utime(first_file(tree), ns=(status.st_atime_ns, status.st_mtime_ns))


def add_slice(tree):
    write_slice(tree, "0011", "D3")


def remove_slice(tree):
    first_file(tree, "label").unlink()


CHANGES = [change_content, change_label, change_time, change_size, add_slice, remove_slice]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_source_is_decoded_again_and_replaces_its_cache(tree, cache_folder, decoded, change):
    before = read(tree, cache_folder)
    images = [loaded.image.copy() for loaded in before]
    old = list_caches(cache_folder)
    change(tree)
    decoded.clear()
    after = read(tree, cache_folder)
    assert set(decoded) == {loaded.slice.name for loaded in after}
    assert_as_decoded(after, tree)
    assert len(list_caches(cache_folder)) == 1
    assert list_caches(cache_folder) != old
    # Arrays that are mapped from the deleted cache stay valid.
    for loaded, image in zip(before, images, strict=True):
        np.testing.assert_array_equal(loaded.image, image)


def test_other_data_keeps_its_cache(tree, tmp_path, cache_folder, decoded):
    read(tree, cache_folder)
    write_slice(tmp_path / "other", "0001", "D3", seed=1)
    read(tmp_path / "other", cache_folder)
    change_time(tmp_path / "other")
    read(tmp_path / "other", cache_folder)
    assert len(list_caches(cache_folder)) == 2
    decoded.clear()
    read(tree, cache_folder)
    assert decoded == []


def test_archives_are_cached(tree, tmp_path, cache_folder, decoded):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    assert_as_decoded(read(archive, cache_folder), archive)
    decoded.clear()
    read(archive, cache_folder)
    assert decoded == []
    status = archive.stat()
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    read(archive, cache_folder)
    assert len(decoded) == 31


def test_changed_members_of_an_archive_are_noticed_at_equal_size_and_time(tree, tmp_path, cache_folder):
    archive = pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    before = read(archive, cache_folder)
    status = archive.stat()
    first, second = first_file(tree), first_file(tree).with_name("C1_0001_D4.png")
    swapped = second.read_bytes(), first.read_bytes()
    first.write_bytes(swapped[0])
    second.write_bytes(swapped[1])
    pack(tree, archive)
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert archive.stat().st_size == status.st_size
    with ThreadPoolExecutor(1) as pool:  # this thread still has the old archive open
        after = pool.submit(read, archive, cache_folder).result()
    np.testing.assert_array_equal(after[0].image, before[1].image)
    np.testing.assert_array_equal(after[1].image, before[0].image)


def test_planes_of_a_volume_are_cached(tmp_path, cache_folder, decoded):
    for name, make in (("images", picture), ("masks", mask)):
        save(tmp_path / f"data/{name}/p1.nii", np.stack([make(number) for number in range(3)]))
    source = folder_source(tmp_path / "data", patient="(.*)")
    options = source.find().slices, source.channels, source.labels, source.third_channel
    for count in (4, 0):
        decoded.clear()
        slices = load_cached_slices(*options, cache_folder)
        assert len(decoded) == count
        assert_same(slices, load_slices(*options))
        assert len({loaded.digest for loaded in slices}) == 3


def test_cached_arrays_are_read_only(tree, cache_folder):
    loaded = read(tree, cache_folder)[0]
    for array in (loaded.image, loaded.label):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_no_progress_bar_without_a_terminal(tree, cache_folder, capfd, caplog):
    with caplog.at_level(logging.INFO):
        read(tree, cache_folder)
        read(tree, cache_folder)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
