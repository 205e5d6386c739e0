"""The subject of an evaluation: its networks, data and split, and the remarks that every report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.splits import Split, SplitProtocol, count_shared_patients
from lss_lightning.display import format_count, format_paths, shorten_path
from lss_lightning.files import sha256
from lss_lightning.models.views import TTA_VIEWS

_SUBSET_TITLES = {
    "train": "training set",
    "val": "validation set",
    "test": "test set",
    "fit": "training and validation sets",
    "all": "all slices",
    "folds": "all slices, each tested by the fold that held out its patient",
}
_PART_PAIRS = (("test", "train"), ("test", "val"), ("val", "train"))


@dataclass(frozen=True)
class EnsembleMember:
    """A trained network.

    Attributes:
        name: The name of the training run.
        checkpoint: The checkpoint with the weights, or None if the weights are not in a file.
    """

    name: str
    checkpoint: Path | None


@dataclass(frozen=True)
class EvaluationContext:
    """A description of the networks that are tested and of the data that they are tested on.

    Attributes:
        members: The networks, which form one ensemble or are those of the folds of a cross-validation.
        dataset: The name of the data source.
        subset: ``train``, ``val``, ``test``, ``fit`` (``train`` and ``val``), ``all``, or ``folds`` for all slices,
            each tested by the fold that held it out.
        protocol: The name of the split protocol, or ``external`` for data other than that of the training run.
        split_description: The split in words.
        disclaimer: The disclaimer of the data source.
        tta: The test-time augmentation, a key of :data:`~lss_lightning.models.views.TTA_VIEWS`.
        remarks: Sentences that every report must show, such as warnings about the protocol or excluded slices.
        excluded_seen: The number of slices excluded because a checkpoint was trained or selected on them.
        facts: Facts about the networks and their training, by name.
    """

    members: tuple[EnsembleMember, ...]
    dataset: str
    subset: str
    protocol: str
    split_description: str
    disclaimer: str
    tta: str = "none"
    remarks: tuple[str, ...] = ()
    excluded_seen: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The distinct names of the members with their counts, and the test-time augmentation if one is used."""
        counts = Counter(member.name for member in self.members)
        name = " + ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())
        return name if self.tta == "none" else f"{name}, tta={self.tta}"

    @property
    def checkpoint_paths(self) -> str:
        """The members' checkpoint files on one line."""
        files = [member.checkpoint for member in self.members if member.checkpoint is not None]
        return format_paths(files) or "weights without a checkpoint"

    @property
    def subset_title(self) -> str:
        """The subset in words."""
        return _SUBSET_TITLES[self.subset]

    @property
    def combination(self) -> str:
        """A sentence on how networks and views are combined, or an empty string for a single network and view."""
        networks = len(self.members) if self.subset != "folds" else 1
        averaged = [f"of {networks} networks"] if networks > 1 else []
        if self.tta != "none":
            averaged.append(f"of {len(TTA_VIEWS[self.tta])} views of each image")
        return f"Mean of the probabilities {' and '.join(averaged)}." if averaged else ""

    def caption(self, slices: Sequence[LoadedSlice], convention: str) -> str:
        """Return the caption of a figure or table.

        Args:
            slices: The slices that the figure or table shows.
            convention: A sentence on how the values are pooled, or an empty string.
        """
        slice_count, patients = format_count(len(slices), "slice"), format_count(_count_patients(slices), "patient")
        sentences = (
            f"{self.dataset}, {self.subset_title}, {self.split_description}: {slice_count} of {patients}.",
            f"{self.name}, {self.checkpoint_paths}.",
            self.combination,
            convention,
            *self.remarks,
            self.disclaimer,
        )
        return " ".join(sentence for sentence in sentences if sentence)

    def describe_data(self, slices: Sequence[LoadedSlice], spacing: float | None) -> dict[str, Any]:
        """Return the ``data`` section of ``metrics.json``.

        Args:
            slices: The slices that were tested.
            spacing: The working spacing in mm, or None for native pixels.
        """
        return {
            "name": self.dataset,
            "subset": self.subset,
            "protocol": self.protocol,
            "images": len(slices),
            "patients": _count_patients(slices),
            "excluded_seen": self.excluded_seen,
            "spacing_mm": spacing,
            "remarks": list(self.remarks),
            "disclaimer": self.disclaimer,
        }

    def describe_model(self) -> dict[str, Any]:
        """Return the ``model`` section of ``metrics.json``: the name, file and SHA-256 of each member."""
        members = [
            {
                "name": member.name,
                "checkpoint": None if member.checkpoint is None else str(shorten_path(member.checkpoint)),
                "sha256": None if member.checkpoint is None else sha256(member.checkpoint),
            }
            for member in self.members
        ]
        return {"name": self.name, "members": members, "tta": self.tta}


def describe_shared_patients(split: SplitProtocol, slices: Sequence[LoadedSlice], parts: Split) -> list[str]:
    """Return a sentence for each pair of parts of a split that have patients in common.

    Args:
        split: The split protocol. Resubstitution yields no sentences, because its own warning covers this case.
        slices: All slices of the data.
        parts: The indices of the slices by part.
    """
    if split.is_resubstitution:
        return []
    plain = [loaded.slice for loaded in slices]
    counts = {pair: count_shared_patients(plain, parts, *pair) for pair in _PART_PAIRS}
    return [
        f"{format_count(count, 'patient')} of the {_SUBSET_TITLES[first]} {'is' if count == 1 else 'are'} also in the "
        f"{_SUBSET_TITLES[second]}."
        for (first, second), count in counts.items()
        if count
    ]


def _count_patients(slices: Sequence[LoadedSlice]) -> int:
    return len({loaded.slice.patient for loaded in slices})
