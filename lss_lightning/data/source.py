"""What a data source is: where slices come from, and the settings that every source shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from lss_lightning.config.validation import setting
from lss_lightning.data.composite import PUBLISHED, THIRD
from lss_lightning.data.slices import Slice
from lss_lightning.labels import LUMBAR, LabelSet

CHANNELS: dict[str, tuple[str, ...]] = {
    "composite": ("composite",),
    "t1": ("t1",),
    "t2": ("t2",),
    "t1_t2": ("t1", "t2"),
    "image": ("image",),
    "grey": ("grey",),
    "rgb": ("rgb",),
}
"""The kinds of image files that each choice of ``data.channels`` needs of a slice; a composite can be built instead."""

PAIRED = ("composite", "t1", "t2", "t1_t2")
"""The choices of ``data.channels`` where each slice is a T1 and a T2 image, registered to one another."""


def lacking(channels: str, kinds: Container[str]) -> tuple[str, ...]:
    """What a slice with these kinds of image files lacks for the channels; empty where it has all they need."""
    if channels == "composite" and "t1" in kinds and "t2" in kinds:
        return ()
    return tuple(kind for kind in CHANNELS[channels] if kind not in kinds)


@dataclass(frozen=True)
class SourceListing:
    """What a source holds.

    Attributes:
        slices: Those that offer a label and every image the channels need, sorted by name.
        left_out: Reasons, each with the number of slices left out for it.
        incomplete: Those left out that have a label, but not every image the channels need.
        notes: What a user must know of how they are read, a sentence each.
        levels: Those that a complete patient has; empty where the data has no such thing.
    """

    slices: list[Slice]
    left_out: Counter[str] = field(default_factory=Counter)
    incomplete: list[Slice] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data set and the settings under which it is read; its fields are the keys of the ``data`` section."""

    name: str = setting()
    root: str = setting()
    channels: str = setting("composite", choices=tuple(CHANNELS))
    third: str = setting(PUBLISHED, choices=tuple(THIRD))
    batch_size: int = setting(8, at_least=1)
    num_workers: int = setting(2, at_least=0)
    spacing: float | None = setting(None, above=0)

    @classmethod
    def offered(cls) -> tuple[str, ...]:
        """The choices of ``channels``."""
        choices: tuple[str, ...] = cls.__dataclass_fields__["channels"].metadata["choices"]
        return choices

    @property
    def labels(self) -> LabelSet:
        """The classes of the data set."""
        return LUMBAR

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """What results are told apart by, each with its groups in their order; slices say which they belong to."""
        return {}

    @property
    def disclaimer(self) -> str:
        """What every page made with this data must say."""
        return "Research use only."

    @property
    def licence(self) -> str:
        """Under which terms the data may be used."""
        return "not known to this program; its owner decides"

    @property
    def citation(self) -> str:
        """What those must cite who publish with it; empty where there is nothing."""
        return ""

    def check(self) -> None:
        """Look whether the files can be there, before anything heavy is imported.

        Raises:
            UserError: they cannot.
        """

    def prepare(self) -> None:
        """Make the files ready; called in one process before any other reads them.

        Raises:
            UserError: they cannot be had.
        """

    def notes(self) -> dict[str, str]:
        """Radiologists' notes, as :func:`~lss_lightning.data.reports.read_reports` gives them, if there are any.

        Raises:
            UserError: their file cannot be read.
        """
        return {}

    def truth(self) -> dict[str, dict[str, str]]:
        """What is known of slices beside their labels, by the slice's name and column; nothing of real data."""
        return {}

    def find(self) -> SourceListing:
        """List the slices.

        Raises:
            UserError: there are none.
        """
        raise NotImplementedError
