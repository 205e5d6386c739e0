"""Selection of the axial T1 and T2 series among all images of a patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lss_lightning.data.dicom.archive import natural_sort_key
from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.data.dicom.traits import ImageTraits, are_same_patient
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class StudyGroup:
    """The images of one study.

    Attributes:
        images: At least one image.
        patients: Number of patients whose images have this StudyInstanceUID. It should be 1.
    """

    images: tuple[DicomImage, ...]
    patients: int


@dataclass(frozen=True)
class DicomSeries:
    """The images of one series.

    Attributes:
        files: All files in natural order, including unreadable ones, because slice numbers include them.
        images: The readable images by file name; at least one.
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
        """``axial`` or ``not axial``, by the majority of the images, or ``without …`` if none has a valid plane."""
        planes = [image.plane for image in self.images.values() if image.plane]
        if not planes:
            return f"without {' and '.join(next(iter(self.images.values())).invalid_attributes)}"
        return "axial" if 2 * sum(plane.is_axial for plane in planes) > len(planes) else "not axial"

    @property
    def weighting(self) -> str:
        """``T1``, ``T2``, ``PD``, ``STIR`` or ``other``, by the majority of the images."""
        ((weighting, _),) = Counter(image.traits.weighting for image in self.images.values()).most_common(1)
        return weighting


def group_into_studies(images: Sequence[DicomImage]) -> list[StudyGroup]:
    """Group images by StudyInstanceUID and patient, in the order of each group's first image.

    Some de-identification tools assign one StudyInstanceUID to several patients, who are then distinguished by
    PatientID, name, birth date and sex. An image that states too little to identify one of these patients becomes a
    separate study.
    """
    by_uid: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        by_uid[image.study_uid].append(image)
    groups = [
        StudyGroup(tuple(members), len(patients))
        for study in by_uid.values()
        for patients in [_split_by_patient(study)]
        for members in patients
    ]
    position = {image.file: index for index, image in enumerate(images)}
    return sorted(groups, key=lambda group: position[group.images[0].file])


def _split_by_patient(images: Sequence[DicomImage]) -> list[list[DicomImage]]:
    # Screen captures and similar images may state another patient, or none; they form no study and are never used.
    usable = [i for i in images if i.plane or i.number_of_frames > 1 or i.traits.weighting != "other"]
    by_identity = {image.traits.identity: image.traits for image in usable or images[:1]}
    patients: list[list[ImageTraits]] = []
    patient_of = {}
    for identity in sorted(by_identity, key=lambda identity: -sum(map(bool, identity))):
        traits = by_identity[identity]
        matches = [
            index for index, known in enumerate(patients) if all(are_same_patient(traits, other) for other in known)
        ]
        if len(matches) != 1:
            patients.append([])
        patient_of[identity] = matches[0] if len(matches) == 1 else len(patients) - 1
        patients[patient_of[identity]].append(traits)
    groups: list[list[DicomImage]] = [[] for _ in patients]
    for image in images:
        groups[patient_of.get(image.traits.identity, 0)].append(image)
    return groups


def keep_preferred(images: Sequence[DicomImage]) -> list[DicomImage]:
    """Return the images that depart least from a plain original.

    Originals are preferred to derived copies, then images without a contrast agent to those with one, then in-phase
    images and those without fat suppression to all others (water, fat, opposed-phase or fat-suppressed).
    """
    best = min((image.traits.departures for image in images), default=None)
    return [image for image in images if image.traits.departures == best]


def find_series_pair(
    images: Iterable[DicomImage], unreadable: Sequence[str], t1_name: str | None = None, t2_name: str | None = None
) -> tuple[DicomSeries, DicomSeries]:
    """Find the axial T1 and T2 series of the one study that contains both.

    Args:
        images: All images of a patient.
        unreadable: Names of the patient's files that could not be read.
        t1_name: Name of the T1 folder, or the beginning of its name, or None to choose by orientation and weighting.
        t2_name: The same for T2.

    Returns:
        The T1 series and the T2 series.

    Raises:
        UserError: If no series or several series match, if the matching series is not axial, or if several studies
            contain a pair.
    """
    studies = group_into_studies(tuple(images))
    if not studies:
        raise UserError("no readable DICOM image; give the folder as downloaded")
    pairs, problems = [], []
    for study in studies:
        try:
            pairs.append(
                (
                    _choose_series(study.images, unreadable, "T1", t1_name),
                    _choose_series(study.images, unreadable, "T2", t2_name),
                ),
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
    images: Sequence[DicomImage], unreadable: Sequence[str], weighting: str, name: str | None
) -> DicomSeries:
    if name is None:
        all_series = _group_into_series(images, unreadable, by_folder=False)
        matches = [series for series in all_series if series.weighting == weighting and series.orientation == "axial"]
        preferred = {image.file for image in keep_preferred([i for series in matches for i in series.images.values()])}
        matches = [series for series in matches if preferred.intersection(series.images)]
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


def _group_into_series(
    images: Sequence[DicomImage], unreadable: Sequence[str], *, by_folder: bool
) -> list[DicomSeries]:
    """Group images by folder or, within each folder, by SeriesInstanceUID, weighting and departure from the original.

    Unreadable files are added to every series of their folder.
    """
    groups: dict[tuple[object, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        traits = image.traits
        key = () if by_folder else (image.series_uid, traits.weighting, traits.departures)
        groups[image.folder, *key].append(image)
    all_series = []
    for (folder, *_), members in groups.items():
        unreadable_members = [file for file in unreadable if str(PurePosixPath(file).parent) == folder]
        files = sorted([*(image.file for image in members), *unreadable_members], key=natural_sort_key)
        all_series.append(DicomSeries(tuple(files), {image.file: image for image in members}))
    return all_series


def _find_by_name(all_series: list[DicomSeries], name: str) -> list[DicomSeries]:
    """Return the series in folders with a given name or, if there are none, in folders whose names begin with it."""
    exact = [series for series in all_series if series.name.lower() == name.lower()]
    return exact or [series for series in all_series if series.name.lower().startswith(name.lower())]
