"""Selection of the axial T1 and T2 series among all images of a patient."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lss_lightning.data.dicom.archive import natural_sort_key
from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.errors import UserError

# Repetition and echo times in ms of T1- and T2-weighted spin echoes. Localisers are gradient echoes with far shorter
# times; inversion recoveries and proton-density images have times in between.
_T1_REPETITION_TIME, _T1_MAX_ECHO_TIME = (200, 1300), 40
_T2_MIN_REPETITION_TIME, _T2_MIN_ECHO_TIME = 1500, 60
_NOT_ORIGINAL_SLICES = re.compile(r"locali[sz]er|scout|posdisp|derived|secondary")


@dataclass(frozen=True)
class DicomSeries:
    """The images of one series.

    Attributes:
        files: All files in natural order, including unreadable ones, because slice numbers count them.
        images: The readable images by file name. At least one.
    """

    files: tuple[str, ...]
    images: dict[str, DicomImage]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return PurePosixPath(self.files[0]).parent.name

    @property
    def unreadable(self) -> int:
        """Number of files that could not be read."""
        return len(self.files) - len(self.images)

    @property
    def orientation(self) -> str:
        """``axial`` or ``not axial``, by the majority of the images, or ``without …`` if none states its position."""
        planes = [image.plane for image in self.images.values() if image.plane]
        if not planes:
            return f"without {' and '.join(next(iter(self.images.values())).invalid_attributes)}"
        return "axial" if 2 * sum(plane.is_axial for plane in planes) > len(planes) else "not axial"

    @property
    def weighting(self) -> str:
        """``T1``, ``T2`` or ``other``, by the first image's times or, if these are missing, by its description."""
        image = next(iter(self.images.values()))
        if _NOT_ORIGINAL_SLICES.search(image.description):
            return "other"
        repetition_time, echo_time = image.repetition_time, image.echo_time
        if repetition_time is None or echo_time is None:
            match = re.match(r"t([12])(?![0-9])", image.description.replace("_", " ").strip())
            return f"T{match[1]}" if match else "other"
        shortest, longest = _T1_REPETITION_TIME
        if shortest <= repetition_time <= longest and echo_time <= _T1_MAX_ECHO_TIME:
            return "T1"
        return "T2" if repetition_time >= _T2_MIN_REPETITION_TIME and echo_time >= _T2_MIN_ECHO_TIME else "other"


def describe_exclusion(image: DicomImage) -> str:
    """State the rule by which an image is neither T1 nor T2, with its values."""
    if match := _NOT_ORIGINAL_SLICES.search(image.description):
        return f"with {match[0]!r} in ImageType or SeriesDescription"
    if image.repetition_time is None or image.echo_time is None:
        times = {"RepetitionTime": image.repetition_time, "EchoTime": image.echo_time}
        absent = [name for name, value in times.items() if value is None]
        odd = [problem for problem in image.attribute_problems if problem.startswith(tuple(absent))]
        reason = " and ".join(odd) or f"without {' and '.join(absent)}"
        return f"{reason}, and a SeriesDescription that does not begin with t1 or t2"
    shortest, longest = _T1_REPETITION_TIME
    return (
        f"with RepetitionTime {image.repetition_time:g} and EchoTime {image.echo_time:g} ms (T1 has {shortest} to "
        f"{longest} and at most {_T1_MAX_ECHO_TIME} ms, "
        f"T2 at least {_T2_MIN_REPETITION_TIME} and {_T2_MIN_ECHO_TIME} ms)"
    )


def find_series_pair(
    images: Iterable[DicomImage], unreadable: Sequence[str], t1_name: str | None = None, t2_name: str | None = None
) -> tuple[DicomSeries, DicomSeries]:
    """Find the axial T1 and T2 series of the one study that contains both.

    Args:
        images: All images of a patient.
        unreadable: Names of the patient's files that could not be read.
        t1_name: Name of the T1 folder or its beginning, or None to choose by orientation and weighting.
        t2_name: The same for T2.

    Returns:
        The T1 series and the T2 series.

    Raises:
        UserError: If no series or several series match, if the matching series is not axial, or if several studies
            contain a pair.
    """
    studies: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.study_uid].append(image)
    if not studies:
        raise UserError("no readable DICOM image; give the folder as downloaded")
    pairs, problems = [], []
    for study in studies.values():
        try:
            pairs.append(
                (_choose_series(study, unreadable, "T1", t1_name), _choose_series(study, unreadable, "T2", t2_name)),
            )
        except UserError as problem:
            problems.append(problem)
    if len(pairs) > 1:
        raise UserError(f"{len(pairs)} studies hold an axial T1 and T2 series; keep one study in the patient's folder")
    if not pairs:
        more = f" (and {len(problems) - 1} more studies without a pair)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{more}")
    return pairs[0]


def _choose_series(
    images: list[DicomImage], unreadable: Sequence[str], weighting: str, name: str | None
) -> DicomSeries:
    if name is None:
        all_series = _group_into_series(images, unreadable, by_folder=False)
        matches = [series for series in all_series if series.weighting == weighting and series.orientation == "axial"]
        target, remedy = f"axial {weighting} series", f"name the folder in {weighting}_Subfolders.csv"
    else:
        all_series = _group_into_series(images, unreadable, by_folder=True)
        matches = _find_by_name(all_series, name)
        target, remedy = f"readable series folder {name} for {weighting}", f"correct {weighting}_Subfolders.csv"
        if len(matches) == 1 and (orientation := matches[0].orientation) != "axial":
            raise UserError(f"{weighting} series {matches[0].name} is {orientation}; export it again, or {remedy}")
    if len(matches) == 1:
        return matches[0]
    candidates = ", ".join(
        f"{series.name} ({series.weighting}, {series.orientation})" for series in matches or all_series
    )
    raise UserError(f"{'more than one' if matches else 'no'} {target}; found {candidates}; {remedy}")


def _group_into_series(images: list[DicomImage], unreadable: Sequence[str], *, by_folder: bool) -> list[DicomSeries]:
    """Group images by folder or, within each folder, by SeriesInstanceUID.

    Unreadable files are added to every series of their folder.
    """
    groups: dict[tuple[str, str], list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.folder, "" if by_folder else image.series_uid].append(image)
    all_series = []
    for (folder, _), members in groups.items():
        unreadable_members = [file for file in unreadable if str(PurePosixPath(file).parent) == folder]
        files = sorted([*(image.file for image in members), *unreadable_members], key=natural_sort_key)
        all_series.append(DicomSeries(tuple(files), {image.file: image for image in members}))
    return all_series


def _find_by_name(all_series: list[DicomSeries], name: str) -> list[DicomSeries]:
    """Return the series in folders of a name or, if there is none, in folders whose names begin with it."""
    exact = [series for series in all_series if series.name.lower() == name.lower()]
    return exact or [series for series in all_series if series.name.lower().startswith(name.lower())]
