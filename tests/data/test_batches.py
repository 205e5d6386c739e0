from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lss_lightning.data.batches import EpochSampler, SliceDataset, collate
from lss_lightning.data.loading import LoadedSlice, resample_image, resample_label
from lss_lightning.data.slices import Slice
from lss_lightning.labels import IGNORE_INDEX


def make_slice(height, width, spacing, seed=0, channels=3):
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 256, (channels, height, width), dtype=np.uint8)
    label = rng.integers(0, 6, (height, width), dtype=np.uint8)
    return LoadedSlice(Slice("0001", "D3", {}, Path(), None), image, label, spacing, str(seed))


def make_samplers(length, ranks, *, shuffle, epoch=0, seed=0):
    samplers = [EpochSampler(length, shuffle=shuffle, seed=seed, rank=rank, ranks=ranks) for rank in range(ranks)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return samplers


@pytest.mark.parametrize("on_working_grid", [True, False])
def test_training_labels_are_resampled_and_evaluation_labels_are_not(on_working_grid):
    loaded = make_slice(40, 56, 1.0)
    item = SliceDataset([loaded], 0.5, label_on_working_grid=on_working_grid)[0]
    assert item["image"].shape == (3, 80, 112)
    np.testing.assert_array_equal(item["image"], resample_image(loaded.image, (80, 112)))
    expected = resample_label(loaded.label, (80, 112)) if on_working_grid else loaded.label
    np.testing.assert_array_equal(item["label"], expected)
    assert item["image"].dtype == item["label"].dtype == np.dtype(np.uint8)
    assert item["index"] == 0


@pytest.mark.parametrize(("own", "working"), [(None, 0.5), (1.0, None), (None, None)])
def test_unknown_spacing_keeps_native_pixels(own, working):
    item = SliceDataset([make_slice(40, 56, own)], working, label_on_working_grid=True)[0]
    assert item["image"].shape == (3, 40, 56)


def test_slices_are_padded_at_the_right_and_the_bottom():
    slices = [make_slice(40, 56, 1.0, 1), make_slice(64, 32, 1.0, 2), make_slice(50, 50, 2.0, 3)]
    dataset = SliceDataset(slices, 1.0, label_on_working_grid=False)
    batch = collate([dataset[index] for index in (2, 0, 1)])
    assert batch["index"].tolist() == [2, 0, 1]
    assert batch["index"].dtype == torch.int64
    assert batch["image"].shape == (3, 3, 100, 100)
    assert batch["label"].shape == (3, 64, 56)
    assert batch["image_sizes"] == [(100, 100), (40, 56), (64, 32)]
    assert batch["label_sizes"] == [(50, 50), (40, 56), (64, 32)]
    for position, index in enumerate((2, 0, 1)):
        height, width = batch["image_sizes"][position]
        image = batch["image"][position]
        np.testing.assert_array_equal(image[:, :height, :width], dataset[index]["image"])
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
        height, width = batch["label_sizes"][position]
        label = batch["label"][position]
        np.testing.assert_array_equal(label[:height, :width], slices[index].label)
        assert (label[height:] == IGNORE_INDEX).all()
        assert (label[:, width:] == IGNORE_INDEX).all()
    assert IGNORE_INDEX == 255


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("length", [1, 2, 12, 155])
def test_evaluation_samples_each_slice_exactly_once(length, ranks):
    samplers = make_samplers(length, ranks, shuffle=False)
    assert sorted(index for sampler in samplers for index in sampler) == list(range(length))
    assert all(len(sampler) == len(list(sampler)) for sampler in samplers)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [4, 13, 155])
def test_training_gives_every_rank_the_same_number_of_distinct_slices(length, ranks):
    for epoch in range(3):
        samplers = make_samplers(length, ranks, shuffle=True, epoch=epoch)
        by_rank = [list(sampler) for sampler in samplers]
        assert {len(indices) for indices in by_rank} == {length // ranks} == {len(sampler) for sampler in samplers}
        sampled = [index for indices in by_rank for index in indices]
        assert len(set(sampled)) == len(sampled)
        assert set(sampled) <= set(range(length))


def test_dropped_slices_change_with_the_epoch():
    sampled = [
        {index for sampler in make_samplers(13, 4, shuffle=True, epoch=epoch) for index in sampler}
        for epoch in range(20)
    ]
    assert set.union(*sampled) == set(range(13))
    assert len(set(map(frozenset, sampled))) > 1


def test_order_depends_on_seed_and_epoch():
    def order(seed, epoch):
        [sampler] = make_samplers(50, 1, shuffle=True, seed=seed, epoch=epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    # Two ranks take turns in the same order.
    pair = [list(sampler) for sampler in make_samplers(50, 2, shuffle=True, epoch=3)]
    assert [index for both in zip(*pair, strict=True) for index in both] == order(0, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    dataset = SliceDataset([make_slice(16, 16, None, seed) for seed in range(11)], None, label_on_working_grid=True)
    [sampler] = make_samplers(11, 1, shuffle=True, epoch=2)
    torch.manual_seed(workers)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=collate)
    batches = list(loader)
    assert [index for batch in batches for index in batch["index"].tolist()] == list(sampler)
    for batch in batches:
        for index, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            np.testing.assert_array_equal(image, dataset[index]["image"])
