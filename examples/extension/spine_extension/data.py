"""Discs and thecal sacs drawn as ellipses and written as PNG files, as an example of a data source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import PositiveInt

from lss_lightning.data.slices import Slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.labels import LabelSet

SIZE = 64
"""Height and width of an image in pixels."""

FIELD_OF_VIEW = 160.0
"""Width of an image in mm."""


@dataclass(frozen=True, kw_only=True)
class EllipseSource(DataSource):
    """A data source with two slices per patient. Its fields are settings, for example ``data.patients=12``.

    Attributes:
        patients: Number of patients.
    """

    channels: Literal["grey"] = "grey"
    patients: PositiveInt = 8

    @property
    def labels(self) -> LabelSet:
        """The classes background, disc and sac."""
        return LabelSet.from_codes({"background": 0, "disc": 1, "sac": 2}, ["background"])

    @property
    def disclaimer(self) -> str:
        """The disclaimer shown in every HTML report on this data."""
        return "Research use only. Ellipses: no clinical meaning."

    def prepare(self) -> None:
        """Write the files that do not exist yet."""
        Path(self.root).mkdir(parents=True, exist_ok=True)
        for slice_ in self._list_slices():
            image, label = Path(str(slice_.images["grey"])), Path(str(slice_.label))
            if not label.exists():
                pixels, classes = _draw(int(slice_.patient), int(slice_.level))
                Image.fromarray(pixels).save(image)
                Image.fromarray(classes).save(label)

    def find(self) -> SourceListing:
        """List the slices."""
        return SourceListing(self._list_slices(), levels=("0", "1"))

    def _list_slices(self) -> list[Slice]:
        root = Path(self.root)
        return [
            Slice(
                patient=f"{patient:03d}",
                level=level,
                images={"grey": root / f"image_{patient:03d}_{level}.png"},
                label=root / f"label_{patient:03d}_{level}.png",
                field_of_view=FIELD_OF_VIEW,
            )
            for patient in range(self.patients)
            for level in "01"
        ]


def _draw(patient: int, level: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng((patient, level))
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    centre = rng.uniform(-4, 4, 2)
    disc = ((rows - centre[0] + 8) / 10) ** 2 + ((columns - centre[1]) / 16) ** 2 < 1
    sac = ((rows - centre[0] - 10) / 5) ** 2 + ((columns - centre[1]) / 7) ** 2 < 1
    classes = np.where(disc, 1, np.where(sac, 2, 0)).astype(np.uint8)
    signal = np.array([40, 110, 210])[classes] + rng.normal(0, 12, classes.shape)
    return signal.clip(0, 255).astype(np.uint8), classes
