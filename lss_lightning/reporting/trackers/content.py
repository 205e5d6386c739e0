"""What of a run reaches a tracker."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.examples import Case
from lss_lightning.runs.layout import RunFolder

MEANS = ("mean_iou", "mean_iou_anatomy")
BY_CLASS = ("iou", "dice")


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """What a run is.

    Attributes:
        name: As the tracker lists it.
        job: ``train``, ``evaluate``, ``ensemble`` or ``folds``.
        group: What the runs of one sweep or ensemble share; None for a run of its own.
        settings: Of :func:`~lss_lightning.reporting.trackers.content.flat_settings`.
        labels: The classes.
        note: Which data it sees, and what a reader must know of that.
        folder: The run's; trackers write into folders of their own below it.
        resumed: Whether the run goes on in that folder.
    """

    name: str
    job: str
    group: str | None
    settings: Mapping[str, Any]
    labels: LabelSet
    note: str
    folder: Path
    resumed: bool = False


@dataclass(frozen=True)
class Epoch:
    """What an epoch left.

    Attributes:
        number: From 0.
        figures: Losses, IoUs, learning rate, gradient norm, images per second; those that are defined.
        examples: The validation slices that are shown again and again; empty in most epochs.
    """

    number: int
    figures: Mapping[str, float]
    examples: Sequence[Case] = ()

    @classmethod
    def of(cls, row: Mapping[str, float], examples: Sequence[Case]) -> Epoch:
        """From a row of the history, in which NaN stands for a figure that is not defined."""
        defined = {name: figure for name, figure in row.items() if math.isfinite(figure)}
        return cls(int(defined.pop("epoch")), defined, examples)


@dataclass(frozen=True)
class SliceRow:
    """One tested slice.

    Attributes:
        patient: Whose it is.
        level: Of the spine, or what the data calls it.
        iou: (K,), NaN for a class that neither label nor prediction holds.
        mean_iou_anatomy: Over the anatomical classes; NaN where it has none.
        example: The slice with its label and prediction; None where no pictures are wanted.
    """

    patient: str
    level: str
    iou: NDArray[np.float64]
    mean_iou_anatomy: float
    example: Case | None


@dataclass(frozen=True, kw_only=True)
class TrackedResult:
    """What the test found.

    Attributes:
        figures: ``test/mean_iou``, ``test/iou/thecal_sac`` and so on, the validation ``objective``, and of a
            cross-validation ``folds/mean/mean_iou`` and ``folds/sd/mean_iou``, over its folds.
        confusion: (K, K) pixels, rows true classes, columns predicted ones.
        rows: The tested slices.
        pictures: PNG files of the report by their names.
        pages: HTML files of the report by their names.
        checkpoint: The tested file where this run has made it; None where it was given.
        card: The model card, to go with the checkpoint.
        epoch: That the checkpoint holds, from 0; None where it was given.
    """

    figures: Mapping[str, float]
    confusion: NDArray[np.int64]
    rows: Sequence[SliceRow]
    pictures: Mapping[str, Path]
    pages: Mapping[str, Path]
    checkpoint: Path | None
    card: Path | None
    epoch: int | None


def read_result(
    folder: Path, *, confusion: NDArray[np.int64], rows: Sequence[SliceRow], checkpoint: Path | None = None
) -> TrackedResult:
    """Read what a test has left in a run's folder.

    Args:
        folder: With ``metrics.json`` and ``report/``.
        confusion: As in :class:`TrackedResult`.
        rows: Likewise.
        checkpoint: Likewise.
    """
    run = RunFolder(folder)
    metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    report, card = run.report, run.model_card
    return TrackedResult(
        figures=_figures(metrics),
        confusion=confusion,
        rows=rows,
        pictures={path.stem: path for path in sorted(report.glob("*.png"))},
        pages={path.stem: path for path in sorted(report.glob("*.html"))},
        checkpoint=checkpoint,
        card=card if card.is_file() else None,
        epoch=metrics.get("validation", {}).get("epoch"),
    )


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    found = {f"test/{name}": metrics[name] for name in MEANS}
    for name in BY_CLASS:
        found |= {f"test/{name}/{key}": score for key, score in metrics[name].items()}
    if "folds" in metrics:
        for kind in ("mean", "sd"):
            found |= {f"folds/{kind}/{name}": metrics["folds"][kind][name] for name in MEANS}
    found["objective"] = metrics.get("validation", {}).get("objective")
    return {name: figure for name, figure in found.items() if figure is not None}


LEFT_OUT = ("logger", "paths", "ckpt_path")
"""What says where a run is recorded, not what it is."""


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a composed configuration.

    Args:
        config: Plain data.

    Returns:
        ``optimizer.lr``, ``data.batch_size`` and so on; under a section's own key stands what it is, its ``name`` or
        the class of its ``_target_``: ``{"model": "resunet", "optimizer": "Adam"}``.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key not in LEFT_OUT:
            _flatten(key, value, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if not isinstance(value, Mapping):
        flat[key] = value
        return
    kind = value.get("name", value.get("_target_"))
    if kind is not None:
        flat[key] = kind if "name" in value else kind.rpartition(".")[2]
    for name, inner in value.items():
        if name not in ("name", "_target_"):
            _flatten(f"{key}.{name}", inner, flat)


class Tracker(ABC):
    """One run in one tracker, open until :meth:`close`."""

    @abstractmethod
    def past(self, epochs: Sequence[Epoch]) -> None:
        """Record the epochs that a resumed run has behind it, where the tracker does not hold them already."""

    @abstractmethod
    def epoch(self, epoch: Epoch) -> None:
        """Record an epoch's figures and examples."""

    @abstractmethod
    def result(self, result: TrackedResult) -> None:
        """Record what the test found."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the recording; ``failed`` where the run did not reach its end."""
