from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.slices import IMAGES
from lss_lightning.data.splits.fractions import ImageSplit, PatientSplit, Resubstitution
from lss_lightning.errors import UserError
from lss_lightning.phantom.source import Phantom
from tests.conftest import write_slice


def ready(root, split=None, cache=None, **settings):
    source = AlKafri(name="alkafri", root=str(root), **{"num_workers": 0, "batch_size": 4, **settings})
    data = SliceDataModule(source, split or PatientSplit(), seed=1, cache=cache)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    return data


def names(data, loader, part):
    slices = data.part(part)
    return [slices[index].slice.name for batch in loader for index in batch["index"].tolist()]


def test_loaders_hand_out_the_parts(tree):
    data = ready(tree)
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        assert names(data, loader, part) == [piece.slice.name for piece in data.part(part)]
    loader = data.train_dataloader()
    shown = names(data, loader, "train")
    assert sorted(shown) == [piece.slice.name for piece in data.part("train")] != shown
    assert [len(batch["index"]) for batch in loader] == [4] * 6
    loader.sampler.set_epoch(1)
    assert names(data, loader, "train") != shown


def test_training_order_follows_the_seed(tree):
    first, again, other = ready(tree), ready(tree), ready(tree)
    other.seed = 2
    orders = [names(data, data.train_dataloader(), "train") for data in (first, again, other)]
    assert orders[0] == orders[1] != orders[2]


def test_nothing_is_read_twice(tree):
    data = ready(tree)
    slices = data.slices
    data.setup("test")
    assert data.slices is slices


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_out_of_the_cache_are_those_out_of_the_files(tree, tmp_path, workers):
    for _ in range(2):
        for spacing in (None, 2.0):
            cached = ready(tree, cache=str(tmp_path / "cache"), spacing=spacing, num_workers=workers)
            batches = zip(cached.train_dataloader(), ready(tree, spacing=spacing).train_dataloader(), strict=True)
            for one, other in batches:
                for key, value in other.items():
                    if isinstance(value, torch.Tensor):
                        assert torch.equal(one[key], value), key
                    else:
                        assert one[key] == value, key
    assert len(list((tmp_path / "cache").glob("slices-*"))) == 1


def test_the_cache_may_lie_in_the_home_directory(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ready(tree, cache="~/cache")
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
def test_the_selecting_part_is_what_validation_sees(tree, split, part):
    data = ready(tree, split)
    loader = data.val_dataloader()
    if part is None:
        assert loader == []
    else:
        assert names(data, loader, "val" if part == "val" else "test") == [p.slice.name for p in data.part(part)]


def test_working_spacing_is_the_most_frequent_of_the_training_part(tmp_path):
    for patient in range(1, 11):
        write_slice(tmp_path, f"{patient:04d}", "D3", size=(32, 40 if patient % 3 else 80))
    assert ready(tmp_path).spacing == 220 / 40
    data = ready(tmp_path, spacing=2.0)
    assert data.spacing == 2.0
    batch = next(iter(data.train_dataloader()))
    assert {size[1] for size in batch["image_sizes"]} == {110}
    assert batch["image"].shape[-2:] == batch["label"].shape[-2:]


def test_scored_labels_keep_their_own_grid(tmp_path):
    for patient in range(1, 11):
        write_slice(tmp_path, f"{patient:04d}", "D3", size=(32, 40))
    data = ready(tmp_path, spacing=2.0)
    batch = next(iter(data.test_dataloader()))
    assert (batch["image_sizes"], batch["label_sizes"]) == ([(88, 110)], [(32, 40)])
    np.testing.assert_array_equal(batch["label"][0], data.part("test")[0].label)


def test_unknown_spacing_is_said_once(tree, caplog):
    data = ready(tree)
    # Al-Kafri files always have a spacing: other sources may not.
    data.slices = [type(piece)(piece.slice, piece.image, piece.label, None, piece.digest) for piece in data.slices]
    data.spacing = None
    with caplog.at_level(logging.WARNING):
        data.choose_spacing()
    assert data.spacing is None
    assert caplog.messages == ["pixel spacing unknown for some images: they are used in their native pixels"]


def test_too_few_patients_are_refused_before_any_image_is_read(tree):
    for path in tree.rglob("*_D?.png"):
        if path.name.split("_")[1] > "0003":
            path.unlink()
    (tree / IMAGES["composite"][0] / "C1_0001_D3.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="3 patients leave none for the val part"):
        ready(tree)
    with pytest.raises(UserError, match="C1_0001_D3"):
        ready(tree, Resubstitution())


@pytest.mark.parametrize(("asked", "used"), [(0, 0), (2, 1), (8, 1)])
def test_no_more_workers_than_batches(tree, asked, used):
    assert ready(tree, num_workers=asked).test_dataloader().num_workers == used


def test_the_phantom_is_read_by_the_same_reader(tmp_path):
    source = Phantom(name="phantom", root=str(tmp_path), patients=3, image_size=64, num_workers=0)
    data = SliceDataModule(source, PatientSplit(val_fraction=0.0, test_fraction=0.3))
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    assert len(data.slices) == 9
    assert data.spacing == 220 / 64
    assert {part: len(indices) for part, indices in data.parts.items()} == {"train": 6, "val": 0, "test": 3}


def test_the_real_slices_make_batches(sample):
    for channels, count in (("composite", 5), ("t2", 9)):
        data = ready(sample, Resubstitution(), channels=channels)
        batch = next(iter(data.test_dataloader()))
        assert batch["image"].shape[1] == (3 if channels == "composite" else 1)
        assert len(names(data, data.test_dataloader(), "test")) == count
        assert {size for sizes in batch["image_sizes"] for size in sizes} <= set(range(180, 400))
