"""The slices that a test shows: the best, the median and the worst, and the worst of all one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.reporting import Case

WORST = 8
"""Slices that are shown because they came out worst."""

Segment = Callable[[list[int]], list[NDArray[np.uint8]]]
"""From the places of slices to their label maps, each (H, W) on the label's own grid."""


@dataclass(frozen=True)
class Cases:
    """Slices to show.

    Attributes:
        examples: The best, the median and the worst; of fewer than three slices the best and the worst.
        worst: The worst, from the very worst on.
    """

    examples: list[Case] = field(default_factory=list)
    worst: list[Case] = field(default_factory=list)


def show_cases(slices: Sequence[LoadedSlice], scores: NDArray[np.float64], segment: Segment) -> Cases:
    """Choose slices by their scores, and have those few segmented once more.

    Args:
        slices: N of them.
        scores: (N,), mean IoU over the anatomical classes; NaN where a slice has none: it is not shown.
        segment: As the test did; on several devices each calls this.
    """
    order = [int(place) for place in np.argsort(-scores) if not np.isnan(scores[place])]
    if not order:
        return Cases()
    if len(order) >= 3:
        ranks = {"Best": order[0], "Median": order[len(order) // 2], "Worst": order[-1]}
    else:
        ranks = dict(zip(("Best", "Worst"), order, strict=False))
    worst = order[::-1][:WORST]
    places = sorted({*ranks.values(), *worst})
    maps = dict(zip(places, segment(places), strict=True))

    def case(rank: str, place: int) -> Case:
        piece = slices[place]
        return make_case(f"{rank}: patient {piece.slice.title}", piece, maps[place], float(scores[place]))

    return Cases(
        examples=[case(rank, place) for rank, place in ranks.items()],
        worst=[case(f"Worst {number}", place) for number, place in enumerate(worst, 1)],
    )


def make_case(title: str, piece: LoadedSlice, prediction: NDArray[np.uint8], score: float) -> Case:
    """A slice to show: in colour where it has three channels, else by its first."""
    image = piece.image if len(piece.image) == 3 else piece.image[:1]
    return Case(title=title, image=image.transpose(1, 2, 0), label=piece.label, prediction=prediction, iou=score)
