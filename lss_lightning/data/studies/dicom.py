"""DICOM studies: selection of the axial T1 and T2 images among all images acquired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lss_lightning.data.dicom.archive import FileReader, natural_sort_key, open_reader
from lss_lightning.data.dicom.images import DicomImage, read_pixels
from lss_lightning.data.dicom.series import DicomSeries
from lss_lightning.data.studies.assemble import AcquiredImage, assemble_study
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.data.studies.refusals import SPLIT, explain_no_axial_images, join_problems
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class DicomStudy:
    """The images of one StudyInstanceUID.

    Attributes:
        root: The folder that file names are relative to.
        images: At least one.
    """

    root: Path
    images: tuple[DicomImage, ...]

    def read(self, requirements: InputRequirements, name: str) -> Study:
        """Select, pair, register and read the axial slices.

        Args:
            requirements: The images that the checkpoint needs.
            name: Name of the study, shown by the progress bar.

        Raises:
            UserError: If there is no usable axial slice, or none of a weighting that is needed.
        """
        if not self.images[0].study_uid:
            raise UserError(
                f"StudyInstanceUID missing in {len(self.images)} images, which may belong to several patients; export "
                "them again",
                [str(self.root / image.file) for image in self.images],
            )
        weightings = {uid: _to_series(images).weighting for uid, images in _group_by_series(self.images).items()}
        weighted = [image for image in self.images if weightings[image.series_uid] in ("T1", "T2")]
        single_frame = [image for image in weighted if image.number_of_frames == 1]
        axial = [image for image in single_frame if image.plane and image.plane.is_axial]
        if not axial:
            raise self._with_paths(explain_no_axial_images(self.images))
        problems = []
        # Enhanced images state their times per frame, not per file.
        if multi_frame := sum(
            weightings[image.series_uid] != "other" or image.repetition_time is None
            for image in self.images
            if image.number_of_frames > 1
        ):
            problems.append(f"{multi_frame} multi-frame files left out: {SPLIT}")
        if unplaced := [image for image in single_frame if image.plane is None]:
            problems.append(f"{len(unplaced)} images left out: {join_problems(unplaced)}; export them again")
        with open_reader(self.root) as read:
            ordered = sorted(axial, key=lambda image: natural_sort_key(image.file))
            acquired = [self._to_acquired(image, weightings[image.series_uid], read) for image in ordered]
            try:
                study = assemble_study(acquired, requirements, name)
            except UserError as error:
                raise UserError("; ".join((str(error), *problems)), error.files) from error
        files = dict(study.files)
        if unplaced:
            files[problems[-1]] = tuple(str(self.root / image.file) for image in unplaced)
        return replace(study, problems=(*problems, *study.problems), files=files)

    def _with_paths(self, error: UserError) -> UserError:
        return UserError(str(error), [str(self.root / file) for file in error.files])

    def _to_acquired(self, image: DicomImage, weighting: str, read: FileReader) -> AcquiredImage:
        plane, flipped = image.required_plane.upright()
        return AcquiredImage(
            kind=weighting,
            plane=plane,
            slice_spacing=image.slice_spacing,
            thickness=image.thickness,
            series=image.series_uid,
            source=self.root / image.file,
            read_pixels=lambda: np.flip(read_pixels(image.file, read), flipped),
        )


def _group_by_series(images: Iterable[DicomImage]) -> dict[str, list[DicomImage]]:
    groups: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.series_uid].append(image)
    return groups


def _to_series(images: Sequence[DicomImage]) -> DicomSeries:
    ordered = sorted(images, key=lambda image: natural_sort_key(image.file))
    return DicomSeries(tuple(image.file for image in ordered), {image.file: image for image in ordered})
