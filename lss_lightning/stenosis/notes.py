"""What a radiologist's note says of stenosis: a small vocabulary, told level by level, with sides and negation.

A note is cut into statements; a statement that names a place and, in it, a narrowing, is a mention. Words before the
place that deny it (NegEx: Chapman et al., J Biomed Inform 34:301, 2001), or that call it normal after it, turn the
mention into a denial. Nothing else is understood: a note's grammar, its uncertainty ("possible") and its comparisons
with earlier examinations are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lss_lightning.stenosis.criteria import SITES, Site

_NARROW = r"(?:stenos[ei]s|stenotic|narrow\w*)"
_PRESSED = r"(?:compress\w*|encroach\w*|compromis\w*|efface\w*|indent\w*|impress\w*|imping\w*)"
_CANAL = r"(?:(?:spinal|central|vertebral|lumbar|neural|bony)\s+)*(?:canal|stenos[ei]s)"
_SAC = r"(?:thecal|dural)\s+sac|cauda\s+equina"
_FORAMEN = r"foram\w*|exit(?:ing)?\s+(?:nerve\s+)?(?:roots?|canals?)|lateral\s+recess\w*"

CENTRAL = (rf"\b{_CANAL}\b", _NARROW), (rf"\b(?:{_SAC})\b", rf"{_NARROW}|{_PRESSED}")
FORAMINAL = ((rf"\b(?:{_FORAMEN})\b", rf"{_NARROW}|{_PRESSED}"),)
"""Places, each with the words of the same statement that make it a mention."""

_DENIED_BEFORE = re.compile(r"\b(?:no|not|nor|without|absence of|free of|negative for|rules? out|ruled out)\b")
_DENIED_AFTER = re.compile(
    r"\b(?:is|are|appears?|remains?)\s+(?:normal|patent|preserved|adequate|unremarkable|not)\b"
    r"|\b(?:shows?|with)\s+no\s+(?:\w+\s+)?(?:stenos\w*|narrow\w*)"
    r"|^\W*(?:\w+\W+){0,2}?(?:normal|patent|preserved|adequate)\b"
)
_SIDES = {"left": ("left",), "right": ("right",), "bilateral": ("left", "right"), "both": ("left", "right")}
_SIDE = re.compile(r"\b(left|right|bilateral|both)(?:ly)?\b")
_LEVEL = re.compile(r"\bl\s?([1-5])(?:\s*(?:[-/]|to)?\s*(?:l\s?([2-5])|s\s?(1))|\s*[-/]\s*([1-5]))\b")
_ALL_LEVELS = re.compile(r"\b(?:all|every|each)(?:\s+\w+)?\s+levels?\b")
# A statement ends with its sentence, and where a new one begins in the same sentence.
_BREAK = re.compile(
    r"[.;\n]+|\b(?:but|however|although|though|whereas|except)\b"
    r"|,\s*(?=(?:and\s+)?(?:there|with|mild|moderate|severe|marked|small|normal|no)\b)"
)
_DISCS = ("L1/2", "L2/3", "D3", "D4", "D5")
_NAMED = ("D3", "D4", "D5")


@dataclass(frozen=True)
class Mention:
    """A stenosis that a note asserts or denies.

    Attributes:
        level: ``D3`` (L3/4), ``D4`` (L4/5), ``D5`` (L5/S1), ``L1/2``, ``L2/3``; None where the statement names none.
        site: Where; a foraminal one without a side is mentioned on both.
        present: False where it is denied.
        statement: The words.
    """

    level: str | None
    site: Site
    present: bool
    statement: str


def read_notes(text: str) -> tuple[Mention, ...]:
    """Find the mentions of stenosis in a note, in its order."""
    return tuple(mention for statement in _statements(text) for mention in _mentions(statement))


def says(mentions: tuple[Mention, ...], level: str, site: Site) -> bool | None:
    """Whether a note asserts (True) or denies (False) a stenosis at a level; None where it says neither.

    An assertion outweighs a denial; what names no level holds for all if it is a denial, and for none if it is not.
    """
    here = [
        one for one in mentions if one.site == site and (one.level == level or (one.level is None and not one.present))
    ]
    return any(one.present for one in here) if here else None


def _statements(text: str) -> Iterator[str]:
    plain = re.sub(r"[–—−]", "-", text.lower())
    for sentence in _BREAK.split(plain):
        statement = " ".join(sentence.split())
        halves = statement.split(" and ")
        # "… stenosis at L3-4 and … narrowing at L4-5" are two statements, "L3-4 and L4-5 stenosis" is one.
        if len(halves) > 1 and all(_levels(half) and any(_places(half)) for half in halves):
            yield from halves
        elif statement:
            yield statement


def _mentions(statement: str) -> Iterator[Mention]:
    levels = _levels(statement) or [None]
    for sites, start, end in _places(statement):
        denied = _DENIED_BEFORE.search(statement[:start]) or _DENIED_AFTER.search(statement[end:])
        for level in levels:
            for site in sites:
                yield Mention(level, site, not denied, statement)


def _places(statement: str) -> Iterator[tuple[tuple[Site, ...], int, int]]:
    """The sites mentioned, and where the place stands; each site once."""
    found: set[Site] = set()
    named = [side for word in _SIDE.findall(statement) for side in _SIDES[word]]
    sides: tuple[Site, ...] = tuple(site for site in SITES if site in named) or ("left", "right")
    central: tuple[Site, ...] = ("central",)
    for kind, sites in ((CENTRAL, central), (FORAMINAL, sides)):
        for place, narrowed in kind:
            match = re.search(place, statement)
            if match and re.search(narrowed, statement) and not found & set(sites):
                # "foraminal stenosis" is none of the canal's.
                if kind is CENTRAL and "canal" not in match[0] and re.search(_FORAMEN, statement) and _bare(match[0]):
                    continue
                found |= set(sites)
                yield sites, match.start(), match.end()


def _bare(place: str) -> bool:
    return re.fullmatch(r"stenos[ei]s", place) is not None


def _levels(statement: str) -> list[str | None]:
    """Discs named, from head to feet; a range such as L3-S1 names all within it."""
    found: set[str] = set(_NAMED) if _ALL_LEVELS.search(statement) else set()
    for upper, lumbar, sacral, bare in _LEVEL.findall(statement):
        first = int(upper)
        last = 6 if sacral or (bare == "1" and first == 5) else int(lumbar or bare)
        found |= set(_DISCS[first - 1 : last - 1])
    return [disc for disc in _DISCS if disc in found]
