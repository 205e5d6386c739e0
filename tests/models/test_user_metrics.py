from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX, LUMBAR
from lss_lightning.models.user_metrics import UserMetric, make_user_metrics

K = len(LUMBAR)
HERE = "tests.models.test_user_metrics"


class Recorder(Metric):
    """Keeps its inputs, and has the number of updates as its value."""

    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", [])
        self.add_state("targets", [])

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Keep a pair, and draw a random number."""
        torch.rand(1)
        self.predictions.append(preds)
        self.targets.append(target)

    def compute(self) -> Tensor:
        """Count the updates."""
        return torch.tensor(float(len(self.targets)))


class Curve(Recorder):
    """Has a list of values."""

    def compute(self) -> Any:
        """Return values of no fixed number."""
        return torch.zeros(3, 2)


def make(target: str, **settings: Any) -> UserMetric:
    [metric] = make_user_metrics({"mine": {"_target_": target, **settings}}, LUMBAR)
    return metric


def make_batch() -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Return logits, padded labels and sizes of two images, 8 × 6 and 5 × 4 pixels."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, K, 8, 6, generator=generator)
    target = torch.randint(K, (2, 8, 6), generator=generator, dtype=torch.uint8)
    target[1, 5:] = IGNORE_INDEX
    target[1, :, 4:] = IGNORE_INDEX
    return logits, target, [(8, 6), (5, 4)]


def record(given: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return what a metric is updated with."""
    metric = make(f"{HERE}.Recorder", input=given)
    metric.update(*make_batch())
    assert isinstance(metric.metric, Recorder)
    return metric.metric.predictions, metric.metric.targets


def test_metrics_get_the_pixels_or_images_without_padding():
    logits, target, _ = make_batch()
    valid = target != IGNORE_INDEX
    (classes,), (truth,) = record("classes")
    assert truth.dtype is classes.dtype is torch.int64
    assert torch.equal(truth, target[valid].long())
    assert torch.equal(classes, logits.argmax(1)[valid])
    (probabilities,), (truth,) = record("probabilities")
    assert probabilities.shape == (48 + 20, K)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(68))
    assert torch.equal(probabilities.argmax(1), classes)
    predictions, targets = record("images")
    assert [tuple(each.shape) for each in predictions] == [(1, 8, 6), (1, 5, 4)]
    assert torch.equal(targets[1], target[1:, :5, :4].long())


@pytest.mark.parametrize("name", ["CohenKappa", "classification.MulticlassCohenKappa"])
def test_classes_and_task_are_filled_in(name):
    logits, target, sizes = make_batch()
    metric = make(f"torchmetrics.{name}")
    metric.update(logits, target, sizes)
    valid = target != IGNORE_INDEX
    counts = torch.bincount(target[valid].long() * K + logits.argmax(1)[valid], minlength=K * K).view(K, K).double()
    counts /= counts.sum()
    chance = float(counts.sum(0) @ counts.sum(1))
    assert metric.compute() == {"mine": pytest.approx((float(counts.trace()) - chance) / (1 - chance), abs=1e-5)}


def test_a_value_per_class_is_named_by_class():
    metric = make("torchmetrics.F1Score", average="none")
    metric.update(*make_batch())
    assert list(metric.compute()) == [f"mine/{key}" for key in LUMBAR.keys]
    metric.reset()
    own = make("torchmetrics.F1Score", average="macro", num_classes=9)
    assert list(own.compute()) == ["mine"]


def test_probabilities_and_nested_metrics():
    metric = make("torchmetrics.CalibrationError", input="probabilities")
    metric.update(*make_batch())
    assert 0 < metric.compute()["mine"] < 1
    inner = {"_target_": "torchmetrics.classification.MulticlassRecall", "num_classes": K, "average": None}
    wrapped = make("torchmetrics.ClasswiseWrapper", metric=inner, labels=list(LUMBAR.keys), prefix="recall_")
    wrapped.update(*make_batch())
    assert list(wrapped.compute()) == [f"mine/recall_{key}" for key in LUMBAR.keys]


def test_trying_a_metric_leaves_no_trace():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    metric = make(f"{HERE}.Recorder")
    assert torch.equal(torch.rand(1), expected)
    assert metric.compute() == {"mine": 0.0}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"loss": {"_target_": f"{HERE}.Recorder"}}, r"metrics\.loss: not a name for a metric"),
        ({"a/b": {"_target_": f"{HERE}.Recorder"}}, r"metrics\.a/b: not a name for a metric"),
        ({"x": {"_target_": f"{HERE}.Recorder", "input": "pixels"}}, r"metrics\.x\.input=pixels: allowed: classes"),
        ({"x": {"_target_": "torch.nn.ReLU"}}, r"metrics\.x\._target_=torch\.nn\.ReLU: not a torchmetrics\.Metric"),
        ({"x": {"_target_": "torchmetrics.Nope"}}, r"metrics\.x: torchmetrics\.Nope cannot be instantiated"),
        ({"x": {"_target_": f"{HERE}.Curve"}}, r"metrics\.x: Curve is neither a number nor a number per class"),
        (
            {"x": {"_target_": "torchmetrics.CalibrationError"}},
            r"metrics\.x: MulticlassCalibrationError cannot be computed from classes .* set metrics\.x\.input to",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_explained_in_one_line(sections, message):
    with pytest.raises(UserError, match=message) as refused:
        make_user_metrics(sections, LUMBAR)
    assert "\n" not in str(refused.value)


def measure_share(rank: int, folder: str) -> None:
    """Add one image of the batch as one of two processes, and save the values of all."""
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    logits, target, sizes = make_batch()
    metric = make("torchmetrics.CohenKappa")
    metric.update(logits[rank : rank + 1], target[rank : rank + 1], sizes[rank : rank + 1])
    torch.save(metric.compute(), f"{folder}/{rank}.pt")


def test_devices_share_a_metric(tmp_path):
    torch.multiprocessing.spawn(measure_share, (str(tmp_path),), nprocs=2)
    metric = make("torchmetrics.CohenKappa")
    metric.update(*make_batch())
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == {"mine": pytest.approx(metric.compute()["mine"])}
