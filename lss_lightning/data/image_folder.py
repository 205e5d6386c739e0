"""A user's own images and masks, in folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.config.validation import setting
from lss_lightning.data.formats import StackPlane, read_header
from lss_lightning.data.header import Header
from lss_lightning.data.pairing import Pattern, pair
from lss_lightning.data.slices import Slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, nearest
from lss_lightning.labels import LabelSet

_TOLERANCE = 0.01
"""Relative difference up to which two lengths count as the same: files round them."""

_ASIDE = 0.1
"""Distance in pixels up to which two voxels count as lying on one another, for the same reason."""


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, and what their files say of themselves; None where they cannot be read."""

    name: str
    image: Path
    mask: Path
    header: Header | None
    mask_header: Header | None


@dataclass(frozen=True, kw_only=True)
class FolderSource(DataSource):
    """Images and masks paired by name: what the stars of ``images`` and ``masks`` match.

    Attributes:
        images: Pattern of the images below ``root``, or absolute; see :class:`~lss_lightning.data.pairing.Pattern`.
        masks: Pattern of the masks.
        classes: The codes that masks hold, by class name, in the order of the indices.
        background: Names of the classes that are no structure of the body, and so do not count in
            ``mean_iou_anatomy``; None is the class of code 0, if there is one.
        patient: Regular expression whose first group is the patient in an image's name; None makes each file a patient.
        pixel_size: Pixel size in mm of files that do not state theirs; None where it is unknown.
    """

    channels: str = setting("image", choices=("image", "grey", "rgb", "composite", "t1", "t2"))
    images: str = setting("images/*")
    masks: str = setting("masks/*")
    classes: dict[str, int] = setting()
    background: list[str] | None = setting(None)
    patient: str | None = setting(None)
    pixel_size: float | None = setting(None, above=0)

    def __post_init__(self) -> None:
        for name in self.background or ():
            if name not in self.classes:
                allowed = ", ".join(self.classes)
                raise UserError(f"data.background: no class {name!r}{nearest(name, self.classes)}; classes: {allowed}")
        if len(self.classes) < 2:
            raise UserError(
                f"data.classes={format_setting(self.classes)}: give at least two, the background too, e.g. "
                "{background: 0, disc: 1}"
            )
        if not self.labels.anatomical:
            raise UserError(f"data.background={format_setting(self.background)}: leaves no class to score; name fewer")
        self._patterns()
        try:
            groups = 1 if self.patient is None else re.compile(self.patient).groups
        except re.error as error:
            raise UserError(f"data.patient={self.patient}: no regular expression ({error})") from error
        if groups == 0:
            raise UserError(f"data.patient={self.patient}: no group; put what names the patient in (), e.g. ^(p\\d+)")

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        background = self.background
        if background is None:
            background = [name for name, code in self.classes.items() if code == 0]
        try:
            return LabelSet.of_codes(self.classes, background)
        except UserError as error:
            raise UserError(f"data.classes={format_setting(self.classes)}: {error}") from error

    @property
    def disclaimer(self) -> str:
        """What every page made with this data must say."""
        unknown = "" if self.patient else "Patients unknown: each file counts as one. "
        return f"{unknown}{super().disclaimer}"

    def check(self) -> None:
        """Pair the files, without looking into them.

        Raises:
            UserError: they do not pair, or a name holds no patient.
        """
        self._people(self._paired())

    def find(self) -> SourceListing:
        """List the slices: one for each file, or for each plane of a stack.

        Raises:
            UserError: files do not pair, or contradict one another or the settings.
        """
        paired = self._paired()
        with ThreadPoolExecutor() as pool:
            headers = list(pool.map(_header, [file for both in paired.values() for file in both]))
        pairs = [
            _Pair(name, *both, *heads)
            for (name, both), heads in zip(paired.items(), zip(headers[::2], headers[1::2], strict=True), strict=True)
        ]
        self._refuse_unknown_size(pairs)
        if self.channels == "image":
            _refuse_mixed(pairs)
        people = self._people(paired)
        slices = sorted(
            (piece for one in pairs for piece in self._slices(one, *people[one.name])), key=lambda piece: piece.name
        )
        return SourceListing(slices, notes=tuple(self._notes(pairs)))

    def _refuse_unknown_size(self, pairs: Sequence[_Pair]) -> None:
        stated = [one.header.spacing is not None for one in pairs if one.header is not None]
        if self.pixel_size is not None or all(stated) or (self.spacing is None and not any(stated)):
            return
        unknown = next(one for one in pairs if one.header is not None and one.header.spacing is None)
        why = "others do" if self.spacing is None else f"a working pixel of {self.spacing:g} mm (data.spacing) needs it"
        raise UserError(
            f"{unknown.image}: states no pixel size, but {why}; give the files' as data.pixel_size=…, in mm"
        )

    def _patterns(self) -> tuple[Pattern, Pattern]:
        return Pattern("data.images", self.images), Pattern("data.masks", self.masks)

    def _paired(self) -> dict[str, tuple[Path, Path]]:
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise UserError(
                f"data.root={self.root}: no such folder; give the one that data.images and data.masks start in"
            )
        return pair(*self._patterns(), root)

    def _people(self, names: Iterable[str]) -> dict[str, tuple[str, str]]:
        """By name the patient and what is left of the name; the whole where else two files would be called the same."""
        people = {name: self._patient(name) for name in names}
        if len(set(people.values())) == len(people):
            return people
        return {name: (patient, name) for name, (patient, _) in people.items()}

    def _patient(self, name: str) -> tuple[str, str]:
        if self.patient is None:
            return name, ""
        match = re.search(self.patient, name)
        if match is None or not match[1]:
            raise UserError(
                f"data.patient={self.patient}: finds no patient in the name {name!r}; change the expression or the name"
            )
        return match[1], (name[: match.start(1)] + name[match.end(1) :]).strip("_-. ")

    def _slices(self, one: _Pair, patient: str, rest: str) -> Iterator[Slice]:
        _refuse_apart(one)
        field_of_view = self._field_of_view(one)
        planes = 1 if one.header is None else one.header.planes
        if planes == 1:
            yield Slice(patient, rest, {self.channels: one.image}, one.mask, field_of_view)
            return
        for index in range(planes):
            level = f"{rest}_{index:03d}".removeprefix("_")
            image, mask = StackPlane(one.image, index), StackPlane(one.mask, index)
            yield Slice(patient, level, {self.channels: image}, mask, field_of_view)

    def _field_of_view(self, one: _Pair) -> float | None:
        """Width in mm, or None where unknown."""
        if one.header is None:
            return None
        stated = None
        if one.header.spacing is not None:
            stated, height = one.header.spacing
            if abs(stated - height) > _TOLERANCE * stated:
                raise UserError(
                    f"{one.image}: pixels of {stated:.4g} × {height:.4g} mm; resample image and mask to square ones"
                )
            if self.pixel_size is not None and abs(stated - self.pixel_size) > _TOLERANCE * stated:
                raise UserError(
                    f"data.pixel_size={self.pixel_size:g}: {one.image} states {stated:.4g} mm; leave data.pixel_size "
                    "out to take what the files state, or correct the file"
                )
        spacing = self.pixel_size or stated
        return None if spacing is None else spacing * one.header.width

    def _notes(self, pairs: Sequence[_Pair]) -> Iterator[str]:
        headers = [one.header for one in pairs if one.header is not None]
        if wide := sum(not header.bytes for header in headers):
            yield (
                f"{wide} of {len(pairs)} image files hold more than 8 bits: each is stretched from its 0.5th to its "
                "99.5th percentile to 0-255"
            )
        if self.patient is None:
            yield (
                "data.patient is not set: each image file counts as a patient of its own, so that files of one patient "
                "may lie in several parts of the split"
            )
        if any(header.planes > 1 for header in headers):
            yield "each plane of a stack along its third axis is a slice"


def _header(path: Path) -> Header | None:
    """What a file says of itself; None where it is broken, which reading its pixels will report."""
    try:
        return read_header(path)
    except UserError:
        return None


def _refuse_mixed(pairs: Sequence[_Pair]) -> None:
    by_channels = {one.header.channels: one.image for one in pairs if one.header is not None}
    if len(by_channels) > 1:
        raise UserError(
            f"{by_channels[1]} is grey and {by_channels[3]} is RGB: choose one for all by data.channels=rgb, or by "
            "data.channels=grey where the three channels of RGB files are equal"
        )


def _refuse_apart(one: _Pair) -> None:
    """Refuse an image and a mask that do not lie on one another."""
    image, mask = one.header, one.mask_header
    if image is None or mask is None:
        return
    if image.planes != mask.planes:
        raise UserError(
            f"{one.image}: a stack of {image.planes}, but its mask {one.mask} has {mask.planes}; both must have as many"
        )
    if image.spacing is None or len(image.corners) != len(mask.corners):
        return
    tolerance = _ASIDE * image.spacing[0]
    if any(abs(here - there) > tolerance for here, there in zip(image.corners, mask.corners, strict=True)):
        raise UserError(
            f"{one.image} and its mask {one.mask} differ in origin, direction or spacing, so that they do not lie on "
            "one another; resample the mask onto the image"
        )
