from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lss_lightning.data.batches import EpochSampler, SliceDataset, collate
from lss_lightning.data.loading import LoadedSlice, resample_image, resample_label
from lss_lightning.data.slices import Slice
from lss_lightning.labels import IGNORED


def loaded(height, width, spacing, seed=0, channels=3):
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 256, (channels, height, width), dtype=np.uint8)
    label = rng.integers(0, 6, (height, width), dtype=np.uint8)
    return LoadedSlice(Slice("0001", "D3", {}, Path(), None), image, label, spacing, str(seed))


def samplers(length, ranks, *, shuffle, epoch=0, seed=0):
    dealt = [EpochSampler(length, shuffle=shuffle, seed=seed, rank=rank, ranks=ranks) for rank in range(ranks)]
    for sampler in dealt:
        sampler.set_epoch(epoch)
    return dealt


@pytest.mark.parametrize("on_working_grid", [True, False])
def test_training_labels_follow_the_image_and_scored_labels_stay(on_working_grid):
    piece = loaded(40, 56, 1.0)
    item = SliceDataset([piece], 0.5, label_on_working_grid=on_working_grid)[0]
    assert item["image"].shape == (3, 80, 112)
    np.testing.assert_array_equal(item["image"], resample_image(piece.image, (80, 112)))
    expected = resample_label(piece.label, (80, 112)) if on_working_grid else piece.label
    np.testing.assert_array_equal(item["label"], expected)
    assert (item["image"].dtype, item["label"].dtype, item["index"]) == (np.uint8, np.uint8, 0)


@pytest.mark.parametrize(("own", "working"), [(None, 0.5), (1.0, None), (None, None)])
def test_native_pixels_where_a_spacing_is_unknown(own, working):
    item = SliceDataset([loaded(40, 56, own)], working, label_on_working_grid=True)[0]
    assert item["image"].shape == (3, 40, 56)


def test_sizes_are_padded_at_the_right_and_the_bottom():
    slices = [loaded(40, 56, 1.0, 1), loaded(64, 32, 1.0, 2), loaded(50, 50, 2.0, 3)]
    dataset = SliceDataset(slices, 1.0, label_on_working_grid=False)
    batch = collate([dataset[index] for index in (2, 0, 1)])
    assert batch["index"].tolist() == [2, 0, 1]
    assert batch["index"].dtype == torch.int64
    assert batch["image"].shape == (3, 3, 100, 100)
    assert batch["label"].shape == (3, 64, 56)
    assert batch["image_sizes"] == [(100, 100), (40, 56), (64, 32)]
    assert batch["label_sizes"] == [(50, 50), (40, 56), (64, 32)]
    for place, index in enumerate((2, 0, 1)):
        height, width = batch["image_sizes"][place]
        image = batch["image"][place]
        np.testing.assert_array_equal(image[:, :height, :width], dataset[index]["image"])
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
        height, width = batch["label_sizes"][place]
        label = batch["label"][place]
        np.testing.assert_array_equal(label[:height, :width], slices[index].label)
        assert (label[height:] == IGNORED).all()
        assert (label[:, width:] == IGNORED).all()
    assert IGNORED == 255


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("length", [1, 2, 12, 155])
def test_scoring_deals_each_slice_exactly_once(length, ranks):
    dealt = samplers(length, ranks, shuffle=False)
    assert sorted(index for sampler in dealt for index in sampler) == list(range(length))
    assert all(len(sampler) == len(list(sampler)) for sampler in dealt)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [4, 13, 155])
def test_training_gives_every_rank_as_many_and_none_twice(length, ranks):
    for epoch in range(3):
        dealt = samplers(length, ranks, shuffle=True, epoch=epoch)
        shares = [list(sampler) for sampler in dealt]
        assert {len(share) for share in shares} == {length // ranks} == {len(sampler) for sampler in dealt}
        together = [index for share in shares for index in share]
        assert len(set(together)) == len(together)
        assert set(together) <= set(range(length))


def test_slices_left_out_change_with_the_epoch():
    shown = [{i for sampler in samplers(13, 4, shuffle=True, epoch=epoch) for i in sampler} for epoch in range(20)]
    assert set.union(*shown) == set(range(13))
    assert len(set(map(frozenset, shown))) > 1


def test_order_is_keyed_by_seed_and_epoch():
    def order(seed, epoch):
        [sampler] = samplers(50, 1, shuffle=True, seed=seed, epoch=epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    # Two ranks deal out the one order in turn.
    pair = [list(sampler) for sampler in samplers(50, 2, shuffle=True, epoch=3)]
    assert [index for both in zip(*pair, strict=True) for index in both] == order(0, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    dataset = SliceDataset([loaded(16, 16, None, seed) for seed in range(11)], None, label_on_working_grid=True)
    [sampler] = samplers(11, 1, shuffle=True, epoch=2)
    torch.manual_seed(workers)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=collate)
    batches = list(loader)
    assert [index for batch in batches for index in batch["index"].tolist()] == list(sampler)
    for batch in batches:
        for index, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            np.testing.assert_array_equal(image, dataset[index]["image"])
