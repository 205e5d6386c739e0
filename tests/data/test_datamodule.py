from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.alkafri_layout import IMAGES
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits.fractions import ImageSplit, PatientSplit, Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.phantom.source import Phantom
from tests.conftest import write_slice


def set_up(root, split=None, cache=None, **settings):
    source = AlKafri(name="alkafri", root=str(root), **{"num_workers": 0, "batch_size": 4, **settings})
    data = SliceDataModule(source, split or PatientSplit(), seed=1, cache=cache)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    return data


def names(data, loader, part):
    slices = data.part(part)
    return [slices[index].slice.name for batch in loader for index in batch["index"].tolist()]


def test_loaders_return_the_parts(tree):
    data = set_up(tree)
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        assert names(data, loader, part) == [loaded.slice.name for loaded in data.part(part)]
    loader = data.train_dataloader()
    order = names(data, loader, "train")
    assert sorted(order) == [loaded.slice.name for loaded in data.part("train")] != order
    assert [len(batch["index"]) for batch in loader] == [4] * 6
    loader.sampler.set_epoch(1)
    assert names(data, loader, "train") != order


def test_training_order_depends_on_the_seed(tree):
    first, second, third = set_up(tree), set_up(tree), set_up(tree)
    third.seed = 2
    orders = [names(data, data.train_dataloader(), "train") for data in (first, second, third)]
    assert orders[0] == orders[1] != orders[2]


def test_slices_are_read_once(tree):
    data = set_up(tree)
    slices = data.slices
    data.setup("test")
    assert data.slices is slices


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_the_cache_equal_batches_from_the_files(tree, tmp_path, workers):
    for _ in range(2):
        for spacing in (None, 2.0):
            cached = set_up(tree, cache=str(tmp_path / "cache"), spacing=spacing, num_workers=workers)
            batches = zip(cached.train_dataloader(), set_up(tree, spacing=spacing).train_dataloader(), strict=True)
            for actual, expected in batches:
                for key, value in expected.items():
                    if isinstance(value, torch.Tensor):
                        assert torch.equal(actual[key], value), key
                    else:
                        assert actual[key] == value, key
    assert len(list((tmp_path / "cache").glob("slices-*"))) == 1


def test_the_cache_may_be_in_the_home_directory(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    set_up(tree, cache="~/cache")
    assert len(list((tmp_path / "cache").glob("slices-*"))) == 1


@pytest.mark.parametrize(
    ("split", "part"),
    [
        (ImageSplit(val_fraction=0.0), None),
        (ImageSplit(val_fraction=0.0, select_on_test=True), "test"),
        (PatientSplit(), "val"),
        (Resubstitution(), "val"),
    ],
)
def test_validation_uses_the_selection_part(tree, split, part):
    data = set_up(tree, split)
    loader = data.val_dataloader()
    if part is None:
        assert loader == []
    else:
        assert names(data, loader, "val" if part == "val" else "test") == [
            loaded.slice.name for loaded in data.part(part)
        ]


def test_working_spacing_is_the_most_frequent_of_the_training_part(tmp_path):
    for patient in range(1, 11):
        write_slice(tmp_path, f"{patient:04d}", "D3", size=(32, 40 if patient % 3 else 80))
    assert set_up(tmp_path).spacing == 220 / 40
    data = set_up(tmp_path, spacing=2.0)
    assert data.spacing == 2.0
    batch = next(iter(data.train_dataloader()))
    assert {size[1] for size in batch["image_sizes"]} == {110}
    assert batch["image"].shape[-2:] == batch["label"].shape[-2:]


def test_evaluation_labels_keep_their_grid(tmp_path):
    for patient in range(1, 11):
        write_slice(tmp_path, f"{patient:04d}", "D3", size=(32, 40))
    data = set_up(tmp_path, spacing=2.0)
    batch = next(iter(data.test_dataloader()))
    assert (batch["image_sizes"], batch["label_sizes"]) == ([(88, 110)], [(32, 40)])
    np.testing.assert_array_equal(batch["label"][0], data.part("test")[0].label)


def test_unknown_spacing_is_logged_once(tree, caplog):
    data = set_up(tree)
    # Al-Kafri files always have a spacing; those of other sources may not.
    data.slices = [replace(loaded, spacing=None) for loaded in data.slices]
    data.spacing = None
    with caplog.at_level(logging.WARNING):
        data.choose_spacing()
    assert data.spacing is None
    assert caplog.messages == ["pixel spacing unknown for some images: they are used in their native pixels"]


def test_too_few_patients_are_refused_before_reading_images(tree):
    for path in tree.rglob("*_D?.png"):
        if path.name.split("_")[1] > "0003":
            path.unlink()
    (tree / IMAGES["composite"][0] / "C1_0001_D3.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="3 patients leave none for the val part"):
        set_up(tree)
    with pytest.raises(UserError, match="C1_0001_D3"):
        set_up(tree, Resubstitution())


@pytest.mark.parametrize(("workers", "used"), [(0, 0), (2, 1), (8, 1)])
def test_no_more_workers_than_batches(tree, workers, used):
    assert set_up(tree, num_workers=workers).test_dataloader().num_workers == used


def test_the_phantom_is_read(tmp_path):
    source = Phantom(name="phantom", root=str(tmp_path), patients=3, image_size=64, num_workers=0)
    data = SliceDataModule(source, PatientSplit(val_fraction=0.0, test_fraction=0.3))
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    assert len(data.slices) == 9
    assert data.spacing == 220 / 64
    assert {part: len(indices) for part, indices in data.parts.items()} == {"train": 6, "val": 0, "test": 3}


def test_real_slices_make_batches(sample):
    for channels, count in (("composite", 5), ("t2", 9)):
        data = set_up(sample, Resubstitution(), channels=channels)
        batch = next(iter(data.test_dataloader()))
        assert batch["image"].shape[1] == (3 if channels == "composite" else 1)
        assert len(names(data, data.test_dataloader(), "test")) == count
        assert {size for sizes in batch["image_sizes"] for size in sizes} <= set(range(180, 400))
