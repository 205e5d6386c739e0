"""DICOM studies: selection of the axial T1 and T2 images among all images acquired."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.dicom.archive import FileReader, natural_sort_key, open_reader
from lss_lightning.data.dicom.images import DicomImage, read_pixels
from lss_lightning.data.dicom.series import DicomSeries
from lss_lightning.data.studies.assemble import AcquiredImage, assemble_study
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.errors import UserError

_SPLIT = "export them as one file for each image, or split them (for example with dcm4che's emf2sf)"


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
                "them again"
            )
        weightings = {uid: _to_series(images).weighting for uid, images in _group_by_series(self.images).items()}
        weighted = [image for image in self.images if weightings[image.series_uid] in ("T1", "T2")]
        single_frame = [image for image in weighted if image.number_of_frames == 1]
        axial = [image for image in single_frame if image.plane and image.plane.is_axial]
        if not axial:
            raise UserError(_explain_no_axial_images(self.images, weighted))
        problems = []
        # Enhanced images state their times per frame, not per file.
        if multi_frame := sum(
            weightings[image.series_uid] != "other" or image.repetition_time is None
            for image in self.images
            if image.number_of_frames > 1
        ):
            problems.append(f"{multi_frame} multi-frame files left out: {_SPLIT}")
        if unplaced := [image for image in single_frame if image.plane is None]:
            problems.append(f"{len(unplaced)} images left out: {_join_invalid(unplaced)} missing or invalid")
        with open_reader(self.root) as read:
            ordered = sorted(axial, key=lambda image: natural_sort_key(image.file))
            acquired = [self._to_acquired(image, weightings[image.series_uid], read) for image in ordered]
            try:
                study = assemble_study(acquired, requirements, name)
            except UserError as error:
                raise UserError("; ".join((str(error), *problems))) from error
        return Study(slices=study.slices, problems=(*problems, *study.problems), remarks=study.remarks)

    def _to_acquired(self, image: DicomImage, weighting: str, read: FileReader) -> AcquiredImage:
        plane, turn = image.required_plane.upright()
        return AcquiredImage(
            kind=weighting,
            plane=plane,
            slice_spacing=image.slice_spacing,
            thickness=image.thickness,
            series=image.series_uid,
            source=self.root / image.file,
            read_pixels=lambda: turn.apply(read_pixels(image.file, read)),
        )


def _group_by_series(images: Iterable[DicomImage]) -> dict[str, list[DicomImage]]:
    groups: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.series_uid].append(image)
    return groups


def _to_series(images: Sequence[DicomImage]) -> DicomSeries:
    ordered = sorted(images, key=lambda image: natural_sort_key(image.file))
    return DicomSeries(tuple(image.file for image in ordered), {image.file: image for image in ordered})


def _explain_no_axial_images(images: Sequence[DicomImage], weighted: Sequence[DicomImage]) -> str:
    """Explain why a study has no axial T1 or T2 image and give the remedy, without naming a file or series."""
    multi_frame = [image for image in images if image.number_of_frames > 1]
    placed = [image for image in images if image.plane]
    axial = [image for image in placed if image.plane and image.plane.is_axial]
    unplaced = [image for image in weighted if not image.plane and image.number_of_frames == 1]
    if multi_frame and not axial:
        return f"{len(multi_frame)} multi-frame files, which are not supported; {_SPLIT}"
    if unplaced:
        return (
            f"{_join_invalid(unplaced)} missing or invalid in {len(unplaced)} of {len(images)} images; export them "
            "again"
        )
    if not placed:
        return f"{_join_invalid(images)} missing or invalid in all {len(images)} images; export them again"
    if axial and not weighted:
        return (
            f"{len(axial)} axial images, but none is T1- or T2-weighted by RepetitionTime and EchoTime, or by a "
            "description that begins with t1 or t2; export the axial spin-echo series"
        )
    return f"no axial T1 or T2 images among {len(placed)}, only sagittal or coronal ones; add the axial series"


def _join_invalid(images: Iterable[DicomImage]) -> str:
    """Return the names of the missing or invalid attributes, the most frequent first."""
    counts = Counter(attribute for image in images for attribute in image.invalid_attributes)
    return " and ".join(attribute for attribute, _ in counts.most_common())
