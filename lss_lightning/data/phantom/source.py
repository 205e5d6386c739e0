"""The phantom as a data source: written once per set of parameters, read like the real data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.source import PAIRED, DataSource, Found
from lss_lightning.settings import setting


@dataclass(frozen=True, kw_only=True)
class Phantom(DataSource):
    """Synthetic patients of three levels each; ``root`` holds a folder per set of parameters."""

    channels: str = setting("composite", choices=PAIRED)
    patients: int = setting(100, at_least=1)
    image_size: int = setting(320, at_least=64)
    seed: int = setting(0, at_least=0)
    randomise: float = setting(0.0, at_least=0, at_most=1)

    @property
    def folder(self) -> Path:
        """Where this set of parameters lies."""
        name = f"{self.patients}-patients-{self.image_size}-px-seed-{self.seed}"
        if self.randomise:
            name += f"-randomise-{self.randomise}"
        return Path(self.root).expanduser() / name

    @property
    def disclaimer(self) -> str:
        """What every page made with this data must say."""
        return "Phantom data: no clinical meaning. Research use only."

    def prepare(self) -> None:
        """Write the phantom unless it is there."""
        from lss_lightning.data.phantom import write_phantom

        write_phantom(
            self.folder,
            patients=self.patients,
            image_size=self.image_size,
            seed=self.seed,
            randomise=self.randomise,
        )

    def find(self) -> Found:
        """List the slices."""
        return find_slices(self.folder, self.channels)
