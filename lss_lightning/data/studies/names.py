"""Parsing of file and folder names: weighting (T1, T2 or composite), and files that belong together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.data.formats import strip_suffix
from lss_lightning.data.weighting import choose_token, find_tokens, find_weighting
from lss_lightning.errors import UserError
from lss_lightning.stenosis import LEVEL_KEYS

COMPOSITE_KIND = "composite"

_BIDS = re.compile(r"(?:^|_)(T[12])w$", re.IGNORECASE)
_COMPOSITE = re.compile(r"(?<![a-z0-9])c1(?!\d)", re.IGNORECASE)
_NUMBERED = re.compile(r"t[12][\W_]*\d+", re.IGNORECASE)
_QUANTITATIVE = re.compile(r"(?<![a-z0-9])t[12]_?(star|map)", re.IGNORECASE)
_ALKAFRI = re.compile(r"(?:T1|T2|C1)_(\d+)_(D[345])", re.IGNORECASE)
_ALKAFRI_LABEL = re.compile(r"[LB]1_\d+_D[345]", re.IGNORECASE)


@dataclass(frozen=True)
class NamedFile:
    """A file and the properties that its name states.

    Attributes:
        path: The file.
        kind: ``T1``, ``T2``, ``composite``, another weighting such as ``STIR``, or None if neither the file name nor
            the folder name states it.
        study: Key that all files of one study share.
        pair: Key that the T1 and T2 files of one slice or volume share within a study.
        level: The disc level, e.g. ``L4/5``, of Al-Kafri files, or None.
        field_of_view: Width in mm of Al-Kafri images, or None.
        contradiction: Whether the name contains both T1 and T2, and no rule determines which of them is the weighting.
        by_rule: Whether the name contains both T1 and T2, and a rule determines which of them is the weighting.
    """

    path: Path
    kind: str | None
    study: str
    pair: str
    level: str | None = None
    field_of_view: float | None = None
    contradiction: bool = False
    by_rule: bool = False

    def check_weighting(self, kinds: Sequence[str]) -> None:
        """Check that the name states no weighting other than T1 or T2, and not both.

        Args:
            kinds: The kinds that the checkpoint needs. If they include neither T1 nor T2, every name is allowed.

        Raises:
            UserError: If the name is ambiguous or states another kind. The message does not contain the name.
        """
        if not set(kinds) & {"T1", "T2"}:
            return
        remedy = "or choose the files with series={t1: …, t2: …}, texts that only their names contain"
        if self.contradiction:
            raise UserError(
                "a file whose name says both T1 and T2, as weighting or as time point, vertebra or group; rename it so "
                f"that it ends in _T1w or _T2w, e.g. pat01_tp1_T2w, {remedy}"
            )
        if self.kind not in ("T1", "T2", COMPOSITE_KIND, None):
            raise UserError(f"a file whose name says {self.kind}, which is neither T1 nor T2; leave it out, {remedy}")


def parse_file_names(paths: Iterable[Path], series: Mapping[str, str]) -> list[NamedFile]:
    """Parse the names of image files or volumes. Label maps of the Al-Kafri data are left out.

    The weighting is taken from a BIDS suffix (``_T1w``), else from the token T1 or T2 next to a word such as ax, tra or
    tse, else from the last token. The name of the folder may also state T1 or T2, unless the names of files in the
    folder contradict it.

    Args:
        paths: The files of all studies.
        series: Texts keyed by ``T1`` and ``T2``. A file whose name or folder name contains the text has that kind,
            whatever else its name states, and no other file has it.
    """
    names = {path: strip_suffix(path.name) for path in paths}
    names = {path: name for path, name in names.items() if not _ALKAFRI_LABEL.fullmatch(name)}
    kinds: dict[Path, set[str | None]] = defaultdict(set)
    for path, name in names.items():
        kinds[path.parent].add(_parse(name).kind)
    parsed = [_parse_path(path, name, kinds[path.parent], series) for path, name in names.items()]
    return [named for named in parsed if named]


@dataclass(frozen=True)
class _ParsedText:
    """The parts of a name: the kind that it states, and the rest of the name."""

    kind: str | None
    rest: str
    contradiction: bool = False
    by_rule: bool = False


def _parse(name: str) -> _ParsedText:
    if match := _BIDS.search(name):
        return _ParsedText(match[1].upper(), name[: match.start(1)])
    if match := _QUANTITATIVE.search(name):
        return _ParsedText(match[0].upper(), name)
    tokens = find_tokens(name)
    stated = find_weighting(name)
    if stated in ("STIR", "FLAIR", "PD"):
        return _ParsedText(stated, name)
    token = choose_token(tokens)
    if token:
        by_rule = len({other.kind for other in tokens}) > 1
        return _ParsedText(token.kind, name[: token.start] + name[token.end :], by_rule=by_rule)
    if tokens:
        return _ParsedText(None, name, contradiction=True)
    if match := _COMPOSITE.search(name):
        return _ParsedText(COMPOSITE_KIND, name[: match.start()] + name[match.end() :])
    return _ParsedText(None, name)


def _parse_path(path: Path, name: str, kinds: set[str | None], series: Mapping[str, str]) -> NamedFile | None:
    """Parse a file name, given the kinds of all files in its folder. Return None if ``series`` excludes the file."""
    folder = path.parent
    for wanted, text in series.items():
        for place, study in ((name, folder), (folder.name, folder.parent)):
            if text.lower() in place.lower():
                start = place.lower().index(text.lower())
                pair = place[:start] + place[start + len(text) :]
                return NamedFile(path, wanted, str(study), pair if place is name else name)
    parsed, in_folder = _parse(name), _parse_folder(folder.name)
    kind_of_folder = in_folder if kinds <= {in_folder, None} else None
    kind = parsed.kind or (None if parsed.contradiction else kind_of_folder)
    if kind in series:
        return None
    if match := _ALKAFRI.fullmatch(name):
        levels = {key: level for level, key in LEVEL_KEYS.items()}
        # The data set's folders are nested differently, so the patient number identifies the study.
        return NamedFile(path, kind, match[1], parsed.rest, levels[match[2].upper()], FIELD_OF_VIEW)
    # T1 and T2 may be in separate folders.
    study = folder.parent if kind_of_folder else folder
    return NamedFile(path, kind, str(study), parsed.rest, contradiction=parsed.contradiction, by_rule=parsed.by_rule)


def _parse_folder(name: str) -> str | None:
    """Return the kind that a folder's name states, or None for a name such as ``T2-07`` (patient 7 of group T2)."""
    return None if _NUMBERED.fullmatch(name) else _parse(name).kind


def describe_rule(files: Sequence[NamedFile]) -> tuple[str, ...]:
    """Return a remark if a rule was needed to choose between T1 and T2 in the names of files."""
    count = sum(named.by_rule for named in files)
    if not count:
        return ()
    return (
        f"The names of {count} of {len(files)} files say both T1 and T2; the one beside a word such as ax, tra or tse, "
        "or else the last one, is taken for the weighting. series={t1: …, t2: …} chooses otherwise.",
    )


def find_sibling_folder(folder: Path) -> Path | None:
    """Return the folder whose name has T1 where this one has T2, or T2 where it has T1, or None if there is none."""
    token = choose_token(find_tokens(folder.name))
    if token is None or _NUMBERED.fullmatch(folder.name):
        return None
    digit = token.start + 1
    counterpart = {"1": "2", "2": "1"}[folder.name[digit]]
    sibling = folder.with_name(folder.name[:digit] + counterpart + folder.name[token.end :])
    return sibling if sibling.is_dir() else None
