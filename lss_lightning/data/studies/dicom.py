"""DICOM studies: selection of the axial T1 and T2 images among all images acquired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.dicom.archive import FileReader, natural_sort_key, open_reader
from lss_lightning.data.dicom.images import DicomImage, read_pixels
from lss_lightning.data.studies.assemble import AcquiredImage, assemble_study
from lss_lightning.data.studies.choice import choose_images, label_series, rank_images
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.errors import UserError

_SPLIT = "export them as one file for each image, or split them (for example with dcm4che's emf2sf)"


@dataclass(frozen=True)
class DicomStudy:
    """The images of one StudyInstanceUID and patient.

    Attributes:
        root: The folder that file names are relative to.
        images: At least one.
        patients: Number of patients in the input whose images have this StudyInstanceUID. It should be 1.
    """

    root: Path
    images: tuple[DicomImage, ...]
    patients: int = 1

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
        shared = ""
        if self.patients > 1:
            shared = (
                f"{self.patients} patients (by PatientID, name, birth date or sex) have the same StudyInstanceUID and "
                "are separate studies here"
            )
        choice = choose_images(self.images, requirements.series)
        weighted = [image for image in self.images if image.file in choice.weighted]
        single_frame = [image for image in weighted if image.number_of_frames == 1]
        axial = [image for image in single_frame if image.file in choice.preferred]
        if not axial:
            raise UserError("; ".join(filter(None, (_explain_no_axial_images(self.images, weighted), shared))))
        problems = []
        # Enhanced images state their times per frame, not per file.
        if multi_frame := sum(
            image.file in choice.weighted or image.repetition_time is None
            for image in self.images
            if image.number_of_frames > 1
        ):
            problems.append(f"{multi_frame} multi-frame files left out: {_SPLIT}")
        if unplaced := [image for image in single_frame if image.plane is None]:
            problems.append(f"{len(unplaced)} images left out: {_join_invalid(unplaced)} missing or invalid")
        with open_reader(self.root) as read:
            ordered = sorted(axial, key=lambda image: natural_sort_key(image.file))
            ranks = {
                file: rank
                for kind in ("T1", "T2")
                for file, rank in rank_images(i for i in ordered if choice.weighted[i.file] == kind).items()
            }
            acquired = [
                self._to_acquired(image, choice.weighted[image.file], ranks[image.file], read) for image in ordered
            ]
            try:
                study = assemble_study(acquired, requirements, name)
            except UserError as error:
                remarks = [remark.removesuffix(".") for remark in choice.remarks]
                raise UserError("; ".join(filter(None, (str(error), *problems, shared, *remarks)))) from error
        first = [f"{shared}."] if shared else []
        return Study(
            slices=study.slices,
            problems=(*problems, *study.problems),
            remarks=(*first, *study.remarks, *choice.remarks),
        )

    def _to_acquired(self, image: DicomImage, weighting: str, rank: int, read: FileReader) -> AcquiredImage:
        plane, turn = image.required_plane.upright()
        return AcquiredImage(
            kind=weighting,
            plane=plane,
            slice_spacing=image.slice_spacing,
            thickness=image.thickness,
            series=f"{image.series_uid} {image.echo_time}",
            label=label_series(image),
            rank=rank,
            source=self.root / image.file,
            read_pixels=lambda: turn.apply(read_pixels(image.file, read)),
        )


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
    others = Counter(image.traits.weighting for image in axial if image.traits.weighting in ("STIR", "PD"))
    if axial and (others or not weighted):
        instead = "".join(f"; {count} of them are {weighting}" for weighting, count in others.items())
        use = ", or choose a series with series={t2: …}" if others else ""
        return (
            f"{len(axial)} axial images, but none is T1- or T2-weighted by RepetitionTime and EchoTime, or by a "
            f"description that says t1 or t2{instead}; export the axial spin-echo series{use}"
        )
    return f"no axial T1 or T2 images among {len(placed)}, only sagittal or coronal ones; add the axial series"


def _join_invalid(images: Iterable[DicomImage]) -> str:
    """Return the names of the missing or invalid attributes, the most frequent first."""
    counts = Counter(attribute for image in images for attribute in image.invalid_attributes)
    return " and ".join(attribute for attribute, _ in counts.most_common())
