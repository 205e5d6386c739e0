"""The classes of a segmentation task: names, codes and colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

from lss_lightning.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORE_INDEX = 255
"""Class index of pixels that belong to no class (padding). Losses and metrics ignore these pixels."""

PALETTE = (
    "#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#f0e442",
    "#6900d2", "#692d0f", "#c3f0b4", "#2d3c5a", "#b45aff", "#e1004b", "#00fff0",
    "#c3a55a", "#96ff78", "#6900a5", "#0000ff", "#4b2d78", "#3c693c", "#d200b4",
)  # fmt: skip
"""Colours of anatomical classes: six from Okabe & Ito's palette, followed by others.

Each colour differs from all previous ones by at least as much as the six colours differ from each other (a CIE Lab
difference of 16), also with any type of colour blindness (Machado, Oliveira & Fernandes, IEEE TVCG 15(6), 2009). The
palette's black, grey and vermilion are reserved for backgrounds and differences.
"""

NEUTRAL_PALETTE = ("#000000", "#999999", "#555555", "#cccccc")
"""Colours of classes that are not anatomical."""

_MAX_CODES = 12
"""Maximum number of codes in a label file. A file with more codes was probably resampled, or is not a label file."""

_RESTORE = "The file was probably resampled or saved by another program; restore the original"

MAX_NAME_LENGTH = 40
"""Maximum length of a class name in characters, for tables and legends."""


@dataclass(frozen=True)
class Label:
    """A class.

    Attributes:
        name: The name in tables, e.g. ``Thecal Sac``.
        key: The name in files and metrics: lower-case letters, digits and underscores, e.g. ``thecal_sac``.
        short: The abbreviation in narrow tables and legends, e.g. ``TS``.
        code: Grey value (0-255) of the class in label files.
        colour: ``#rrggbb``.
        anatomical: Whether the class is a structure of the body, which is included in ``mean_iou_anatomy``.

    Raises:
        UserError: If the key or the code is not allowed.
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
    """An ordered set of classes. The index of a class is its position, starting from 0.

    Attributes:
        labels: The classes.
        is_configurable: Whether the user gives the classes as ``data.classes``, to which error messages then refer.
        mask_colours: The colour of each code from 0 in label files that mark the classes with colours, as ``#rrggbb``;
            empty for label files that hold codes.

    Raises:
        UserError: If there are fewer than 2 or more than 255 classes, or two classes share a key or code.
    """

    labels: tuple[Label, ...]
    is_configurable: bool = field(default=False, compare=False)
    mask_colours: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not 2 <= len(self.labels) <= IGNORE_INDEX:
            raise UserError(f"{len(self.labels)} classes: a label set has 2 to {IGNORE_INDEX}")
        for attribute, values in (("key", self.keys), ("code", self.codes)):
            repeated = sorted({str(value) for value in values if list(values).count(value) > 1})
            if repeated:
                raise UserError(
                    f"class {attribute} {', '.join(repeated)}: given to two classes; give each class its own"
                )

    def __getitem__(self, index: Any) -> Any:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in index order."""
        return tuple(label.key for label in self.labels)

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes in index order."""
        return tuple(label.code for label in self.labels)

    @property
    def anatomical(self) -> tuple[int, ...]:
        """The indices of the anatomical classes."""
        return tuple(index for index, label in enumerate(self.labels) if label.anatomical)

    def describe_difference(self, reference: LabelSet) -> str:
        """Describe how these classes differ from a reference, e.g. ``without aap and with disc``.

        Returns:
            A phrase, or an empty string if the classes differ only in codes, names or colours, or not at all.
        """
        missing = [key for key in reference.keys if key not in self.keys]
        added = [key for key in self.keys if key not in reference.keys]
        if missing or added:
            phrases = {"without": missing, "with": added}
            return " and ".join(f"{word} {', '.join(keys)}" for word, keys in phrases.items() if keys)
        if self.keys != reference.keys:
            return f"in the order {', '.join(self.keys)}, not {', '.join(reference.keys)}"
        if self.anatomical != reference.anatomical:
            own, expected = (
                ", ".join(labels.keys[index] for index in labels.anatomical) for labels in (self, reference)
            )
            return f"with {own} as anatomy, not {expected}"
        return ""

    def to_indices(self, codes: NDArray[np.uint8], source: object) -> NDArray[np.uint8]:
        """Convert codes, as in a label file, into class indices.

        Args:
            codes: uint8 array of any shape with values from :attr:`codes`.
            source: The origin of the codes, usually the file, for messages.

        Returns:
            uint8 array of the same shape with values from 0 to ``len(self) - 1``.

        Raises:
            UserError: If a code belongs to no class. The message gives each such code and its number of pixels.
        """
        import numpy as np

        table = np.full(256, IGNORE_INDEX, dtype=np.uint8)
        table[list(self.codes)] = np.arange(len(self), dtype=np.uint8)
        counts = np.bincount(codes.ravel(), minlength=256)
        unknown = [code for code in np.flatnonzero(counts) if code not in self.codes]
        if unknown:
            listed = ", ".join(f"{code} ({counts[code]} px)" for code in unknown[:8])
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            present = np.flatnonzero(counts).tolist()
            raise UserError(
                f"{source}: label codes {listed}{more} belong to no class; allowed: {', '.join(map(str, self.codes))}. "
                f"{self._advise(present) or _RESTORE}"
            )
        return table[codes]

    def _advise(self, present: Sequence[int]) -> str:
        """Return advice for a label file with the given codes, or an empty string if the file is probably damaged."""
        if not self.is_configurable or len(present) > max(len(self), _MAX_CODES):
            return ""
        codes = ", ".join(map(str, present))
        if len(present) == len(self):
            classes = ", ".join(f"{label.name.lower()}: {code}" for label, code in zip(self, present, strict=True))
            return f"If these are the codes of the classes, set data.classes={{{classes}}}"
        if list(present) == [0, 255]:
            return (
                "0 and 255 mark one structure and its background: for two classes set data.classes={background: 0, "
                "structure: 255}; for more, combine the masks of all structures into one with a code for each"
            )
        return f"The file holds the codes {codes}: give each code a class in data.classes, or restore the file"

    def to_codes(self, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert class indices into the codes of a label file, both uint8 arrays of the same shape."""
        import numpy as np

        return np.asarray(self.codes, dtype=np.uint8)[indices]

    def to_plain(self) -> list[dict[str, Any]]:
        """Return the classes as plain data, which is stored in checkpoints."""
        return [asdict(label) for label in self.labels]

    @classmethod
    def from_codes(cls, codes: Mapping[str, int] | Mapping[str, str], background: Collection[str]) -> LabelSet:
        """Create a label set from names and codes; keys and colours are derived.

        Args:
            codes: Code by class name, in the order of the indices; or the colour in label files by class name, as
                ``#rrggbb``.
            background: The names of the classes that are not structures of the body.

        Raises:
            UserError: If a name is too long or cannot be made into a key, or for the reasons given for the constructor.
        """
        colours = {True: cycle(PALETTE), False: cycle(NEUTRAL_PALETTE)}
        labels = []
        for index, (name, code) in enumerate(codes.items()):
            if len(name) > MAX_NAME_LENGTH:
                raise UserError(f"class {name}: {len(name)} characters; use at most {MAX_NAME_LENGTH}")
            anatomical = name not in background
            title = name[:1].upper() + name[1:].replace("_", " ")
            number = code if isinstance(code, int) else index
            labels.append(Label(title, _make_key(name), title, number, next(colours[anatomical]), anatomical))
        mask_colours = tuple(code.lower() for code in codes.values() if isinstance(code, str))
        if len(set(mask_colours)) < len(mask_colours):
            raise UserError("one colour is given to two classes; give each class its own")
        return cls(tuple(labels), is_configurable=True, mask_colours=mask_colours)

    @classmethod
    def from_plain(cls, labels: list[dict[str, Any]]) -> LabelSet:
        """Create a label set from plain data, as returned by :meth:`to_plain`."""
        return cls(tuple(Label(**label) for label in labels))


def _make_key(name: str) -> str:
    """Create a key from a name: lower case, without accents, with underscores instead of all but letters and digits."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not re.match(r"[a-z]", key):
        raise UserError(f"class name {name!r}: must begin with a Latin letter, because it names files and metrics")
    return key


# Names: Altun & Alkan (2023), Table 2. Codes: the label files of Mendeley Data zbf6b4pttk. Colours: Okabe & Ito's
# palette, whose colours can be distinguished with any common colour blindness.
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
"""The six classes of the paper. AAP is the area between the anterior and posterior vertebral elements."""
