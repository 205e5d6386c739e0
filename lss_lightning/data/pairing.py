"""Finding files by patterns, and pairing images and masks by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.formats import IMAGE_SUFFIXES, find_suffix, strip_suffix
from lss_lightning.errors import UserError

_MAX_NAMES = 5  # names in an error message

_SYSTEM_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
"""Files and folders that operating systems and network storage add, in lower case: thumbnails and folder settings."""

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jp2", ".jfif")
_OTHER_WILDCARDS = re.compile(r"[?\[\]]|\*\*")


@dataclass(frozen=True)
class FilePattern:
    """A setting that selects files: a path in which ``*`` matches any text within the name of a file or folder.

    A file's name consists of the texts that the stars match, joined by ``_``, without the suffix of a supported format.

    Attributes:
        key: The setting's key, for error messages.
        text: The pattern, relative to the root or absolute, with one or more stars.

    Raises:
        UserError: If the pattern contains no star, or contains another wildcard.
    """

    key: str
    text: str

    def __post_init__(self) -> None:
        if _OTHER_WILDCARDS.search(self.text) or "*" not in self.text:
            raise UserError(
                f"{self.key}={self.text}: give a path with * in place of the text that differs between the files, e.g. "
                "images/*.png or */image_*.png; other wildcards are not allowed"
            )

    @property
    def stars(self) -> int:
        """The number of stars."""
        return self.text.count("*")

    def find(self, root: Path) -> dict[str, Path]:
        """Return the matching files by name, excluding hidden files and those of the operating system.

        Raises:
            UserError: If no file matches, a file has an unsupported format, or two files have the same name.
        """
        parts = (root / self.text).parts
        first = next(index for index, part in enumerate(parts) if "*" in part)
        top, below = Path(*parts[:first]), "/".join(parts[first:])
        starred = re.compile("([^/]*)".join(map(re.escape, below.split("*"))))
        files: dict[str, Path] = {}
        for path in sorted(top.glob(below)):
            below_top = path.relative_to(top)
            if any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in below_top.parts):
                continue
            if not path.is_file():
                continue
            if path.name.lower().endswith(_JPEG_SUFFIXES):
                raise UserError(
                    f"{path}: a JPEG file, whose compression changes grey values and the codes of a mask; export it "
                    f"from the original as PNG, TIFF or NIfTI, or convert images (never masks) to PNG, or narrow "
                    f"{self.key}={self.text}"
                )
            if not find_suffix(path.name):
                raise UserError(
                    f"{path}: unsupported format (supported: {', '.join(IMAGE_SUFFIXES)}); convert it, or narrow "
                    f"{self.key}={self.text}"
                )
            match = starred.fullmatch(below_top.as_posix())
            assert match is not None
            name = strip_suffix("_".join(match.groups()))
            if name in files:
                raise UserError(
                    f"{self.key}={self.text}: {path} and {files[name]} are both named {name!r}; keep one of the two, "
                    "or narrow the pattern"
                )
            files[name] = path
        if not files:
            problem = "matches no file" if top.is_dir() else f"no such folder: {top}"
            below_root = "" if Path(self.text).is_absolute() else f" (data.root={root})"
            raise UserError(f"{self.key}={self.text}: {problem}{below_root}; correct the pattern or the root")
        return files


def pair_files(images: FilePattern, masks: FilePattern, root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the image and mask of each name, sorted by name.

    Raises:
        UserError: If the patterns have different numbers of stars, if a file has no partner or matches both patterns,
            or if :meth:`FilePattern.find` raises it.
    """
    if images.stars != masks.stars:
        raise UserError(
            f"{images.key}={images.text} has {images.stars} stars and {masks.key}={masks.text} has {masks.stars}: give "
            "both the same number, since the matched texts pair an image with its mask"
        )
    image_files, mask_files = images.find(root), masks.find(root)
    unpaired = [
        f"{problem} ({_summarise(names)})"
        for problem, names in (
            ("without mask", image_files.keys() - mask_files.keys()),
            ("without image", mask_files.keys() - image_files.keys()),
        )
        if names
    ]
    if unpaired:
        raise UserError(
            f"data.root={root}: {len(image_files)} images and {len(mask_files)} masks do not pair by name: "
            f"{'; '.join(unpaired)}; add the missing files, remove the others, or narrow {images.key} and {masks.key}"
        )
    if same := [name for name, path in image_files.items() if path.samefile(mask_files[name])]:
        raise UserError(f"{images.key} and {masks.key} both match {image_files[same[0]]}; narrow the patterns")
    return {name: (image_files[name], mask_files[name]) for name in sorted(image_files)}


def _summarise(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _MAX_NAMES} more" if len(ordered) > _MAX_NAMES else ""
    return f"{len(ordered)}: {', '.join(ordered[:_MAX_NAMES])}{more}"
