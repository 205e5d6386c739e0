"""How much pooled scores differ between groups of images, such as the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean, stdev
from typing import Any

BY_CLASS = ("iou", "dice", "precision", "recall")
MEANS = ("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy")

Figures = Mapping[str, Any]


def spread(groups: Mapping[str, Figures]) -> dict[str, Any]:
    """Compute the ``folds`` part of ``metrics.json``.

    Args:
        groups: The figures of each group, as :func:`~lss_lightning.metrics.summary.summarise` gives them; at least one.

    Returns:
        Plain data: ``count``, the number of groups; ``mean`` and ``sd``, the sample standard deviation, each with the
        scores :data:`BY_CLASS` by class key and :data:`MEANS`, over the groups where the score is defined; None where
        none is, and for ``sd`` where fewer than two are. Every group weighs the same, however many images it has.
    """
    figures = list(groups.values())
    return {"count": len(figures), "mean": _over(figures, fmean, 1), "sd": _over(figures, stdev, 2)}


def _over(figures: list[Figures], summary: Callable[[list[float]], float], least: int) -> dict[str, Any]:
    def over(scores: list[float | None]) -> float | None:
        defined = [score for score in scores if score is not None]
        return summary(defined) if len(defined) >= least else None

    return {
        **{name: {key: over([one[name][key] for one in figures]) for key in figures[0][name]} for name in BY_CLASS},
        **{name: over([one[name] for one in figures]) for name in MEANS},
    }
