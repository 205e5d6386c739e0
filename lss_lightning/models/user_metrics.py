"""User-defined metrics: torchmetrics computed on classes, probabilities or images, without padding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from lss_lightning.data.slices import ImageSize
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX, LabelSet
from lss_lightning.models.instantiate import instantiate_section
from lss_lightning.runs.arguments import find_parameters, import_name

METRIC_INPUTS = ("classes", "probabilities", "images")
"""The choices of ``metrics.<name>.input``."""

RESERVED_NAMES = ("loss", "mean_iou", "mean_iou_anatomy", "iou")
"""The names of the scores that are computed in every epoch."""


class UserMetric(nn.Module):
    """A metric computed over all pixels or images, without padding.

    Args:
        name: Name of the metric in logs and reports.
        metric: A metric that is updated with predictions and targets.
        input: The shapes of predictions and targets: ``classes``, (N,) and (N,) int64 class indices of the pixels of a
            batch; ``probabilities``, (N, K) float32 and (N,); ``images``, (1, H, W) and (1, H, W) int64, one image at
            a time, on the label's own grid.
        labels: The K classes.

    Raises:
        UserError: If the metric cannot be computed, or is neither a single number nor a number per class.
    """

    def __init__(self, name: str, metric: Metric | MetricCollection, input: str, labels: LabelSet) -> None:
        super().__init__()
        self.name, self.metric, self.input, self.labels = name, metric, input, labels
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(2, len(labels), 16, 16, generator=generator)
        target = torch.randint(len(labels), (2, 16, 16), generator=generator).to(torch.uint8)
        try:
            with torch.random.fork_rng(devices=[]):
                self.update(logits, target, [(16, 16)] * 2)
                self.compute()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"metrics.{name}: {type(metric).__name__} cannot be computed from {input} ({type(error).__name__}: "
                f"{error}); correct its settings, or set metrics.{name}.input to {' or '.join(METRIC_INPUTS)}"
            ) from error
        self.reset()

    def update(self, logits: Tensor, target: Tensor, sizes: Sequence[ImageSize]) -> None:
        """Add a batch.

        Args:
            logits: (B, K, H, W) float32, on the grid of the labels.
            target: (B, H, W) uint8 class indices, padded with :data:`~lss_lightning.labels.IGNORE_INDEX`.
            sizes: Height and width of each image without padding.
        """
        if self.input == "images":
            predicted = logits.max(1).indices
            for index, (height, width) in enumerate(sizes):
                unpadded = (slice(index, index + 1), slice(height), slice(width))
                self.metric.update(predicted[unpadded], target[unpadded].long())
            return
        valid = target != IGNORE_INDEX
        predicted = logits.softmax(1).movedim(1, -1) if self.input == "probabilities" else logits.max(1).indices
        self.metric.update(predicted[valid], target[valid].long())

    def compute(self) -> dict[str, float]:
        """Return the values over all devices by name, ``<name>`` or ``<name>/<class>``."""
        return dict(self._flatten(self.name, self.metric.compute()))

    def reset(self) -> None:
        """Remove all batches."""
        self.metric.reset()

    def _flatten(self, name: str, value: Any) -> Iterator[tuple[str, float]]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._flatten(f"{name}/{key}", item)
        elif isinstance(value, float | int) or (isinstance(value, Tensor) and value.numel() == 1):
            yield name, float(value)
        elif isinstance(value, Tensor) and value.shape == (len(self.labels),):
            yield from ((f"{name}/{key}", item) for key, item in zip(self.labels.keys, value.tolist(), strict=True))
        else:
            raise UserError(
                f"metrics.{self.name}: {type(self.metric).__name__} is neither a number nor a number per class; choose "
                "another metric, or average it"
            )


def make_user_metrics(sections: Mapping[str, Mapping[str, Any]], labels: LabelSet) -> list[UserMetric]:
    """Instantiate the metrics of the ``metrics`` section.

    A metric receives the number of classes as ``num_classes``, and ``task=multiclass``, if its signature has these
    arguments.

    Args:
        sections: The class, its arguments and ``input``, by the name of the metric.
        labels: The K classes.

    Raises:
        UserError: If a name or class is not allowed, or a metric cannot be computed.
    """
    metrics = []
    for name, section in sections.items():
        if not re.fullmatch(r"\w+", name) or name in RESERVED_NAMES:
            raise UserError(f"metrics.{name}: not a name for a metric; give letters and digits, but no score's name")
        arguments = dict(section)
        chosen = arguments.pop("input", METRIC_INPUTS[0])
        if chosen not in METRIC_INPUTS:
            raise UserError(f"metrics.{name}.input={format_setting(chosen)}: allowed: {', '.join(METRIC_INPUTS)}")
        try:
            parameters = find_parameters(import_name(arguments["_target_"]))
        except (ImportError, TypeError, ValueError):
            parameters = {}  # instantiating it reports the mistake
        known = {"num_classes": len(labels), "task": "multiclass"}
        extra = {key: value for key, value in known.items() if key in parameters and key not in arguments}
        metric = instantiate_section(f"metrics.{name}", arguments, **extra)
        if not isinstance(metric, Metric | MetricCollection):
            raise UserError(f"metrics.{name}._target_={arguments['_target_']}: not a torchmetrics.Metric; choose one")
        metrics.append(UserMetric(name, metric, chosen, labels))
    return metrics
