"""The base class of data sources, and the settings that all sources share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from lss_lightning.data.composite import PUBLISHED_FORMULA, ThirdChannel
from lss_lightning.data.slices import Slice
from lss_lightning.labels import LUMBAR, LabelSet

Channels = Literal["composite", "t1", "t2", "t1_t2", "image", "grey", "rgb"]
"""The choices of ``data.channels``."""

PairedChannels = Literal["composite", "t1", "t2", "t1_t2"]
"""The choices of ``data.channels`` for data with registered T1 and T2 images of each slice."""

CHANNELS: dict[str, tuple[str, ...]] = {
    "composite": ("composite",),
    "t1": ("t1",),
    "t2": ("t2",),
    "t1_t2": ("t1", "t2"),
    "image": ("image",),
    "grey": ("grey",),
    "rgb": ("rgb",),
}
"""Kinds of image files that each choice of ``data.channels`` needs. A missing composite is built from T1 and T2."""


def find_missing_kinds(channels: str, kinds: Container[str]) -> tuple[str, ...]:
    """Return the kinds of image files that the channels need but a slice does not have.

    Args:
        channels: A key of :data:`CHANNELS`.
        kinds: The kinds that the slice has.
    """
    if channels == "composite" and "t1" in kinds and "t2" in kinds:
        return ()
    return tuple(kind for kind in CHANNELS[channels] if kind not in kinds)


@dataclass(frozen=True)
class SourceListing:
    """The slices of a source.

    Attributes:
        slices: Slices with a label and every image that the channels need, sorted by name.
        left_out: Number of slices left out, by reason.
        incomplete: Slices left out because they have a label, but not every image that the channels need.
        notes: Sentences that tell the user how the slices are read.
        levels: Levels of a patient with complete data; empty if the data has no fixed levels.
    """

    slices: list[Slice]
    left_out: Counter[str] = field(default_factory=Counter)
    incomplete: list[Slice] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data set and the settings for reading it; the fields are the keys of the ``data`` section.

    Attributes:
        name: Name of the data set, e.g. ``alkafri``.
        root: Folder of the data.
        channels: Image channels, a key of :data:`CHANNELS`.
        third_channel: Formula of a composite's third channel, a key of
            :data:`~lss_lightning.data.composite.THIRD_CHANNELS`.
        batch_size: Number of slices in a batch.
        num_workers: Number of processes that load batches.
        spacing: Working spacing in mm; None selects the most frequent spacing of the training set.
    """

    name: str
    root: str
    channels: Channels = "composite"
    third_channel: ThirdChannel = PUBLISHED_FORMULA
    batch_size: PositiveInt = 8
    num_workers: NonNegativeInt = 2
    spacing: PositiveFloat | None = None

    @classmethod
    def channel_choices(cls) -> tuple[str, ...]:
        """Return the choices of ``channels``."""
        return get_args(get_type_hints(cls)["channels"])

    @property
    def labels(self) -> LabelSet:
        """The classes of the data set."""
        return LUMBAR

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """Groupings by which results are reported, each with its groups in order; see :attr:`Slice.groups`."""
        return {}

    @property
    def disclaimer(self) -> str:
        """The disclaimer shown in every report on this data."""
        return "Research use only."

    @property
    def licence(self) -> str:
        """The licence of the data."""
        return "unknown; ask the owner of the data"

    @property
    def citation(self) -> str:
        """The reference to cite in publications; empty if there is none."""
        return ""

    def check(self) -> None:
        """Check, without any slow import, that the files exist or can be generated.

        Raises:
            UserError: If files do not exist and cannot be generated.
        """

    def prepare(self) -> None:
        """Download or generate missing files; called in one process before any process reads them.

        Raises:
            UserError: If missing files cannot be downloaded or generated.
        """

    def read_notes(self) -> dict[str, str]:
        """Read radiologists' notes, as :func:`~lss_lightning.data.reports.read_reports` returns them.

        Returns:
            The notes by patient; empty if there is no file of notes.

        Raises:
            UserError: If the file of notes cannot be read.
        """
        return {}

    def read_truth(self) -> dict[str, dict[str, str]]:
        """Read ground-truth values other than the label maps; only synthetic data has any.

        Returns:
            Values by slice name and column.
        """
        return {}

    def find(self) -> SourceListing:
        """List the slices.

        Raises:
            UserError: If there are no slices.
        """
        raise NotImplementedError
