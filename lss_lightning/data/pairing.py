"""Finds files by patterns, and pairs those of one name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.formats import SUFFIXES, stem, suffix
from lss_lightning.errors import UserError

_NAMED = 5  # files of those that lack a partner; more would hide the message
_FOREIGN = re.compile(r"[?\[\]]|\*\*")


@dataclass(frozen=True)
class Pattern:
    """Which files a setting means: a path in which ``*`` stands for any text within a file's or a folder's name.

    What the stars match, joined by ``_``, names a file; a format's suffix does not belong to the name.

    Attributes:
        key: The setting, for messages.
        text: Below the root, or absolute; with one or more stars.

    Raises:
        UserError: no star, or another wildcard.
    """

    key: str
    text: str

    def __post_init__(self) -> None:
        if _FOREIGN.search(self.text) or "*" not in self.text:
            raise UserError(
                f"{self.key}={self.text}: give a path in which * stands for what differs between the files, e.g. "
                "images/*.png or */image_*.png; other wildcards are not allowed"
            )

    @property
    def stars(self) -> int:
        """How many there are."""
        return self.text.count("*")

    def find(self, root: Path) -> dict[str, Path]:
        """The files by name, hidden ones left out.

        Raises:
            UserError: none, one of an unsupported format, or two of one name.
        """
        parts = (root / self.text).parts
        first = next(index for index, part in enumerate(parts) if "*" in part)
        top, below = Path(*parts[:first]), "/".join(parts[first:])
        named = re.compile("([^/]*)".join(map(re.escape, below.split("*"))))
        found: dict[str, Path] = {}
        for path in sorted(top.glob(below)):
            if path.name.startswith(".") or not path.is_file():
                continue
            if not suffix(path.name):
                raise UserError(
                    f"{path}: no supported format ({', '.join(SUFFIXES)}); convert it, or narrow {self.key}={self.text}"
                )
            match = named.fullmatch(path.relative_to(top).as_posix())
            assert match is not None
            name = stem("_".join(match.groups()))
            if name in found:
                raise UserError(
                    f"{self.key}={self.text}: {path} and {found[name]} are both named {name!r}; keep one of the two, "
                    "or narrow the pattern"
                )
            found[name] = path
        if not found:
            reason = "matches no file" if top.is_dir() else f"there is no folder {top}"
            below_root = "" if Path(self.text).is_absolute() else f" (data.root={root})"
            raise UserError(f"{self.key}={self.text}: {reason}{below_root}; correct the pattern or the root")
        return found


def pair(images: Pattern, masks: Pattern, root: Path) -> dict[str, tuple[Path, Path]]:
    """Image and mask by name, in the order of the names.

    Raises:
        UserError: a file without a partner, or as :meth:`Pattern.find`.
    """
    if images.stars != masks.stars:
        raise UserError(
            f"{images.key}={images.text} has {images.stars} stars and {masks.key}={masks.text} has {masks.stars}: give "
            "both as many, since what they match pairs an image with its mask"
        )
    found, covering = images.find(root), masks.find(root)
    lonely = [
        f"{what} ({_some(names)})"
        for what, names in (
            ("without mask", found.keys() - covering.keys()),
            ("without image", covering.keys() - found.keys()),
        )
        if names
    ]
    if lonely:
        raise UserError(
            f"data.root={root}: {len(found)} images and {len(covering)} masks do not pair by name: "
            f"{'; '.join(lonely)}; complete or remove them, or narrow {images.key} and {masks.key}"
        )
    if same := [name for name in found if found[name].samefile(covering[name])]:
        raise UserError(f"{images.key} and {masks.key} both match {found[same[0]]}; narrow the patterns")
    return {name: (found[name], covering[name]) for name in sorted(found)}


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return f"{len(ordered)}: {', '.join(ordered[:_NAMED])}{more}"
