"""The phantom as a data source: written once per set of parameters, read like the real data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lss_lightning.config.validation import setting
from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.slices import LEVELS
from lss_lightning.data.source import PAIRED, DataSource, SourceListing
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.phantom.severity import CLASSES, read_severities
from lss_lightning.phantom.table import TRUTH
from lss_lightning.phantom.version import VERSION


@dataclass(frozen=True, kw_only=True)
class Phantom(DataSource):
    """Synthetic patients of three levels each; ``root`` holds a folder per set of parameters."""

    channels: str = setting("composite", choices=PAIRED)
    patients: int = setting(100, at_least=1)
    image_size: int = setting(320, at_least=64)
    seed: int = setting(0, at_least=0)
    randomise: float = setting(0.0, at_least=0, at_most=1)
    severity: list[float] = setting([0.0, 1.0])

    def __post_init__(self) -> None:
        if len(self.severity) != 2 or not 0 <= self.severity[0] <= self.severity[1] <= 1:
            raise UserError(
                f"data.severity={format_setting(self.severity)}: impossible anatomy; give the least and the "
                "greatest severity of the stenoses, each within 0 to 1, e.g. data.severity=[0.5,1]"
            )

    @property
    def folder(self) -> Path:
        """Where this set of parameters lies."""
        name = f"v{VERSION}-{self.patients}-patients-{self.image_size}-px-seed-{self.seed}"
        if self.randomise:
            name += f"-randomise-{self.randomise}"
        if self.severity != [0, 1]:
            name += f"-severity-{self.severity[0]:g}-{self.severity[1]:g}"
        return Path(self.root).expanduser() / name

    @property
    def disclaimer(self) -> str:
        """What every page made with this data must say."""
        return "Phantom data: no clinical meaning. Research use only."

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """Levels, and classes of severity."""
        return {"level": LEVELS, "severity": tuple(CLASSES)}

    @property
    def licence(self) -> str:
        """Under which terms the data may be used."""
        return "made by this program, Apache-2.0"

    def prepare(self) -> None:
        """Write the phantom unless it is there."""
        from lss_lightning.phantom import write_phantom

        write_phantom(
            self.folder,
            patients=self.patients,
            image_size=self.image_size,
            seed=self.seed,
            randomise=self.randomise,
            severities=(self.severity[0], self.severity[1]),
        )

    def find(self) -> SourceListing:
        """List the slices.

        Raises:
            UserError: files of the phantom are gone.
        """
        found = find_slices(self.folder, self.channels)
        severities = read_severities(self.folder / TRUTH)
        slices = []
        for piece in found.slices:
            known = severities.get((piece.patient, piece.level))
            groups = piece.groups if known is None else {**piece.groups, "severity": known}
            slices.append(replace(piece, groups=groups))
        return replace(found, slices=slices)

    def truth(self) -> dict[str, dict[str, str]]:
        """The rows of ``truth.csv``."""
        with (self.folder / TRUTH).open(newline="", encoding="utf-8") as stream:
            return {f"{row['patient']}_{row['level']}": row for row in csv.DictReader(stream)}
