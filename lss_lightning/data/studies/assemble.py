"""Assembly of slices from axial images: removal of repeats, pairing and registration of T1 and T2."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.geometry import FALLBACK_SLICE_SPACING, MAX_TILT, Plane, find_facing_plane
from lss_lightning.data.parallel import track_progress
from lss_lightning.data.processors import count_processors
from lss_lightning.data.studies.record import UNSPECIFIED_KIND, AxialSlice, FileProblem, InputRequirements, Study
from lss_lightning.data.studies.stacks import find_stacks
from lss_lightning.errors import UserError
from lss_lightning.stenosis import Flag, Side, flag_registration

# Two images of the same weighting that are closer than this fraction of the slice spacing show the same slice.
_REPEATED = 0.25
_AMBIGUOUS = "other images of the same series at the same positions and time, later by file name"


@dataclass(frozen=True)
class AcquiredImage:
    """An axial image whose pixels have not been read yet.

    Attributes:
        kind: ``T1`` or ``T2``.
        plane: Position in the patient.
        slice_spacing: Distance between the centres of neighbouring slices in mm, or None if unknown.
        thickness: Slice thickness in mm, or None if unknown.
        series: Identifier of the acquisition.
        source: The file.
        read_pixels: Function that returns the pixels, of shape (H, W): floating-point values, or uint8 if they are to
            be used unchanged. It raises :class:`~lss_lightning.data.dicom.archive.UnreadableError`.
        label: Name of the acquisition for the user, or an empty string.
        rank: Rank among images of one slice, 0 for the best.
        acquired: Date and time of the acquisition as text that sorts by time, or an empty string.
    """

    kind: str
    plane: Plane
    slice_spacing: float | None
    thickness: float | None
    series: str
    source: Path
    read_pixels: Callable[[], NDArray[Any]]
    label: str = ""
    rank: int = 0
    acquired: str = ""

    @property
    def half_spacing(self) -> float:
        """Half the distance to the next slice, in mm."""
        return (self.slice_spacing or FALLBACK_SLICE_SPACING) / 2


@dataclass(frozen=True)
class _SlicePlan:
    """A slice to assemble.

    Attributes:
        number: Number of the slice in the study, from 1.
        stack: Index of its stack.
        image: The image that defines the grid.
        partner: The image of the other weighting, or None if there is none.
    """

    number: int
    stack: int
    image: AcquiredImage
    partner: AcquiredImage | None


def assemble_study(images: Sequence[AcquiredImage], requirements: InputRequirements, description: str) -> Study:
    """Assemble slices from all axial images of a study.

    T1 defines the grid if the checkpoint uses it, else T2. The other weighting, if the study has it, is registered to
    that grid.

    Args:
        images: At least one image.
        requirements: The images that the checkpoint needs.
        description: Text of the progress bar.

    Raises:
        UserError: If the study lacks images that the checkpoint needs, or no slice can be used.
    """
    by_kind = {kind: [image for image in images if image.kind == kind] for kind in ("T1", "T2")}
    by_kind = {kind: members for kind, members in by_kind.items() if members}
    if requirements.kinds == (UNSPECIFIED_KIND,):
        by_kind = {UNSPECIFIED_KIND: _get_only_kind(by_kind, requirements)}
    requirements.check(by_kind)
    unique: dict[str, list[AcquiredImage]] = {}
    remarks, problems = [], []
    for kind, members in by_kind.items():
        unique[kind], repeats = _remove_repeats(members)
        if repeats:
            counts = ", ".join(f"{count} of {source}" for source, count in repeats.items())
            text = f"{repeats.total()} {kind} images show the same slices as others and were left out: {counts}"
            if any(_AMBIGUOUS in source for source in repeats):
                problems.append(f"{text}; if they are of several patients, give each as a separate input")
            else:
                remarks.append(f"{text}.")
    main = requirements.kinds[0]
    partners = [image for kind, members in unique.items() if kind != main for image in members]
    plans = list(_plan_slices(unique[main], partners))
    if len(requirements.kinds) > 1:
        paired = [plan for plan in plans if plan.partner]
        if len(paired) < len(plans):
            remarks.append(
                f"{len(plans) - len(paired)} of {len(plans)} T1 slices have no T2 slice within half the slice spacing "
                f"and {MAX_TILT:.0f} degrees and were left out."
            )
        if not paired:
            raise UserError(_explain_no_pair(unique[main], partners))
        plans = paired
    study = _assemble_slices(plans, requirements, description, remarks)
    return replace(study, problems=(*problems, *study.problems))


def _get_only_kind(by_kind: dict[str, list[AcquiredImage]], requirements: InputRequirements) -> list[AcquiredImage]:
    """Return the images of the only weighting in a study as images of unspecified kind."""
    if len(by_kind) > 1:
        raise UserError(
            f"the checkpoint needs one image per slice, of no specific weighting (data.channels="
            f"{requirements.channels}), and the study has T1 and T2; give only the files of one of them"
        )
    return [replace(image, kind=UNSPECIFIED_KIND) for members in by_kind.values() for image in members]


def _remove_repeats(images: Sequence[AcquiredImage]) -> tuple[list[AcquiredImage], Counter[str]]:
    """Keep one image at each position: from the series with the most positions, then of the best rank, then the latest.

    Returns:
        The images that are kept, and the number of the other images by series and reason.
    """
    positions = {(image.series, *np.round(image.plane.centre, 1), *np.round(image.plane.normal, 2)) for image in images}
    sizes = Counter(series for series, *_ in positions)
    kept: list[AcquiredImage] = []
    repeats: Counter[str] = Counter()
    latest_first = sorted(images, key=lambda image: image.acquired, reverse=True)
    for image in sorted(latest_first, key=lambda image: (-sizes[image.series], image.rank)):
        max_distance = _REPEATED * 2 * image.half_spacing
        match = find_facing_plane(image.plane, [other.plane for other in kept], max_distance)
        if match is None:
            kept.append(image)
        else:
            repeats[_explain_repeat(image, kept[match], sizes)] += 1
    return kept, repeats


def _explain_repeat(image: AcquiredImage, kept: AcquiredImage, sizes: Counter[str]) -> str:
    label = image.label or "the volume"
    if image.series == kept.series:
        if image.acquired != kept.acquired:
            return f"{label} (acquired earlier)"
        return f"{label} ({'copies' if _is_copy(image, kept) else _AMBIGUOUS})"
    if sizes[image.series] < sizes[kept.series]:
        return f"{label} (fewer slices than {kept.label or 'the other'})"
    if image.series.split()[:1] == kept.series.split()[:1]:
        return f"{label} (another echo)"
    return f"{label} ({'acquired earlier' if image.rank > kept.rank else 'equal, but later by file name'})"


def _is_copy(image: AcquiredImage, other: AcquiredImage) -> bool:
    """Return whether two files hold the same pixels. An unreadable file counts as a copy of the other."""
    try:
        return np.array_equal(image.read_pixels(), other.read_pixels())
    except UnreadableError:
        return True


def _plan_slices(images: Sequence[AcquiredImage], partners: Sequence[AcquiredImage]) -> Iterator[_SlicePlan]:
    planes = [partner.plane for partner in partners]
    number = 0
    for stack, indices in enumerate(find_stacks([image.plane for image in images])):
        for image in (images[index] for index in indices):
            number += 1
            match = find_facing_plane(image.plane, planes, image.half_spacing)
            yield _SlicePlan(number, stack, image, None if match is None else partners[match])


def _explain_no_pair(images: Sequence[AcquiredImage], partners: Sequence[AcquiredImage]) -> str:
    """Return a text that explains why no T1 image has a T2 image: their planes are too far apart or too tilted."""
    pairs = [(abs(image.plane.height_of(partner.plane)), image, partner) for image in images for partner in partners]
    distance, nearest, _ = min(pairs, key=lambda pair: pair[0] - pair[1].half_spacing)
    near = [(image, partner) for distance, image, partner in pairs if distance <= image.half_spacing]
    if near:
        tilt = min(image.plane.angle_to(partner.plane) for image, partner in near)
        problem = f"their planes are turned against each other by {tilt:.1f} degrees, and at most {MAX_TILT:.0f}"
    else:
        limit = f"half the slice spacing, {nearest.half_spacing:.1f} mm,"
        problem = f"the nearest are {distance:.1f} mm apart, and at most {limit}"
    return (
        f"T1 and T2 show no slice in common: {problem} can be paired; give T1 and T2 series of the same planes, or a "
        "checkpoint of one of them (data.channels=t1 or t2)"
    )


def _assemble_slices(
    plans: Sequence[_SlicePlan], requirements: InputRequirements, description: str, remarks: Sequence[str]
) -> Study:
    # Threads suffice because SimpleITK releases Python's global interpreter lock during registration.
    with ThreadPoolExecutor(count_processors()) as pool:
        attempts = pool.map(lambda plan: _try_assemble(plan, requirements), plans)
        results = list(track_progress(attempts, description, len(plans)))
    slices = tuple(result for result in results if isinstance(result, AxialSlice))
    reasons: dict[str, list[str]] = defaultdict(list)
    for result in results:
        if isinstance(result, FileProblem):
            reasons[result.reason].append(result.file)
    if not slices:
        reason, files = next(iter(reasons.items()))
        raise UserError(reason, files)
    problems = {
        f"{len(files)} of {len(plans)} slices left out: {reason}": tuple(files) for reason, files in reasons.items()
    }
    return Study(slices=slices, problems=tuple(problems), remarks=tuple(remarks), files=problems)


def _try_assemble(plan: _SlicePlan, requirements: InputRequirements) -> AxialSlice | FileProblem:
    """Return the slice, or the reason why it cannot be used."""
    try:
        return _assemble_slice(plan, partner_needed=len(requirements.kinds) > 1)
    except UserError as error:
        return FileProblem(next(iter(error.files), str(plan.image.source)), str(error))


def _read(image: AcquiredImage) -> NDArray[Any]:
    try:
        return image.read_pixels()
    except UnreadableError as error:
        raise UserError(str(error), [str(image.source)]) from error


def _assemble_slice(plan: _SlicePlan, *, partner_needed: bool) -> AxialSlice:
    """Read the image of a slice, and register the image of the other weighting to it."""
    image, partner = plan.image, plan.partner
    pixels = _read(image)
    images = {image.kind: _to_uint8(pixels, pixels.dtype, np.ones(pixels.shape, dtype=np.bool_))}
    flags: tuple[Flag, ...] = ()
    if partner:
        try:
            images[partner.kind], flags = _register_partner(partner, pixels, image.plane)
        except UserError as error:
            if partner_needed:
                raise
            flags = (Flag("partner_left_out", f"the {partner.kind} image of the slice cannot be used: {error}"),)
            partner = None
    if not partner_needed:
        # The network does not use the partner, so its flags do not affect any measurement.
        flags = tuple(replace(flag, undermines=()) for flag in flags)
    return AxialSlice(
        name=f"slice_{plan.number:02d}",
        images=images,
        spacing=image.plane.spacing,
        image_left=_find_image_left(image.plane),
        plane=image.plane,
        thickness=image.thickness,
        stack=plan.stack,
        flags=flags,
        sources=(image.source, *((partner.source,) if partner else ())),
    )


def _register_partner(
    partner: AcquiredImage, fixed: NDArray[Any], plane: Plane
) -> tuple[NDArray[np.uint8], tuple[Flag, ...]]:
    """Return an image registered to the grid of another image, and the flags of the registration."""
    from lss_lightning.data.dicom.registration import register

    pixels = _read(partner)
    result = register(fixed.astype(np.float32), plane, pixels.astype(np.float32), partner.plane)
    shift, rotation = math.hypot(result.dx, result.dy), math.degrees(result.rotation)
    flags = flag_registration(shift, rotation, result.information_before, result.information_after)
    return _to_uint8(result.image, pixels.dtype, result.covered), tuple(flags)


def _to_uint8(pixels: NDArray[Any], stored: np.dtype[Any], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Convert pixels to 8 bits. Pixels that were stored in 8 bits are not stretched."""
    if stored == np.uint8:
        return np.where(covered, np.rint(np.clip(pixels, 0, 255)), 0).astype(np.uint8)
    return stretch_to_uint8(pixels, covered)


def _find_image_left(plane: Plane) -> Side:
    """Return the side of the patient that is on the left of an axial image."""
    return "right" if plane.across[0] > 0 else "left"
