from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lss_lightning.labels import LUMBAR
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.views import TTA_VIEWS
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import measure_slice
from lss_lightning.workflows.evaluation.measurement_callback import VALUE_KINDS, MeasurementCallback

SIZE = 128
SPACING = 220 / SIZE


def make_batch(*labels):
    return {
        "image": torch.zeros(len(labels), 1, SIZE, SIZE, dtype=torch.uint8),
        "label": torch.from_numpy(np.stack(labels)),
        "index": torch.arange(len(labels)),
        "image_sizes": [(SIZE, SIZE)] * len(labels),
        "label_sizes": [(SIZE, SIZE)] * len(labels),
        "label_spacings": [SPACING] * len(labels),
    }


def make_logits(label, scale=8.0):
    return scale * nn.functional.one_hot(torch.from_numpy(label).long(), len(LUMBAR)).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def labels():
    return [render_slice(0, patient, "D4", SIZE).label for patient in (1, 2)]


def measure(module, batch, outputs):
    callback, trainer = MeasurementCallback(LUMBAR), cast(pl.Trainer, None)
    callback.on_test_start(trainer, module)
    callback.on_test_batch_end(trainer, module, outputs, batch, 0)
    callback.on_test_epoch_end(trainer, module)
    return callback.values


def test_label_and_prediction_are_measured(labels):
    outputs = torch.stack([make_logits(labels[0]), make_logits(labels[0])])
    values = measure(SimpleNamespace(device="cpu"), make_batch(*labels), outputs)
    assert set(values) == set(VALUE_KINDS)
    for index, label in enumerate(labels):
        expected = measure_slice(label, LUMBAR, (SPACING, SPACING)).values()
        np.testing.assert_array_equal(values["label"][index], np.array(list(expected.values()), dtype=float))
    soft = measure_slice(outputs[0].softmax(0).numpy(), LUMBAR, (SPACING, SPACING)).values()
    np.testing.assert_array_equal(values["predicted"][1], np.array(list(soft.values()), dtype=float))
    assert np.isnan(values["low"]).all()


def test_padding_is_not_measured(labels):
    padded = make_batch(labels[0])
    padded["label"] = nn.functional.pad(padded["label"], (0, 16, 0, 16), value=255)
    logits = nn.functional.pad(make_logits(labels[0]), (0, 16, 0, 16))[None]
    unpadded = measure(SimpleNamespace(device="cpu"), make_batch(labels[0]), make_logits(labels[0])[None])
    np.testing.assert_array_equal(
        measure(SimpleNamespace(device="cpu"), padded, logits)["predicted"], unpadded["predicted"]
    )


class ConstantNetwork(nn.Module):
    """A network that returns the same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.labels = logits, LUMBAR

    def forward(self, image):
        return self.logits


def test_ensemble_members_give_intervals(labels):
    members: list[Any] = [ConstantNetwork(make_logits(labels[0], scale)[None]) for scale in (3.0, 8.0)]
    ensemble = EnsembleModule(members, TTA_VIEWS["none"])
    batch = make_batch(labels[0])
    values = measure(ensemble, batch, ensemble(batch["image"]))
    measured = ~np.isnan(values["predicted"])
    assert measured.sum() > 8
    assert (values["low"][measured] <= values["predicted"][measured]).all()
    assert (values["predicted"][measured] <= values["high"][measured]).all()
