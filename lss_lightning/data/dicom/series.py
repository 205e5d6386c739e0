"""Finds the axial T1 and T2 series among all that was acquired of a patient."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lss_lightning.data.dicom.archive import natural
from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.errors import UserError

# Spin-echo times in ms that weight towards T1 or T2; localisers are gradient echoes far below, inversion recoveries
# and proton-density images between.
_T1_REPETITION, _T1_ECHO = (200, 1300), 40
_T2_REPETITION, _T2_ECHO = 1500, 60
_NO_SLICES = re.compile(r"locali[sz]er|scout|posdisp|derived|secondary")


@dataclass(frozen=True)
class Series:
    """Images that belong together.

    Attributes:
        files: All files in natural order, those too that cannot be read: slice numbers count them.
        images: What could be read, by file.
    """

    files: tuple[str, ...]
    images: dict[str, DicomImage]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return PurePosixPath(self.files[0]).parent.name

    @property
    def unreadable(self) -> int:
        """How many files could not be read."""
        return len(self.files) - len(self.images)

    @property
    def direction(self) -> str:
        """``axial`` or ``not axial``, by most of its images; ``without …`` where none of them tells its place."""
        planes = [image.plane for image in self.images.values() if image.plane]
        if not planes:
            return f"without {' and '.join(next(iter(self.images.values())).lacking)}"
        return "axial" if 2 * sum(plane.is_axial for plane in planes) > len(planes) else "not axial"

    @property
    def weighting(self) -> str:
        """``T1``, ``T2`` or ``other``, by the first image's times, or, where these are missing, by its description."""
        image = next(iter(self.images.values()))
        if _NO_SLICES.search(image.description):
            return "other"
        if image.repetition is None or image.echo is None:
            named = re.match(r"t([12])(?![0-9])", image.description.replace("_", " ").strip())
            return f"T{named[1]}" if named else "other"
        if _T1_REPETITION[0] <= image.repetition <= _T1_REPETITION[1] and image.echo <= _T1_ECHO:
            return "T1"
        return "T2" if image.repetition >= _T2_REPETITION and image.echo >= _T2_ECHO else "other"


def find_pair(
    images: Iterable[DicomImage], unreadable: Sequence[str], t1_name: str | None = None, t2_name: str | None = None
) -> tuple[Series, Series]:
    """The axial T1 and T2 series of the one study that holds both.

    Args:
        images: All of a patient.
        unreadable: Files beside them that could not be read.
        t1_name: Folder of T1, or how it begins; None means to tell by direction and weighting.
        t2_name: The same for T2.

    Returns:
        T1, T2.

    Raises:
        UserError: none or several series fit, what fits is not axial, or several studies hold a pair.
    """
    studies: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.study].append(image)
    if not studies:
        raise UserError("no readable DICOM image; give the folder as downloaded")
    pairs, problems = [], []
    for study in studies.values():
        try:
            pairs.append(
                (_choose(study, unreadable, "T1", t1_name), _choose(study, unreadable, "T2", t2_name)),
            )
        except UserError as problem:
            problems.append(problem)
    if len(pairs) > 1:
        raise UserError(f"{len(pairs)} studies hold an axial T1 and T2 series; keep one study in the patient's folder")
    if not pairs:
        more = f" (and {len(problems) - 1} more studies without a pair)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{more}")
    return pairs[0]


def _choose(images: list[DicomImage], unreadable: Sequence[str], weighting: str, name: str | None) -> Series:
    if name is None:
        series = _group(images, unreadable, by_folder=False)
        fits = [one for one in series if one.weighting == weighting and one.direction == "axial"]
        wanted, remedy = f"axial {weighting} series", f"name the folder in {weighting}_Subfolders.csv"
    else:
        series = _group(images, unreadable, by_folder=True)
        fits = _named(series, name)
        wanted, remedy = f"readable series folder {name} for {weighting}", f"correct {weighting}_Subfolders.csv"
        if len(fits) == 1 and fits[0].direction != "axial":
            raise UserError(f"{weighting} series {fits[0].name} is {fits[0].direction}; export it again, or {remedy}")
    if len(fits) == 1:
        return fits[0]
    found = ", ".join(f"{one.name} ({one.weighting}, {one.direction})" for one in fits or series)
    raise UserError(f"{'several fit' if fits else 'no'} {wanted}; found {found}; {remedy}")


def _group(images: list[DicomImage], unreadable: Sequence[str], *, by_folder: bool) -> list[Series]:
    """One series a folder, or, more finely, a SeriesInstanceUID; unreadable files belong to all of their folder."""
    groups: dict[tuple[str, str], list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.folder, "" if by_folder else image.series].append(image)
    series = []
    for (folder, _), members in groups.items():
        lost = [file for file in unreadable if str(PurePosixPath(file).parent) == folder]
        files = sorted([*(image.file for image in members), *lost], key=natural)
        series.append(Series(tuple(files), {image.file: image for image in members}))
    return series


def _named(series: list[Series], name: str) -> list[Series]:
    """Those whose folder is so called; if there is none, those whose folder begins so."""
    exact = [one for one in series if one.name.lower() == name.lower()]
    return exact or [one for one in series if one.name.lower().startswith(name.lower())]
