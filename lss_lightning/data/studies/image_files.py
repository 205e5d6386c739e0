"""Studies of PNG, TIFF or NPY files, which do not state a position in the patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.dicom.archive import natural_sort_key
from lss_lightning.data.formats import StackPlane, read_header, read_image
from lss_lightning.data.slices import ImageFile
from lss_lightning.data.studies.names import COMPOSITE_KIND, NamedFile, describe_rule
from lss_lightning.data.studies.record import UNSPECIFIED_KIND, AxialSlice, InputRequirements, Study
from lss_lightning.errors import UserError

ImagesByKind = dict[str, NDArray[np.uint8]]
"""The images of one slice by kind, of shape (H, W) or (H, W, 3)."""


@dataclass(frozen=True)
class ImageFileStudy:
    """The files of one study. The T1 and T2 images of a slice are already registered to each other.

    Attributes:
        files: At least one file.
    """

    files: tuple[NamedFile, ...]

    def read(self, requirements: InputRequirements, name: str) -> Study:
        """Read the slices.

        Args:
            requirements: The images that the checkpoint needs.
            name: Ignored, because image files are read too quickly for a progress bar.

        Raises:
            UserError: If no slice can be used.
        """
        groups: dict[str, list[NamedFile]] = defaultdict(list)
        for named in self.files:
            groups[named.pair].append(named)
        slices: list[AxialSlice] = []
        reasons: Counter[str] = Counter()
        files: dict[str, tuple[str, ...]] = {}
        for pair in sorted(groups, key=natural_sort_key):
            for plane in range(_count_planes(groups[pair])):
                number = len(slices) + reasons.total() + 1
                try:
                    slices.append(_read_slice(f"slice_{number:02d}", groups[pair], plane, requirements))
                except UserError as error:
                    reasons[str(error)] += 1
                    files[str(error)] = (*files.get(str(error), ()), *error.files)
        if not slices:
            raise UserError(next(iter(reasons)), files[next(iter(reasons))])
        total = len(slices) + reasons.total()
        problems = {f"{count} of {total} slices left out: {reason}": files[reason] for reason, count in reasons.items()}
        remarks = []
        if unknown := sum(slice_.spacing is None for slice_ in slices):
            remarks.append(
                f"{unknown} of {len(slices)} slices have an unknown pixel spacing, so only ratios are measured; set "
                "pixel_size=… to the spacing in mm."
            )
        remarks += describe_rule(self.files)
        return Study(slices=tuple(slices), problems=tuple(problems), remarks=tuple(remarks), files=problems)


def _count_planes(files: list[NamedFile]) -> int:
    """Return the number of slices in each file, or 1 if the files differ or one of them is unreadable.

    In the latter cases, reading that slice reports the reason.
    """
    try:
        (planes,) = {read_header(named.path).planes for named in files}
    except (UserError, ValueError):
        return 1
    return planes


def _read_slice(name: str, files: list[NamedFile], plane: int, requirements: InputRequirements) -> AxialSlice:
    for named in files:
        named.check_weighting(requirements.kinds)
    for kind, count in Counter(named.kind for named in files if named.level is None).items():
        if count > 1:
            raise UserError(
                f"{count} {f'{kind} files' if kind else 'files'} of one slice, whose names are otherwise the same; "
                "keep one, or rename them"
            )
    if len({_read_plane_count(named) for named in files}) > 1:
        raise UserError("the T1 and T2 files hold different numbers of images; give stacks of the same slices")
    images: ImagesByKind = {}
    for named in sorted(files, key=lambda named: named.kind == COMPOSITE_KIND):
        for kind, pixels in _read_file(named, plane, requirements).items():
            images.setdefault(kind, pixels)
    requirements.check(images)
    sizes = {pixels.shape[:2] for pixels in images.values()}
    if len(sizes) > 1:
        size_texts = " and ".join(f"{width} × {height}" for height, width in sorted(sizes))
        raise UserError(
            f"T1 and T2 have {size_texts} pixels; the images of a slice must be registered and have the same size"
        )
    spacing = _find_spacing(files[0], requirements, images)
    sources = tuple(named.path for named in sorted(files, key=lambda named: named.kind not in requirements.kinds))
    return AxialSlice(name=name, images=images, spacing=spacing, level=files[0].level, sources=sources)


def _read_file(named: NamedFile, plane: int, requirements: InputRequirements) -> ImagesByKind:
    """Read the images in a file: one, or two from a composite.

    Raises:
        UserError: If the file is broken or holds another kind of image. The message does not name the file.
    """
    stacked = _read_plane_count(named) > 1
    file: ImageFile = StackPlane(named.path, plane) if stacked else named.path
    try:
        if named.kind == COMPOSITE_KIND or (named.kind is None and len(requirements.kinds) > 1):
            return _split_composite(read_image(file, "image"), requirements)
        kind = named.kind or requirements.kinds[0]
        if requirements.kinds == (UNSPECIFIED_KIND,):
            pixels = read_image(file, "rgb" if requirements.channels == "rgb" else "grey")
            return {UNSPECIFIED_KIND: pixels if pixels.shape[2] == 3 else pixels[..., 0]}
        return {kind: read_image(file, kind.lower())[..., 0]}
    except UserError as error:
        raise _without_path(error, named) from error


def _read_plane_count(named: NamedFile) -> int:
    try:
        return read_header(named.path).planes
    except UserError as error:
        raise _without_path(error, named) from error


def _without_path(error: UserError, named: NamedFile) -> UserError:
    return UserError(str(error).replace(str(named.path), "an image file"), [str(named.path)])


def _split_composite(pixels: NDArray[np.uint8], requirements: InputRequirements) -> ImagesByKind:
    """Return T1 and T2 from the channels of a composite, or an image of unspecified kind if that is needed."""
    if requirements.kinds == (UNSPECIFIED_KIND,):
        return {UNSPECIFIED_KIND: pixels if requirements.channels == "rgb" else pixels[..., 0]}
    if pixels.shape[2] != 3 or (pixels == pixels[..., :1]).all():
        raise UserError(
            f"a greyscale image file whose name says neither T1 nor T2, but the checkpoint needs "
            f"{' and '.join(requirements.kinds)}; give both files of a slice the same name except for T1 and T2, or "
            "give composites"
        )
    return {"T1": pixels[..., 0], "T2": pixels[..., 1]}


def _find_spacing(
    named: NamedFile, requirements: InputRequirements, images: ImagesByKind
) -> tuple[float, float] | None:
    """Return the pixel height and width in mm from the file, the user or the data set's field of view, or None."""
    width, height = read_header(named.path).spacing or (None, None)
    if width and height:
        return height, width
    if requirements.pixel_size:
        return requirements.pixel_size, requirements.pixel_size
    if named.field_of_view:
        spacing = named.field_of_view / next(iter(images.values())).shape[1]
        return spacing, spacing
    return None
