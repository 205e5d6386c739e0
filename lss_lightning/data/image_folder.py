"""A data source for folders of images and masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from lss_lightning.data.formats import StackPlane, read_header
from lss_lightning.data.header import ImageHeader
from lss_lightning.data.pairing import FilePattern, pair_files
from lss_lightning.data.slices import Slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, suggest_nearest
from lss_lightning.labels import LabelSet

_TOLERANCE = 0.01
"""Relative difference up to which two lengths count as equal, since files round them."""

_MAX_OFFSET = 0.1
"""Distance in pixels up to which two voxels count as coincident, since files round their coordinates."""


MaskColour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
"""A colour in masks, as ``#rrggbb``."""


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, with their headers; the header of a file that cannot be read is None."""

    name: str
    image: Path
    mask: Path
    header: ImageHeader | None
    mask_header: ImageHeader | None


@dataclass(frozen=True, kw_only=True)
class FolderSource(DataSource):
    """Data source of images and masks in folders, paired by the text that the stars in ``images`` and ``masks`` match.

    Attributes:
        images: Pattern of the images, relative to ``root`` or absolute; see
            :class:`~lss_lightning.data.pairing.FilePattern`.
        masks: Pattern of the masks.
        classes: Codes or colours (``#rrggbb``) in the masks by class name, in the order of the class indices.
        background: Names of the classes that are not anatomical structures and do not count in ``mean_iou_anatomy``.
            None selects the class with code 0 or colour ``#000000``, if there is one.
        patient: Regular expression whose first group matches the patient in the name of an image. If None, each file
            counts as a patient.
        pixel_size: Pixel spacing in mm of files that do not state theirs, or None if unknown.
    """

    channels: Literal["image", "grey", "rgb", "composite", "t1", "t2"] = "image"
    images: str = "images/*"
    masks: str = "masks/*"
    classes: dict[str, int] | dict[str, MaskColour]
    background: list[str] | None = None
    patient: str | None = None
    pixel_size: PositiveFloat | None = None

    def __post_init__(self) -> None:
        for name in self.background or ():
            if name not in self.classes:
                allowed = ", ".join(self.classes)
                raise UserError(
                    f"data.background: no class {name!r}{suggest_nearest(name, self.classes)}; classes: {allowed}"
                )
        if len(self.classes) < 2:
            raise UserError(
                f"data.classes={format_setting(self.classes)}: give at least two, the background too, e.g. "
                "{background: 0, disc: 1}"
            )
        if not self.labels.anatomical:
            raise UserError(
                f"data.background={format_setting(self.background)}: leaves no class to score; name fewer classes"
            )
        self._patterns()
        try:
            groups = 1 if self.patient is None else re.compile(self.patient).groups
        except re.error as error:
            raise UserError(f"data.patient={self.patient}: not a regular expression ({error})") from error
        if groups == 0:
            raise UserError(f"data.patient={self.patient}: no group; put the patient's id in (), e.g. ^(p\\d+)")

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        background = self.background
        if background is None:
            background = [name for name, code in self.classes.items() if code in (0, "#000000")]
        try:
            return LabelSet.from_codes(self.classes, background)
        except UserError as error:
            raise UserError(f"data.classes={format_setting(self.classes)}: {error}") from error

    @property
    def disclaimer(self) -> str:
        """The disclaimer shown in every report on this data."""
        unknown = "" if self.patient else "Patients unknown: each file counts as one. "
        return f"{unknown}{super().disclaimer}"

    def check(self) -> None:
        """Pair the files without opening them.

        Raises:
            UserError: If files cannot be paired, or no patient is found in a name.
        """
        self._find_patients(self._pair_files())

    def find(self) -> SourceListing:
        """List the slices: one for each file, or for each plane of a stack.

        Raises:
            UserError: If files cannot be paired, or contradict each other or the settings.
        """
        paired = self._pair_files()
        with ThreadPoolExecutor() as pool:
            headers = list(pool.map(_read_header, [path for paths in paired.values() for path in paths]))
        pairs = [
            _Pair(name, *paths, *both)
            for (name, paths), both in zip(paired.items(), zip(headers[::2], headers[1::2], strict=True), strict=True)
        ]
        self._check_sizes_known(pairs)
        if self.channels == "image":
            _check_same_channels(pairs)
        patients = self._find_patients(paired)
        slices = sorted(
            (slice_ for pair in pairs for slice_ in self._slices(pair, *patients[pair.name])),
            key=lambda slice_: slice_.name,
        )
        return SourceListing(slices, notes=tuple(self._notes(pairs)))

    def _check_sizes_known(self, pairs: Sequence[_Pair]) -> None:
        is_stated = [pair.header.spacing is not None for pair in pairs if pair.header is not None]
        if self.pixel_size is not None or all(is_stated) or (self.spacing is None and not any(is_stated)):
            return
        unknown = next(pair for pair in pairs if pair.header is not None and pair.header.spacing is None)
        reason = (
            "others do" if self.spacing is None else f"a working spacing of {self.spacing:g} mm (data.spacing) needs it"
        )
        raise UserError(f"{unknown.image}: states no pixel size, but {reason}; give it as data.pixel_size=…, in mm")

    def _patterns(self) -> tuple[FilePattern, FilePattern]:
        return FilePattern("data.images", self.images), FilePattern("data.masks", self.masks)

    def _pair_files(self) -> dict[str, tuple[Path, Path]]:
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise UserError(
                f"data.root={self.root}: no such folder; give the folder that data.images and data.masks start from"
            )
        return pair_files(*self._patterns(), root)

    def _find_patients(self, names: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return the patient and the rest of each name, or the whole name as the rest if slice names would clash."""
        patients = {name: self._find_patient(name) for name in names}
        if len(set(patients.values())) == len(patients):
            return patients
        return {name: (patient, name) for name, (patient, _) in patients.items()}

    def _find_patient(self, name: str) -> tuple[str, str]:
        if self.patient is None:
            return name, ""
        match = re.search(self.patient, name)
        if match is None or not match[1]:
            raise UserError(
                f"data.patient={self.patient}: finds no patient in the name {name!r}; change the expression or the name"
            )
        return match[1], (name[: match.start(1)] + name[match.end(1) :]).strip("_-. ")

    def _slices(self, pair: _Pair, patient: str, rest: str) -> Iterator[Slice]:
        _check_aligned(pair)
        field_of_view = self._field_of_view(pair)
        planes = 1 if pair.header is None else pair.header.planes
        if planes == 1:
            yield Slice(patient, rest, {self.channels: pair.image}, pair.mask, field_of_view)
            return
        for index in range(planes):
            level = f"{rest}_{index:03d}".removeprefix("_")
            image, mask = StackPlane(pair.image, index), StackPlane(pair.mask, index)
            yield Slice(patient, level, {self.channels: image}, mask, field_of_view)

    def _field_of_view(self, pair: _Pair) -> float | None:
        """Return the width of the image in mm, or None if unknown."""
        if pair.header is None:
            return None
        stated = None
        if pair.header.spacing is not None:
            stated, height = pair.header.spacing
            if abs(stated - height) > _TOLERANCE * stated:
                raise UserError(
                    f"{pair.image}: pixels of {stated:.4g} × {height:.4g} mm; resample image and mask to square pixels"
                )
            if self.pixel_size is not None and abs(stated - self.pixel_size) > _TOLERANCE * stated:
                raise UserError(
                    f"data.pixel_size={self.pixel_size:g}: {pair.image} states {stated:.4g} mm; remove data.pixel_size "
                    "to use the size that the files state, or correct the file"
                )
        spacing = self.pixel_size or stated
        return None if spacing is None else spacing * pair.header.width

    def _notes(self, pairs: Sequence[_Pair]) -> Iterator[str]:
        headers = [pair.header for pair in pairs if pair.header is not None]
        if wide := sum(not header.is_8_bit for header in headers):
            yield (
                f"{wide} of {len(pairs)} image files hold more than 8 bits: each is stretched from its 0.5th to its "
                "99.5th percentile to 0-255"
            )
        if self.patient is None:
            yield (
                "data.patient is not set: each image file counts as a patient, so files of one patient may be in "
                "several parts of the split"
            )
        if any(header.planes > 1 for header in headers):
            yield "each page of a TIFF and each image of a volume (axial if its voxels are cubic) is a slice"


def _read_header(path: Path) -> ImageHeader | None:
    """Return a file's header, or None if the file is broken, which is reported when its pixels are read."""
    try:
        return read_header(path)
    except UserError:
        return None


def _check_same_channels(pairs: Sequence[_Pair]) -> None:
    by_channels = {pair.header.channels: pair.image for pair in pairs if pair.header is not None}
    if len(by_channels) > 1:
        raise UserError(
            f"{by_channels[1]} is grey and {by_channels[3]} is RGB: set data.channels=rgb, or data.channels=grey if "
            "the three channels of RGB files are equal"
        )


def _check_aligned(pair: _Pair) -> None:
    """Check that an image and its mask have the same planes at the same position."""
    image, mask = pair.header, pair.mask_header
    if image is None or mask is None:
        return
    if image.planes != mask.planes:
        raise UserError(
            f"{pair.image}: a stack of {image.planes}, but its mask {pair.mask} has {mask.planes}; both must have the "
            "same number of planes"
        )
    if image.spacing is None or len(image.corners) != len(mask.corners):
        return
    tolerance = _MAX_OFFSET * image.spacing[0]
    if any(abs(first - second) > tolerance for first, second in zip(image.corners, mask.corners, strict=True)):
        raise UserError(
            f"{pair.image} and its mask {pair.mask} differ in origin, direction or spacing; resample the mask onto the "
            "image"
        )
