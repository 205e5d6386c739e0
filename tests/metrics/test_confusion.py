import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.metrics import ConfusionMetric

CLASSES = 6


def random_maps(images, height=24, width=20, seed=0):
    """Predictions, targets with a padded margin, and shuffled indices of the dataset."""
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randint(0, CLASSES, (images, height, width), generator=generator)
    target = torch.randint(0, CLASSES, (images, height, width), generator=generator).to(torch.uint8)
    target[:, :, width - 3 :] = IGNORE_INDEX
    return predicted, target, torch.randperm(images, generator=generator)


def count_pixel_by_pixel(predicted, target):
    counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for guess, truth in zip(predicted.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != IGNORE_INDEX:
            counts[truth, guess] += 1
    return counts


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_rows_are_true_and_columns_predicted_classes(dtype):
    predicted, target, index = random_maps(5)
    metric = ConfusionMetric(CLASSES)
    metric.update(predicted.to(dtype), target.to(dtype), index)

    indices, counts = metric.compute()

    assert indices.tolist() == [0, 1, 2, 3, 4]
    assert counts.dtype == np.int64
    for position, image in enumerate(index.tolist()):
        np.testing.assert_array_equal(counts[image], count_pixel_by_pixel(predicted[position], target[position]))


def test_ignored_pixels_are_not_counted():
    predicted, target, index = random_maps(3)
    metric = ConfusionMetric(CLASSES)
    metric.update(predicted, target, index)
    before = metric.compute()[1]
    assert before.sum() == (target != IGNORE_INDEX).sum().item()

    metric.reset()
    metric.update(torch.where(target == IGNORE_INDEX, 1, predicted), target, index)
    np.testing.assert_array_equal(metric.compute()[1], before)

    metric.reset()
    metric.update(predicted, torch.full_like(target, IGNORE_INDEX), index)
    assert metric.compute()[1].sum() == 0


def test_an_image_added_twice_appears_once():
    predicted, target, _ = random_maps(4)
    metric = ConfusionMetric(CLASSES)
    metric.update(predicted[:2], target[:2], torch.tensor([7, 3]))
    metric.update(predicted[[2, 0]], target[[2, 0]], torch.tensor([9, 7]))

    indices, counts = metric.compute()

    assert indices.tolist() == [3, 7, 9]
    np.testing.assert_array_equal(counts[1], count_pixel_by_pixel(predicted[0], target[0]))


@pytest.mark.parametrize("images", [0, 1])
def test_shapes_with_zero_and_one_image(images):
    predicted, target, index = random_maps(1)
    metric = ConfusionMetric(CLASSES)
    metric.update(predicted[:images], target[:images], index[:images])

    indices, counts = metric.compute()

    assert indices.shape == (images,)
    assert counts.shape == (images, CLASSES, CLASSES)


def test_reset_removes_all_images():
    metric = ConfusionMetric(CLASSES)
    metric.update(*random_maps(2))
    metric.reset()
    metric.update(*random_maps(1))
    assert metric.compute()[0].tolist() == [0]


def test_concatenated_shards_equal_the_whole():
    predicted, target, index = random_maps(6)
    whole, first, second = (ConfusionMetric(CLASSES) for _ in range(3))
    whole.update(predicted, target, index)
    first.update(predicted[:4], target[:4], index[:4])
    second.update(predicted[4:], target[4:], index[4:])

    first.indices.extend(second.indices)
    first.counts.extend(second.counts)

    for merged, expected in zip(first.compute(), whole.compute(), strict=True):
        np.testing.assert_array_equal(merged, expected)


def test_update_does_not_synchronise_with_the_device():
    # Tensors on the meta device have no values, so an operation that fetches one from the device fails.
    metric = ConfusionMetric(CLASSES).to("meta")
    metric.update(*(tensor.to("meta") for tensor in random_maps(2)))
    assert metric.counts[-1].shape == (2, CLASSES, CLASSES)
    with pytest.raises((NotImplementedError, RuntimeError)):
        metric.compute()


def count_on_rank(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    metric = ConfusionMetric(CLASSES)
    if rank == 0:
        metric.update(*random_maps(3))
    indices, counts = metric.compute()
    np.savez(folder / f"{rank}.npz", indices=indices, counts=counts)
    distributed.destroy_process_group()


def test_a_device_without_images_takes_part_in_gathering(tmp_path):
    multiprocessing.spawn(count_on_rank, args=(tmp_path,), nprocs=2)

    alone = ConfusionMetric(CLASSES)
    alone.update(*random_maps(3))
    for rank in range(2):
        gathered = np.load(tmp_path / f"{rank}.npz")
        np.testing.assert_array_equal(gathered["indices"], alone.compute()[0])
        np.testing.assert_array_equal(gathered["counts"], alone.compute()[1])
