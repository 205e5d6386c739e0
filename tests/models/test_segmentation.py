from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lss_lightning.data.batches import collate
from lss_lightning.labels import IGNORED, LUMBAR
from lss_lightning.models.base import to_label_grid
from lss_lightning.models.losses import CrossEntropy
from lss_lightning.models.segmentation import SegmentationModule


class Brightness(nn.Module):
    """Class 5 where the first channel is above its mean, class 1 elsewhere."""

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


def test_normalises_with_the_training_images_figures():
    seen = {}

    class Look(nn.Module):
        def forward(self, image):
            seen["image"] = image
            return image

    module = SegmentationModule(Look(), LUMBAR, mean=[0.5, 0.2], std=[0.25, 0.1])
    module(torch.tensor([255, 51], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 4, 4))
    torch.testing.assert_close(seen["image"][0, :, 0, 0], torch.tensor([2.0, 0.0]))


def test_logits_on_the_same_grid_are_untouched():
    batch = {"label": torch.zeros(1, 8, 8), "image_sizes": [(8, 8)], "label_sizes": [(8, 8)]}
    logits = torch.randn(1, 6, 8, 8)
    assert to_label_grid(logits, batch) is logits


def test_logits_return_to_each_label_grid():
    """A vertical edge stays where it is in mm, whatever the label's own pixel; padding is ignored."""
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


def test_padding_counts_neither_in_scores_nor_in_loss():
    image = np.full((1, 32, 32), 255, dtype=np.uint8)
    label = np.full((32, 32), 5, dtype=np.uint8)
    wide = np.full((1, 32, 64), 255, dtype=np.uint8)
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5], loss=CrossEntropy())
    batch = collate([item(image, label), item(wide, np.full((32, 64), 5, dtype=np.uint8), 1)])
    assert (batch["label"][0, :, 32:] == IGNORED).all()
    loss = module.validation_step(batch, 0)
    assert loss is None
    figures = module.val_scores.figures()
    assert figures["iou/other"] == 1.0
    alone = module.loss(module(batch["image"][1:]), batch["label"][1:])
    assert figures["loss"] == pytest.approx(float(alone))


def test_scores_start_anew_each_epoch():
    image, label = np.full((1, 32, 32), 255, dtype=np.uint8), np.full((32, 32), 1, dtype=np.uint8)
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5], loss=CrossEntropy())
    module.validation_step(collate([item(image, label)]), 0)
    assert module.val_scores.figures()["iou/intervertebral_disc"] == 0.0
    module.validation_step(collate([item(255 - image, label)]), 0)
    assert module.val_scores.figures()["iou/intervertebral_disc"] == 1.0


def test_a_test_scores_the_label_maps_that_predicting_gives():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 40, 40), dtype=np.uint8)
    sizes = [(40, 40), (60, 60), (20, 20)]
    labels = [rng.integers(0, 6, size, dtype=np.uint8) for size in sizes]
    batch = collate([item(image, label, index) for index, label in enumerate(labels)])
    module = SegmentationModule(Brightness(), LUMBAR, [0.5], [0.5])
    module.test_step(batch, 0)
    module.on_test_epoch_end()
    for counts, predicted, label in zip(module.records.counts, module.predict_step(batch, 0), labels, strict=True):
        pairs = np.bincount(6 * label.ravel() + predicted.ravel(), minlength=36)
        np.testing.assert_array_equal(counts, pairs.reshape(6, 6))
    assert not sum(map(len, module.test_images.indices))  # the next test starts anew
