"""From axial images of either weighting to slices: repeats left out, T1 and T2 paired and registered."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import to_bytes
from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.geometry import Plane, facing
from lss_lightning.data.parallel import progress
from lss_lightning.data.studies.record import IMAGE, AxialSlice, InputRequirements, Study
from lss_lightning.data.studies.stacks import find_stacks
from lss_lightning.errors import UserError
from lss_lightning.stenosis import Flag, Side, registration_flags

# Two images of one weighting nearer than this share of the slice spacing show the same slice.
_REPEATED = 0.25
_SLICE_SPACING = 4.4  # mm, where no file tells


@dataclass(frozen=True)
class AcquiredImage:
    """An axial image whose pixels are still to be read.

    Attributes:
        kind: ``T1`` or ``T2``.
        plane: Where it lies.
        slice_spacing: Between the middles of neighbouring slices, mm; None where unknown.
        thickness: mm; None where unknown.
        series: Which acquisition it belongs to.
        source: The file.
        pixels: Reads (H, W), floating, or uint8 where that is how they are to be shown; raises
            :class:`~lss_lightning.data.dicom.archive.UnreadableError`.
    """

    kind: str
    plane: Plane
    slice_spacing: float | None
    thickness: float | None
    series: str
    source: Path
    pixels: Callable[[], NDArray[Any]]

    @property
    def reach(self) -> float:
        """Half the way to the next slice, mm."""
        return (self.slice_spacing or _SLICE_SPACING) / 2


@dataclass(frozen=True)
class _Job:
    """A slice to make: its number, its stack, its image, and the other weighting's, if there is any."""

    number: int
    stack: int
    image: AcquiredImage
    partner: AcquiredImage | None


def assemble(images: Sequence[AcquiredImage], wanted: InputRequirements, description: str) -> Study:
    """Make slices of a study's axial images, all of them.

    T1 gives the grid where the checkpoint sees it, else T2; the other one, where the study has it, is registered to it.

    Args:
        images: At least one.
        wanted: What the checkpoint needs.
        description: Said by the progress bar.

    Raises:
        UserError: the study lacks what the checkpoint needs, or no slice at all can be used.
    """
    by_kind = {kind: [image for image in images if image.kind == kind] for kind in ("T1", "T2")}
    by_kind = {kind: found for kind, found in by_kind.items() if found}
    if wanted.kinds == (IMAGE,):
        by_kind = {IMAGE: _only(by_kind, wanted)}
    wanted.check(by_kind)
    single = {kind: _without_repeats(found) for kind, found in by_kind.items()}
    remarks = [
        f"{repeated} {kind} images lie where others do and were left out: copies, or the smaller of two series."
        for kind in single
        if (repeated := len(by_kind[kind]) - len(single[kind]))
    ]
    main = wanted.kinds[0]
    partners = [image for kind, found in single.items() if kind != main for image in found]
    jobs = list(_jobs(single[main], partners))
    if len(wanted.kinds) > 1:
        paired = [job for job in jobs if job.partner]
        if len(paired) < len(jobs):
            remarks.append(
                f"{len(jobs) - len(paired)} of {len(jobs)} T1 slices have no T2 slice within half the slice spacing "
                "and were left out."
            )
        jobs = paired
    if not jobs:
        raise UserError("T1 and T2 show no slice in common; complete the series")
    return _made(jobs, wanted, description, remarks)


def _only(by_kind: dict[str, list[AcquiredImage]], wanted: InputRequirements) -> list[AcquiredImage]:
    """The images of the one weighting that there is."""
    if len(by_kind) > 1:
        raise UserError(
            f"the checkpoint knows images of one kind, which it does not name (data.channels={wanted.channels}), and "
            "the study has T1 and T2; give the files of one of them alone"
        )
    return [replace(image, kind=IMAGE) for found in by_kind.values() for image in found]


def _without_repeats(images: Sequence[AcquiredImage]) -> list[AcquiredImage]:
    """One image for each place: of several, that of the largest series."""
    sizes = Counter(image.series for image in images)
    kept: list[AcquiredImage] = []
    for image in sorted(images, key=lambda image: -sizes[image.series]):
        if facing(image.plane, [other.plane for other in kept], _REPEATED * 2 * image.reach) is None:
            kept.append(image)
    return kept


def _jobs(images: Sequence[AcquiredImage], partners: Sequence[AcquiredImage]) -> Iterator[_Job]:
    planes = [partner.plane for partner in partners]
    number = 0
    for stack, indices in enumerate(find_stacks([image.plane for image in images])):
        for image in (images[index] for index in indices):
            number += 1
            found = facing(image.plane, planes, image.reach)
            yield _Job(number, stack, image, None if found is None else partners[found])


def _made(jobs: Sequence[_Job], wanted: InputRequirements, description: str, remarks: Sequence[str]) -> Study:
    # SimpleITK lets go of Python's lock while it registers.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(progress(pool.map(lambda job: _attempt(job, wanted), jobs), description, len(jobs)))
    slices = tuple(one for one in made if isinstance(one, AxialSlice))
    reasons = Counter(one for one in made if isinstance(one, str))
    problems = [f"{count} of {len(jobs)} slices left out: {reason}" for reason, count in reasons.items()]
    if not slices:
        raise UserError(next(iter(reasons)))
    return Study(slices=slices, problems=tuple(problems), remarks=tuple(remarks))


def _attempt(job: _Job, wanted: InputRequirements) -> AxialSlice | str:
    """The slice, or why there is none."""
    try:
        return _slice(job, needed=len(wanted.kinds) > 1)
    except (UnreadableError, UserError) as error:
        return str(error)


def _slice(job: _Job, *, needed: bool) -> AxialSlice:
    """Read a slice, and register the other weighting to it, which the network may need or not."""
    image, partner = job.image, job.partner
    pixels = image.pixels()
    images = {image.kind: _bytes(pixels, pixels.dtype, np.ones(pixels.shape, dtype=np.bool_))}
    flags: tuple[Flag, ...] = ()
    if partner:
        try:
            images[partner.kind], flags = _registered(partner, pixels, image.plane)
        except (UnreadableError, UserError) as error:
            if needed:
                raise
            flags = (Flag("partner_left_out", f"the {partner.kind} image of the slice cannot be used: {error}"),)
            partner = None
    if not needed:
        # What the network does not see undermines nothing.
        flags = tuple(replace(flag, undermines=()) for flag in flags)
    return AxialSlice(
        name=f"slice_{job.number:02d}",
        images=images,
        spacing=image.plane.spacing,
        image_left=_left(image.plane),
        plane=image.plane,
        thickness=image.thickness,
        stack=job.stack,
        flags=flags,
        sources=(image.source, *((partner.source,) if partner else ())),
    )


def _registered(image: AcquiredImage, fixed: NDArray[Any], plane: Plane) -> tuple[NDArray[np.uint8], tuple[Flag, ...]]:
    """An image moved onto another one's grid, and the doubts that this gives rise to."""
    from lss_lightning.data.dicom.registration import register

    pixels = image.pixels()
    found = register(fixed.astype(np.float32), plane, pixels.astype(np.float32), image.plane)
    shift, turn = math.hypot(found.dx, found.dy), math.degrees(found.turn)
    flags = registration_flags(shift, turn, found.information_before, found.information_after)
    return _bytes(found.image, pixels.dtype, found.covered), tuple(flags)


def _bytes(pixels: NDArray[Any], stored: np.dtype[Any], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """As the network is shown them; what was stored in 8 bits is taken as it is."""
    if stored == np.uint8:
        return np.where(covered, np.rint(np.clip(pixels, 0, 255)), 0).astype(np.uint8)
    return to_bytes(pixels, covered)


def _left(plane: Plane) -> Side:
    """The patient's side that an axial image's left shows."""
    return "right" if plane.across[0] > 0 else "left"
