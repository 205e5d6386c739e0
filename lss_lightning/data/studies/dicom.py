"""DICOM studies: selection of the axial T1 and T2 images among all images acquired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lss_lightning.data.dicom.archive import FileReader, natural_sort_key, open_reader
from lss_lightning.data.dicom.images import DicomImage, read_pixels
from lss_lightning.data.studies.assemble import AcquiredImage, assemble_study
from lss_lightning.data.studies.choice import choose_images, label_series, rank_images
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.data.studies.refusals import SPLIT, explain_no_axial_images, explain_unweighted, join_problems
from lss_lightning.display import format_count
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class DicomStudy:
    """The images with one StudyInstanceUID that belong to one patient.

    Attributes:
        root: The folder to which file names are relative.
        images: At least one image.
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
            UserError: If there is no usable axial slice, or none with a weighting that the checkpoint needs.
        """
        if not self.images[0].study_uid:
            raise UserError(
                f"StudyInstanceUID missing in {len(self.images)} images, which may belong to several patients; export "
                "them again",
                self._add_root(image.file for image in self.images),
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
            error = explain_no_axial_images(self.images)
            raise UserError("; ".join(filter(None, (str(error), shared))), self._add_root(error.files))
        problems = []
        # Enhanced images state their times per frame, not per file.
        if multi_frame := sum(
            image.file in choice.weighted or image.repetition_time is None
            for image in self.images
            if image.number_of_frames > 1
        ):
            problems.append(f"{multi_frame} multi-frame files left out: {SPLIT}")
        if unplaced := [image for image in single_frame if image.plane is None]:
            problems.append(
                f"{format_count(len(unplaced), 'image')} left out: {join_problems(unplaced)}; export them again"
            )
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
                unweighted = "" if error.files else explain_unweighted(self.images)
                text = "; ".join(filter(None, (str(error), unweighted, *problems, shared, *remarks)))
                raise UserError(text, error.files) from error
        remarks = [*([f"{shared}."] if shared else []), *study.remarks, *choice.remarks]
        if odd := [image for image in axial if image.attribute_problems]:
            remarks.append(
                f"{format_count(len(odd), 'image')} used without values that are invalid: {join_problems(odd)}."
            )
        files = dict(study.files)
        if unplaced:
            files[problems[-1]] = self._add_root(image.file for image in unplaced)
        return replace(
            study,
            problems=(*problems, *study.problems),
            remarks=tuple(remarks),
            files=files,
        )

    def _add_root(self, files: Iterable[str]) -> tuple[str, ...]:
        return tuple(str(self.root / file) for file in files)

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
            acquired=image.traits.acquired,
            source=self.root / image.file,
            read_pixels=lambda: turn.apply(read_pixels(image.file, read)),
        )
