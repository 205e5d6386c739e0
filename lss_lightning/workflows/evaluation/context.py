"""What is tested, in the words of every page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits import Split, SplitProtocol, shared_patients
from lss_lightning.display import counted, shown_path, shown_paths
from lss_lightning.files import sha256
from lss_lightning.models.views import VIEWS

_PARTS = {
    "train": "training part",
    "val": "validation part",
    "test": "test part",
    "fit": "training and validation parts",
    "all": "all slices",
    "folds": "all slices, each by the fold that never saw its patient",
}
_CROSSINGS = (("test", "train"), ("test", "val"), ("val", "train"))


@dataclass(frozen=True)
class EnsembleMember:
    """One trained network.

    Attributes:
        name: Of its run.
        checkpoint: The file that holds its weights.
    """

    name: str
    checkpoint: Path


@dataclass(frozen=True)
class EvaluationContext:
    """What is tested.

    Attributes:
        members: The networks, in one or each for its own fold.
        dataset: Name of the data source.
        subset: ``train``, ``val``, ``test``, ``fit`` (``train`` and ``val``), ``all``, or ``folds`` for all slices,
            each by the fold that held it out.
        protocol: The split's, or ``external`` where the data is not what the checkpoint's run divided.
        division: The protocol in words.
        disclaimer: The data source's.
        tta: Test-time augmentation, a key of :data:`~lss_lightning.models.views.VIEWS`.
        remarks: What else a reader must know: stamps of the protocol, slices left out.
        excluded_seen: Slices left out because the checkpoint was trained or selected on them.
        facts: What there is to say of the network and its training, by name.
    """

    members: tuple[EnsembleMember, ...]
    dataset: str
    subset: str
    protocol: str
    division: str
    disclaimer: str
    tta: str = "none"
    remarks: tuple[str, ...] = ()
    excluded_seen: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The members' names, each once with its number, and the test-time augmentation if there is any."""
        counts = Counter(member.name for member in self.members)
        name = " + ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())
        return name if self.tta == "none" else f"{name}, tta={self.tta}"

    @property
    def files(self) -> str:
        """The members' files."""
        return shown_paths([member.checkpoint for member in self.members])

    @property
    def combination(self) -> str:
        """How several networks and views become one prediction; empty for one of each."""
        together = len(self.members) if self.subset != "folds" else 1
        parts = [f"of {together} networks"] if together > 1 else []
        if self.tta != "none":
            parts.append(f"of {len(VIEWS[self.tta])} views of each image")
        return f"Mean of the probabilities {' and '.join(parts)}." if parts else ""

    @property
    def part(self) -> str:
        """The subset in words."""
        return _PARTS[self.subset]

    def caption(self, slices: Sequence[LoadedSlice], convention: str) -> str:
        """The text under a figure or table; ``convention`` says how its figures are pooled."""
        slice_count, patients = counted(len(slices), "slice"), counted(_patients(slices), "patient")
        sentences = (
            f"{self.dataset}, {self.part}, {self.division}: {slice_count} of {patients}.",
            f"{self.name}, {self.files}.",
            self.combination,
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

    @property
    def model(self) -> dict[str, Any]:
        """The ``model`` part of ``metrics.json``: what was tested, each member by name, file and its hash."""
        members = [
            {"name": one.name, "checkpoint": str(shown_path(one.checkpoint)), "sha256": sha256(one.checkpoint)}
            for one in self.members
        ]
        return {"name": self.name, "members": members, "tta": self.tta}


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


def _patients(slices: Sequence[LoadedSlice]) -> int:
    return len({piece.slice.patient for piece in slices})
