from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lss_lightning.data.batches import collate
from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX, LUMBAR
from lss_lightning.models.base import to_label_grid
from lss_lightning.models.losses import CrossEntropy
from lss_lightning.models.segmentation import SegmentationModule, average_head_losses


class Brightness(nn.Module):
    """A network that predicts class 5 where the first channel is above its mean, and class 1 elsewhere."""

    def forward(self, image):
        logits = image.new_zeros(len(image), len(LUMBAR), *image.shape[2:])
        logits[:, 5], logits[:, 1] = image[:, 0], -image[:, 0]
        return logits


def item(image, label, index=0):
    return {
        "image": torch.from_numpy(image),
        "label": torch.from_numpy(label),
        "index": index,
        "digest": "",
        "spacing": None,
        "label_spacing": None,
    }


def test_images_are_normalised_with_the_training_statistics():
    inputs = []

    class Spy(nn.Module):
        def forward(self, image):
            inputs.append(image)
            return image

    module = SegmentationModule(Spy(), LUMBAR, mean=[0.5, 0.2], std=[0.25, 0.1])
    module(torch.tensor([255, 51], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 4, 4))
    torch.testing.assert_close(inputs[0][0, :, 0, 0], torch.tensor([2.0, 0.0]))


def test_logits_on_the_same_grid_are_unchanged():
    batch = {"label": torch.zeros(1, 8, 8), "image_sizes": [(8, 8)], "label_sizes": [(8, 8)]}
    logits = torch.randn(1, 6, 8, 8)
    assert to_label_grid(logits, batch) is logits


def test_logits_are_resampled_to_each_label_grid():
    """A vertical edge stays in place for any spacing of the label, and padding is ignored."""
    image = np.zeros((1, 40, 40), dtype=np.uint8)
    image[:, :, 20:] = 255
    fine = np.full((80, 80), 1, dtype=np.uint8)
    fine[:, 40:] = 5
    coarse = np.full((20, 20), 1, dtype=np.uint8)
    coarse[:, 10:] = 5
    batch = collate([item(image, fine), item(image, coarse, 1)])
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5])
    first, second = module.predict_step(batch, 0)
    np.testing.assert_array_equal(first, fine)
    np.testing.assert_array_equal(second, coarse)


def test_padding_is_ignored_in_scores_and_loss():
    image = np.full((1, 32, 32), 255, dtype=np.uint8)
    label = np.full((32, 32), 5, dtype=np.uint8)
    wide, loss = np.full((1, 32, 64), 255, dtype=np.uint8), CrossEntropy()
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5], loss=loss)
    batch = collate([item(image, label), item(wide, np.full((32, 64), 5, dtype=np.uint8), 1)])
    assert (batch["label"][0, :, 32:] == IGNORE_INDEX).all()
    assert module.validation_step(batch, 0).shape == (2, 6, 32, 64)
    scores = module.val_scores.compute()
    assert scores["iou/other"] == 1.0
    unpadded = loss(module(batch["image"][1:]), batch["label"][1:])
    assert scores["loss"] == pytest.approx(float(unpadded))


def test_scores_are_reset_after_each_epoch():
    image, label = np.full((1, 32, 32), 255, dtype=np.uint8), np.full((32, 32), 1, dtype=np.uint8)
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5], loss=CrossEntropy())
    module.validation_step(collate([item(image, label)]), 0)
    assert module.val_scores.compute()["iou/intervertebral_disc"] == 0.0
    module.validation_step(collate([item(255 - image, label)]), 0)
    assert module.val_scores.compute()["iou/intervertebral_disc"] == 1.0


def test_evaluation_scores_the_predicted_label_maps():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 40, 40), dtype=np.uint8)
    sizes = [(40, 40), (60, 60), (20, 20)]
    labels = [rng.integers(0, 6, size, dtype=np.uint8) for size in sizes]
    batch = collate([item(image, label, index) for index, label in enumerate(labels)])
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5])
    module.test_step(batch, 0)
    module.on_test_epoch_end()
    assert module.records is not None
    for counts, predicted, label in zip(module.records.counts, module.predict_step(batch, 0), labels, strict=True):
        pairs = np.bincount(6 * label.ravel() + predicted.ravel(), minlength=36)
        np.testing.assert_array_equal(counts, pairs.reshape(6, 6))
    assert not sum(map(len, module.test_metric.indices))  # reset for the next test


class Supervised(nn.Module):
    """A network with three heads in training: its prediction, another class everywhere, and equal logits."""

    def forward(self, image):
        heads = [image.new_zeros(len(image), len(LUMBAR), *image.shape[2:]) for _ in range(3)]
        heads[0][:, 5], heads[1][:, 2] = 2.0, 3.0
        return tuple(heads) if self.training else heads[0]


def test_deep_supervision_averages_the_losses_of_all_heads_and_scores_the_first():
    label = np.full((32, 32), 5, dtype=np.uint8)
    batch = collate([item(np.zeros((1, 32, 32), dtype=np.uint8), label)])
    loss = CrossEntropy()
    module = SegmentationModule(Supervised(), LUMBAR, [0.5], [0.5], loss=loss)
    parts = [float(loss(head, batch["label"])) for head in Supervised()(torch.zeros(1, 1, 32, 32))]
    value = module.training_step(batch, 0)
    assert value is not None
    assert float(value) == pytest.approx((parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75)
    assert module.train_scores.compute()["iou/other"] == 1.0
    module.eval()
    module.validation_step(batch, 0)
    assert module.val_scores.compute()["loss"] == pytest.approx(parts[0])


def test_the_loss_of_a_single_head_is_unchanged():
    loss = torch.tensor(0.3)
    assert average_head_losses([loss]) is loss


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_a_batch_that_cannot_be_normalised_is_reported_in_one_line(norm):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), norm(1), nn.Conv2d(1, len(LUMBAR), 1), nn.Upsample(32))
    module = SegmentationModule(network, LUMBAR, [0.5], [0.5], loss=CrossEntropy())
    label = np.full((32, 32), 5, dtype=np.uint8)
    batch = collate([item(np.zeros((1, 32, 32), dtype=np.uint8), label)])
    with pytest.raises(UserError, match=r"a training batch of 1 image\(s\) of 32x32 pixels .* cannot be normalised"):
        module.training_step(batch, 0)
