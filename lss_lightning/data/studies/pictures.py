"""A study as pictures: PNG, TIFF or NPY files that know nothing of the patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.dicom.archive import natural
from lss_lightning.data.formats import StackPlane, read_header, read_image
from lss_lightning.data.slices import ImageFile
from lss_lightning.data.studies.names import COMPOSITE, NamedFile
from lss_lightning.data.studies.record import IMAGE, AxialSlice, InputRequirements, Study
from lss_lightning.errors import UserError

Images = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class PictureStudy:
    """Files of one study, T1 and T2 of a slice registered to one another already."""

    files: tuple[NamedFile, ...]

    def read(self, wanted: InputRequirements, name: str) -> Study:
        """Read the slices.

        Args:
            wanted: What the checkpoint needs.
            name: Of the study; pictures are read too quickly for a progress bar.

        Raises:
            UserError: none can be used.
        """
        pieces: dict[str, list[NamedFile]] = defaultdict(list)
        for named in self.files:
            pieces[named.piece].append(named)
        slices: list[AxialSlice] = []
        reasons: Counter[str] = Counter()
        for piece in sorted(pieces, key=natural):
            for plane in range(_planes(pieces[piece])):
                number = len(slices) + reasons.total() + 1
                try:
                    slices.append(_slice(f"slice_{number:02d}", pieces[piece], plane, wanted))
                except UserError as error:
                    reasons[str(error)] += 1
        if not slices:
            raise UserError(next(iter(reasons)))
        total = len(slices) + reasons.total()
        problems = tuple(f"{count} of {total} slices left out: {reason}" for reason, count in reasons.items())
        remarks = []
        if unknown := sum(piece.spacing is None for piece in slices):
            remarks.append(
                f"{unknown} of {len(slices)} slices have an unknown pixel size, so that only ratios are measured; "
                "pixel_size=… gives it in mm."
            )
        return Study(slices=tuple(slices), problems=problems, remarks=tuple(remarks))


def _planes(files: list[NamedFile]) -> int:
    """How many slices a file holds; where files that go together differ, or one is unreadable, one, which fails."""
    try:
        (planes,) = {read_header(named.path).planes for named in files}
    except (UserError, ValueError):
        return 1
    return planes


def _slice(name: str, files: list[NamedFile], plane: int, wanted: InputRequirements) -> AxialSlice:
    if len({_header_planes(named) for named in files}) > 1:
        raise UserError("T1 and T2 of different numbers of images; give stacks that show the same slices")
    images: Images = {}
    for named in sorted(files, key=lambda named: named.kind == COMPOSITE):
        for kind, pixels in _read(named, plane, wanted).items():
            images.setdefault(kind, pixels)
    wanted.check(images)
    sizes = {pixels.shape[:2] for pixels in images.values()}
    if len(sizes) > 1:
        shown = " and ".join(f"{width} × {height}" for height, width in sorted(sizes))
        raise UserError(f"T1 and T2 of {shown} pixels; pictures of a slice must be registered and of one size")
    first = files[0]
    size = _pixel(first, wanted, images)
    return AxialSlice(name=name, images=images, spacing=size, level=first.level, sources=_sources(files, wanted))


def _sources(files: list[NamedFile], wanted: InputRequirements) -> tuple[Path, ...]:
    return tuple(named.path for named in sorted(files, key=lambda named: named.kind not in wanted.kinds))


def _read(named: NamedFile, plane: int, wanted: InputRequirements) -> Images:
    """The images that a file holds: one, or of a composite two.

    Raises:
        UserError: it is broken, or holds another kind of image; the file is not named.
    """
    stacked = _header_planes(named) > 1
    file: ImageFile = StackPlane(named.path, plane) if stacked else named.path
    try:
        if named.kind == COMPOSITE or (named.kind is None and len(wanted.kinds) > 1):
            return _parted(read_image(file, "image"), wanted)
        kind = named.kind or wanted.kinds[0]
        if wanted.kinds == (IMAGE,):
            pixels = read_image(file, "rgb" if wanted.channels == "rgb" else "grey")
            return {IMAGE: pixels if pixels.shape[2] == 3 else pixels[..., 0]}
        return {kind: read_image(file, kind.lower())[..., 0]}
    except UserError as error:
        raise UserError(str(error).replace(str(named.path), "a picture")) from error


def _header_planes(named: NamedFile) -> int:
    try:
        return read_header(named.path).planes
    except UserError as error:
        raise UserError(str(error).replace(str(named.path), "a picture")) from error


def _parted(pixels: NDArray[np.uint8], wanted: InputRequirements) -> Images:
    """T1 and T2 of a composite: its red and its green."""
    if wanted.kinds == (IMAGE,):
        return {IMAGE: pixels if wanted.channels == "rgb" else pixels[..., 0]}
    if pixels.shape[2] != 3 or (pixels == pixels[..., :1]).all():
        raise UserError(
            f"a grey picture whose name says neither T1 nor T2, where the checkpoint needs "
            f"{' and '.join(wanted.kinds)}; name both files of a slice alike but for T1 and T2, or give composites"
        )
    return {"T1": pixels[..., 0], "T2": pixels[..., 1]}


def _pixel(named: NamedFile, wanted: InputRequirements, images: Images) -> tuple[float, float] | None:
    """Height and width of a pixel, mm: what the file says, or the user, or the data set's page."""
    width, height = read_header(named.path).spacing or (None, None)
    if width and height:
        return height, width
    if wanted.pixel_size:
        return wanted.pixel_size, wanted.pixel_size
    if named.field_of_view:
        size = named.field_of_view / next(iter(images.values())).shape[1]
        return size, size
    return None
