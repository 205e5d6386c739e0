"""The classes of a segmentation task: the one place that knows names, codes and colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from lss_lightning.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORED = 255
"""Value of a label map's pixels that belong to no class (padding); neither loss nor metrics count them."""


PALETTE = (
    "#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#f0e442",
    "#6900d2", "#692d0f", "#c3f0b4", "#2d3c5a", "#b45aff", "#e1004b", "#00fff0",
    "#c3a55a", "#96ff78", "#6900a5", "#0000ff", "#4b2d78", "#3c693c", "#d200b4",
)  # fmt: skip
"""Colours of anatomical classes: Okabe & Ito's, then others, each at least as far from all before it as those six are
from one another (CIE Lab difference of 16), also as people without one kind of cone see them (Machado, Oliveira &
Fernandes, IEEE TVCG 15(6), 2009). Their black, grey and vermilion mark backgrounds and differences."""

NEUTRAL = ("#000000", "#999999", "#555555", "#cccccc")
"""Colours of the other classes."""

LONGEST_NAME = 40
"""Characters; more have no room in tables and legends."""


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        name: As printed in tables, e.g. ``Thecal Sac``.
        key: As written in files and metric names: lower case, digits and underscores, e.g. ``thecal_sac``.
        short: As printed where room is scarce, e.g. ``TS``.
        code: Grey value (0-255) of the class in label files.
        colour: ``#rrggbb``.
        anatomical: Whether the class is a structure of the body, and so counts in ``mean_iou_anatomy``.
    """

    name: str
    key: str
    short: str
    code: int
    colour: str
    anatomical: bool

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.key):
            raise UserError(f"class key {self.key!r}: only lower-case letters, digits and underscores are allowed")
        if not 0 <= self.code <= 255:
            raise UserError(f"class {self.key}: code {self.code} is outside 0-255, the range of an 8-bit label file")


@dataclass(frozen=True)
class LabelSet(Sequence[Label]):
    """An ordered set of classes; a class's index is its place, from 0.

    Raises:
        UserError: fewer than 2 or more than 255 classes, or a key or code given twice.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.labels) <= IGNORED:
            raise UserError(f"{len(self.labels)} classes given: a label set holds 2 to {IGNORED}")
        for what, values in (("key", self.keys), ("code", self.codes)):
            repeated = sorted({str(value) for value in values if list(values).count(value) > 1})
            if repeated:
                raise UserError(f"class {what} {', '.join(repeated)} is given to two classes: each needs its own")

    def __getitem__(self, index: Any) -> Any:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys in index order."""
        return tuple(label.key for label in self.labels)

    @property
    def codes(self) -> tuple[int, ...]:
        """Codes in index order."""
        return tuple(label.code for label in self.labels)

    @property
    def anatomical(self) -> tuple[int, ...]:
        """Indices of the anatomical classes."""
        return tuple(index for index, label in enumerate(self.labels) if label.anatomical)

    def difference(self, other: LabelSet) -> str:
        """In words, what parts these classes from others; empty where it is but codes, names and colours."""
        parted = [
            f"{what} {', '.join(keys)}"
            for what, keys in (
                ("without", [key for key in other.keys if key not in self.keys]),
                ("with", [key for key in self.keys if key not in other.keys]),
            )
            if keys
        ]
        if not parted and self.keys != other.keys:
            return f"in the order {', '.join(self.keys)}, not {', '.join(other.keys)}"
        if not parted and self.anatomical != other.anatomical:
            own, others = (", ".join(labels.keys[index] for index in labels.anatomical) for labels in (self, other))
            return f"with {own} as anatomy, not {others}"
        return " and ".join(parted)

    def to_indices(self, codes: NDArray[np.uint8], source: object) -> NDArray[np.uint8]:
        """Turn a map of codes, as in a label file, into a map of class indices.

        Args:
            codes: Any shape, uint8, values from :attr:`codes`.
            source: What to name in an error, usually the file.

        Returns:
            The same shape, uint8, values 0 to ``len(self) - 1``.

        Raises:
            UserError: a code that belongs to no class; the message gives each with its pixel count.
        """
        import numpy as np

        table = np.full(256, IGNORED, dtype=np.uint8)
        table[list(self.codes)] = np.arange(len(self), dtype=np.uint8)
        counts = np.bincount(codes.ravel(), minlength=256)
        unknown = [code for code in np.flatnonzero(counts) if code not in self.codes]
        if unknown:
            shown = ", ".join(f"{code} ({counts[code]} px)" for code in unknown[:8])
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            raise UserError(
                f"{source}: label codes {shown}{more} belong to no class; allowed are "
                f"{', '.join(map(str, self.codes))}. The file was probably re-sampled or re-saved: restore the original"
            )
        return table[codes]

    def to_codes(self, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn class indices (uint8, any shape) into the codes of a label file (uint8, same shape)."""
        import numpy as np

        return np.asarray(self.codes, dtype=np.uint8)[indices]

    def to_plain(self) -> list[dict[str, Any]]:
        """Plain data, as a checkpoint carries it."""
        return [asdict(label) for label in self.labels]

    @classmethod
    def of_codes(cls, codes: Mapping[str, int], background: Collection[str]) -> LabelSet:
        """Classes by their names and codes alone; keys and colours follow from these.

        Args:
            codes: Code by name, in the order of the indices.
            background: The names of those that are no structure of the body.

        Raises:
            UserError: a name that makes no key or is too long, or as the constructor.
        """
        colours = {True: cycle(PALETTE), False: cycle(NEUTRAL)}
        labels = []
        for name, code in codes.items():
            if len(name) > LONGEST_NAME:
                raise UserError(f"class {name}: {len(name)} characters; a class name has at most {LONGEST_NAME}")
            anatomical = name not in background
            shown = name[:1].upper() + name[1:].replace("_", " ")
            labels.append(Label(shown, _key(name), shown, code, next(colours[anatomical]), anatomical))
        return cls(tuple(labels))

    @classmethod
    def from_plain(cls, labels: list[dict[str, Any]]) -> LabelSet:
        """The inverse of :meth:`to_plain`."""
        return cls(tuple(Label(**label) for label in labels))


def _key(name: str) -> str:
    """A name as it is written in files: lower case, without accents, anything but letters and digits as ``_``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not re.match(r"[a-z]", key):
        raise UserError(f"class name {name!r}: it must begin with a Latin letter, since files and metrics are named so")
    return key


# Names: Altun & Alkan (2023), Table 2. Codes: the label files of Mendeley Data zbf6b4pttk. Colours: Okabe & Ito's
# palette, which people with any common colour blindness tell apart.
LUMBAR = LabelSet(
    (
        Label("Unregistered", "unregistered", "Unreg.", 0, "#999999", anatomical=False),
        Label("Intervertebral Disc", "intervertebral_disc", "IVD", 50, "#0072b2", anatomical=True),
        Label("Posterior Element", "posterior_element", "PE", 100, "#e69f00", anatomical=True),
        Label("Thecal Sac", "thecal_sac", "TS", 150, "#cc79a7", anatomical=True),
        Label("AAP", "aap", "AAP", 200, "#009e73", anatomical=True),
        Label("Other", "other", "Other", 250, "#000000", anatomical=False),
    )
)
"""The six classes of the paper. AAP is the area between anterior and posterior vertebrae elements."""
