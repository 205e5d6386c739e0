"""A DICOM study: its axial T1 and T2 images among all that was acquired."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lss_lightning.data.dicom.archive import Read, natural, reader
from lss_lightning.data.dicom.images import DicomImage, read_pixels
from lss_lightning.data.dicom.series import Series
from lss_lightning.data.studies.assemble import AcquiredImage, assemble
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.errors import UserError

_SPLIT = "export them as one file for each image, or split them (dcm4che's emf2sf does)"


@dataclass(frozen=True)
class DicomStudy:
    """Images of one StudyInstanceUID.

    Attributes:
        root: The folder that the files' names are relative to.
        images: At least one.
    """

    root: Path
    images: tuple[DicomImage, ...]

    def read(self, wanted: InputRequirements, name: str) -> Study:
        """Find, pair, register and read the axial slices.

        Args:
            wanted: What the checkpoint needs.
            name: Of the study, for the progress bar.

        Raises:
            UserError: there are none that can be used, or none of the weighting that is needed.
        """
        if not self.images[0].study:
            raise UserError(
                f"StudyInstanceUID missing in {len(self.images)} images, which may be of several patients; export again"
            )
        weightings = {series: Series(*_series(images)).weighting for series, images in _by_series(self.images)}
        weighted = [image for image in self.images if weightings[image.series] in ("T1", "T2")]
        single = [image for image in weighted if image.frames == 1]
        axial = [image for image in single if image.plane and image.plane.is_axial]
        if not axial:
            raise UserError(_none_axial(self.images, weighted))
        problems = []
        # Enhanced images state their times for each frame, not for the file.
        if several := sum(
            weightings[image.series] != "other" or image.repetition is None for image in self.images if image.frames > 1
        ):
            problems.append(f"{several} multi-frame files left out: {_SPLIT}")
        if placeless := [image for image in single if image.plane is None]:
            problems.append(f"{len(placeless)} images left out: {_lacking(placeless)} missing or senseless")
        with reader(self.root) as read:
            ordered = sorted(axial, key=lambda image: natural(image.file))
            acquired = [self._acquired(image, weightings[image.series], read) for image in ordered]
            try:
                study = assemble(acquired, wanted, name)
            except UserError as error:
                raise UserError("; ".join((str(error), *problems))) from error
        return Study(slices=study.slices, problems=(*problems, *study.problems), remarks=study.remarks)

    def _acquired(self, image: DicomImage, weighting: str, read: Read) -> AcquiredImage:
        plane, flipped = image.grid.upright()
        return AcquiredImage(
            kind=weighting,
            plane=plane,
            slice_spacing=image.slice_spacing,
            thickness=image.thickness,
            series=image.series,
            source=self.root / image.file,
            pixels=lambda: np.flip(read_pixels(image.file, read), flipped),
        )


def _by_series(images: Iterable[DicomImage]) -> Iterable[tuple[str, list[DicomImage]]]:
    groups: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.series].append(image)
    return groups.items()


def _series(images: Sequence[DicomImage]) -> tuple[tuple[str, ...], dict[str, DicomImage]]:
    ordered = sorted(images, key=lambda image: natural(image.file))
    return tuple(image.file for image in ordered), {image.file: image for image in ordered}


def _none_axial(images: Sequence[DicomImage], weighted: Sequence[DicomImage]) -> str:
    """Why a study has no axial T1 or T2 image, and what would help; no name of a file or series is said."""
    several = [image for image in images if image.frames > 1]
    placed = [image for image in images if image.plane]
    axial = [image for image in placed if image.plane and image.plane.is_axial]
    placeless = [image for image in weighted if not image.plane and image.frames == 1]
    if several and not axial:
        return f"{len(several)} multi-frame files, which are not read; {_SPLIT}"
    if placeless:
        return f"{_lacking(placeless)} missing or senseless in {len(placeless)} of {len(images)} images; export again"
    if not placed:
        return f"{_lacking(images)} missing or senseless in all {len(images)} images; export again"
    if axial and not weighted:
        return (
            f"{len(axial)} axial images, but none weighted T1 or T2 by RepetitionTime and EchoTime, or by a "
            "description that begins with t1 or t2; export the axial spin-echo series"
        )
    return f"no axial T1 or T2 images among {len(placed)}, only sagittal or coronal ones; add the axial series"


def _lacking(images: Iterable[DicomImage]) -> str:
    counts = Counter(attribute for image in images for attribute in image.lacking)
    return " and ".join(attribute for attribute, _ in counts.most_common())
