import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from lss_lightning.labels import IGNORED
from lss_lightning.metrics import ImageConfusion

CLASSES = 6


def random_maps(images, height=24, width=20, seed=0):
    """Predictions, targets with a padded margin, and indices in an order that is not the data set's."""
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randint(0, CLASSES, (images, height, width), generator=generator)
    target = torch.randint(0, CLASSES, (images, height, width), generator=generator).to(torch.uint8)
    target[:, :, width - 3 :] = IGNORED
    return predicted, target, torch.randperm(images, generator=generator)


def counted_one_by_one(predicted, target):
    counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for guess, truth in zip(predicted.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != IGNORED:
            counts[truth, guess] += 1
    return counts


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_counts_each_image_by_true_row_and_predicted_column(dtype):
    predicted, target, index = random_maps(5)
    metric = ImageConfusion(CLASSES)
    metric.update(predicted.to(dtype), target.to(dtype), index)

    indices, counts = metric.compute()

    assert indices.tolist() == [0, 1, 2, 3, 4]
    assert counts.dtype == np.int64
    for place, image in enumerate(index.tolist()):
        np.testing.assert_array_equal(counts[image], counted_one_by_one(predicted[place], target[place]))


def test_ignored_pixels_count_for_nothing():
    predicted, target, index = random_maps(3)
    metric = ImageConfusion(CLASSES)
    metric.update(predicted, target, index)
    before = metric.compute()[1]
    assert before.sum() == (target != IGNORED).sum().item()

    metric.reset()
    metric.update(torch.where(target == IGNORED, 1, predicted), target, index)
    np.testing.assert_array_equal(metric.compute()[1], before)

    metric.reset()
    metric.update(predicted, torch.full_like(target, IGNORED), index)
    assert metric.compute()[1].sum() == 0


def test_an_image_counted_twice_appears_once():
    predicted, target, _ = random_maps(4)
    metric = ImageConfusion(CLASSES)
    metric.update(predicted[:2], target[:2], torch.tensor([7, 3]))
    metric.update(predicted[[2, 0]], target[[2, 0]], torch.tensor([9, 7]))

    indices, counts = metric.compute()

    assert indices.tolist() == [3, 7, 9]
    np.testing.assert_array_equal(counts[1], counted_one_by_one(predicted[0], target[0]))


@pytest.mark.parametrize("images", [0, 1])
def test_no_image_and_one_image_keep_their_shape(images):
    predicted, target, index = random_maps(1)
    metric = ImageConfusion(CLASSES)
    metric.update(predicted[:images], target[:images], index[:images])

    indices, counts = metric.compute()

    assert indices.shape == (images,)
    assert counts.shape == (images, CLASSES, CLASSES)


def test_reset_forgets():
    metric = ImageConfusion(CLASSES)
    metric.update(*random_maps(2))
    metric.reset()
    metric.update(*random_maps(1))
    assert metric.compute()[0].tolist() == [0]


def test_shards_concatenate_to_the_whole():
    predicted, target, index = random_maps(6)
    whole, first, second = (ImageConfusion(CLASSES) for _ in range(3))
    whole.update(predicted, target, index)
    first.update(predicted[:4], target[:4], index[:4])
    second.update(predicted[4:], target[4:], index[4:])

    first.indices.extend(second.indices)
    first.counts.extend(second.counts)

    for merged, expected in zip(first.compute(), whole.compute(), strict=True):
        np.testing.assert_array_equal(merged, expected)


def test_update_never_waits_for_the_device():
    # Tensors on the meta device hold no values, so an operation that would fetch one from a device fails on them.
    metric = ImageConfusion(CLASSES).to("meta")
    metric.update(*(tensor.to("meta") for tensor in random_maps(2)))
    assert metric.counts[-1].shape == (2, CLASSES, CLASSES)
    with pytest.raises((NotImplementedError, RuntimeError)):
        metric.compute()


def count_on_rank(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    metric = ImageConfusion(CLASSES)
    if rank == 0:
        metric.update(*random_maps(3))
    indices, counts = metric.compute()
    np.savez(folder / f"{rank}.npz", indices=indices, counts=counts)
    distributed.destroy_process_group()


def test_a_device_without_images_takes_part_in_gathering(tmp_path):
    multiprocessing.spawn(count_on_rank, args=(tmp_path,), nprocs=2)

    alone = ImageConfusion(CLASSES)
    alone.update(*random_maps(3))
    for rank in range(2):
        gathered = np.load(tmp_path / f"{rank}.npz")
        np.testing.assert_array_equal(gathered["indices"], alone.compute()[0])
        np.testing.assert_array_equal(gathered["counts"], alone.compute()[1])
