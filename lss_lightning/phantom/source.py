"""The phantom as a data source. Each set of parameters is written once and read like the real data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.data.source import DataSource, PairedChannels, SourceListing
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.phantom.severity import SEVERITY_CLASSES, read_severity_classes
from lss_lightning.phantom.table import TRUTH_CSV
from lss_lightning.phantom.version import PHANTOM_VERSION


@dataclass(frozen=True, kw_only=True)
class Phantom(DataSource):
    """A data source of synthetic patients with three levels each. ``root`` has one folder per set of parameters."""

    channels: PairedChannels = "composite"
    patients: PositiveInt = 100
    image_size: Annotated[int, Field(ge=64)] = 320
    seed: NonNegativeInt = 0
    randomise: Annotated[float, Field(ge=0, le=1)] = 0.0
    severity: list[float] = field(default_factory=lambda: [0.0, 1.0])

    def __post_init__(self) -> None:
        if len(self.severity) != 2 or not 0 <= self.severity[0] <= self.severity[1] <= 1:
            raise UserError(
                f"data.severity={format_setting(self.severity)}: impossible anatomy; give the lowest and the "
                "highest severity of the stenoses, each from 0 to 1, e.g. data.severity=[0.5,1]"
            )

    @property
    def folder(self) -> Path:
        """The folder of this set of parameters."""
        name = f"v{PHANTOM_VERSION}-{self.patients}-patients-{self.image_size}-px-seed-{self.seed}"
        if self.randomise:
            name += f"-randomise-{self.randomise}"
        if self.severity != [0, 1]:
            name += f"-severity-{self.severity[0]:g}-{self.severity[1]:g}"
        return Path(self.root).expanduser() / name

    @property
    def disclaimer(self) -> str:
        """The disclaimer shown in every HTML report on this data."""
        return "Phantom data: no clinical meaning. Research use only."

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """The groups by which results are reported: levels and severity classes."""
        return {"level": ALKAFRI_LEVELS, "severity": tuple(SEVERITY_CLASSES)}

    @property
    def licence(self) -> str:
        """The terms of use of the data."""
        return "made by this program, Apache-2.0"

    def prepare(self) -> None:
        """Write the phantom if it does not exist yet."""
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
            UserError: If files of the phantom are missing.
        """
        listing = find_slices(self.folder, self.channels)
        severities = read_severity_classes(self.folder / TRUTH_CSV)
        slices = []
        for slice_ in listing.slices:
            severity = severities.get((slice_.patient, slice_.level))
            groups = slice_.groups if severity is None else {**slice_.groups, "severity": severity}
            slices.append(replace(slice_, groups=groups))
        return replace(listing, slices=slices)

    def read_truth(self) -> dict[str, dict[str, str]]:
        """Return the rows of ``truth.csv`` by slice name, such as ``0001_D3``."""
        with (self.folder / TRUTH_CSV).open(newline="", encoding="utf-8") as stream:
            return {f"{row['patient']}_{row['level']}": row for row in csv.DictReader(stream)}
