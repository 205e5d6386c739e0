"""What is tested, in the words of every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits import Split, SplitProtocol, shared_patients

_PARTS = {
    "train": "training part",
    "val": "validation part",
    "test": "test part",
    "fit": "training and validation parts",
    "all": "all slices",
}
_CROSSINGS = (("test", "train"), ("test", "val"), ("val", "train"))


@dataclass(frozen=True)
class Subject:
    """What is tested.

    Attributes:
        name: Of the run.
        checkpoint: The file that holds the weights.
        dataset: Name of the data source.
        subset: ``train``, ``val``, ``test``, ``fit`` (``train`` and ``val``) or ``all``.
        protocol: The split's, or ``external`` where the data is not what the checkpoint's run divided.
        division: The protocol in words.
        remarks: What else a reader must know: stamps of the protocol, slices left out.
        disclaimer: The data source's.
        excluded_seen: Slices left out because the checkpoint was trained or selected on them.
    """

    name: str
    checkpoint: Path
    dataset: str
    subset: str
    protocol: str
    division: str
    disclaimer: str
    remarks: tuple[str, ...] = ()
    excluded_seen: int = 0

    @property
    def part(self) -> str:
        """The subset in words."""
        return _PARTS[self.subset]

    def caption(self, slices: Sequence[LoadedSlice], convention: str) -> str:
        """The text under a figure or table; ``convention`` says how its figures are pooled."""
        slice_count, patients = _count(len(slices), "slice"), _count(_patients(slices), "patient")
        sentences = (
            f"{self.dataset}, {self.part}, {self.division}: {slice_count} of {patients}.",
            f"{self.name}, {shown_path(self.checkpoint)}.",
            convention,
            *self.remarks,
            self.disclaimer,
        )
        return " ".join(sentence for sentence in sentences if sentence)

    def about(self, slices: Sequence[LoadedSlice], spacing: float | None) -> dict[str, Any]:
        """The ``data`` part of ``metrics.json``; ``spacing`` is the working pixel in mm."""
        return {
            "name": self.dataset,
            "subset": self.subset,
            "protocol": self.protocol,
            "images": len(slices),
            "patients": _patients(slices),
            "excluded_seen": self.excluded_seen,
            "spacing_mm": spacing,
            "remarks": list(self.remarks),
            "disclaimer": self.disclaimer,
        }


def crossing_remarks(split: SplitProtocol, slices: Sequence[LoadedSlice], parts: Split) -> list[str]:
    """How many patients lie in two parts, a sentence for each two that share any; none where the stamp says it all."""
    if split.resubstitutes:
        return []
    pieces = [piece.slice for piece in slices]
    shared = {pair: shared_patients(pieces, parts, *pair) for pair in _CROSSINGS}
    return [
        f"{count} of the {_PARTS[one]}'s patients also lie in the {_PARTS[other]}."
        for (one, other), count in shared.items()
        if count
    ]


def shown_path(path: Path) -> Path:
    """A path as a reader types it: relative where it lies below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _patients(slices: Sequence[LoadedSlice]) -> int:
    return len({piece.slice.patient for piece in slices})


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
