"""Choice of the slices that a report shows: the best, the median and the worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.reporting import Case

WORST_CASES = 8
"""The number of slices shown as the worst."""

SegmentFunction = Callable[[list[int]], list[NDArray[np.uint8]]]
"""A function from indices of slices to their predicted label maps, each (H, W) on the grid of its label."""


@dataclass(frozen=True)
class Cases:
    """The slices that a report shows.

    Attributes:
        examples: The best, the median and the worst slice, or the best and the worst if there are fewer than three.
        worst: The worst slices, beginning with the worst.
    """

    examples: list[Case] = field(default_factory=list)
    worst: list[Case] = field(default_factory=list)


def choose_cases(slices: Sequence[LoadedSlice], scores: NDArray[np.float64], segment: SegmentFunction) -> Cases:
    """Choose slices by their scores and segment them again.

    Args:
        slices: N slices.
        scores: The mean IoU over the anatomical classes, (N,). Slices with NaN are never chosen.
        segment: The function that segments slices as in the test. Every process of a distributed test must call it.
    """
    order = [int(index) for index in np.argsort(-scores) if not np.isnan(scores[index])]
    if not order:
        return Cases()
    if len(order) >= 3:
        ranks = {"Best": order[0], "Median": order[len(order) // 2], "Worst": order[-1]}
    else:
        ranks = dict(zip(("Best", "Worst"), order, strict=False))
    worst = order[::-1][:WORST_CASES]
    chosen = sorted({*ranks.values(), *worst})
    maps = dict(zip(chosen, segment(chosen), strict=True))

    def make_ranked_case(rank: str, index: int) -> Case:
        loaded = slices[index]
        return make_case(f"{rank}: patient {loaded.slice.title}", loaded, maps[index], float(scores[index]))

    return Cases(
        examples=[make_ranked_case(rank, index) for rank, index in ranks.items()],
        worst=[make_ranked_case(f"Worst {number}", index) for number, index in enumerate(worst, 1)],
    )


def make_case(title: str, loaded: LoadedSlice, prediction: NDArray[np.uint8], score: float) -> Case:
    """Create a case to draw.

    Args:
        title: The text above the image.
        loaded: The slice. An image with three channels is drawn in colour; otherwise, its first channel is drawn in
            grey.
        prediction: The predicted class indices, (H, W), on the grid of the label.
        score: The mean IoU over the anatomical classes.
    """
    image = loaded.image if len(loaded.image) == 3 else loaded.image[:1]
    return Case(title=title, image=image.transpose(1, 2, 0), label=loaded.label, prediction=prediction, iou=score)
