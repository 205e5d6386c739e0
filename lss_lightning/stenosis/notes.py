"""Stenoses in radiologists' notes, found with a small vocabulary of levels, sites, sides and negation.

A note is split into statements. A statement that names both a site and a narrowing is a mention. Negating words
before the site (NegEx: Chapman et al., J Biomed Inform 34:301, 2001), or words after the site that describe it as
normal, turn the mention into a denial. Grammar, uncertainty ("possible") and comparisons with earlier examinations
are not interpreted.
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

# Patterns of a site, each with the pattern that must occur in the same statement to make it a mention.
_CENTRAL_TERMS = (rf"\b{_CANAL}\b", _NARROW), (rf"\b(?:{_SAC})\b", rf"{_NARROW}|{_PRESSED}")
_FORAMINAL_TERMS = ((rf"\b(?:{_FORAMEN})\b", rf"{_NARROW}|{_PRESSED}"),)

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
# A statement ends at the end of the sentence, or where another statement begins within it.
_BREAK = re.compile(
    r"[.;\n]+|\b(?:but|however|although|though|whereas|except)\b"
    r"|,\s*(?=(?:and\s+)?(?:there|with|mild|moderate|severe|marked|small|normal|no)\b)"
)
_DISCS = ("L1/2", "L2/3", "D3", "D4", "D5")
_LABELLED_DISCS = ("D3", "D4", "D5")


@dataclass(frozen=True)
class StenosisMention:
    """A stenosis that a note asserts or denies.

    Attributes:
        level: ``D3`` (L3/4), ``D4`` (L4/5), ``D5`` (L5/S1), ``L1/2`` or ``L2/3``; None if the statement names no level.
        site: The site. A foraminal stenosis without a side counts as a mention of both sides.
        present: True for an assertion, False for a denial.
        statement: The text of the statement.
    """

    level: str | None
    site: Site
    present: bool
    statement: str


def read_notes(text: str) -> tuple[StenosisMention, ...]:
    """Find the mentions of stenosis in a note, in the order in which they occur."""
    return tuple(mention for statement in _split_statements(text) for mention in _find_mentions(statement))


def asserts_stenosis(mentions: tuple[StenosisMention, ...], level: str, site: Site) -> bool | None:
    """Return True if a note asserts a stenosis, False if it denies one, and None if it does neither.

    An assertion outweighs a denial. A denial without a level applies to all levels; an assertion without a level
    applies to none.
    """
    relevant = [
        mention
        for mention in mentions
        if mention.site == site and (mention.level == level or (mention.level is None and not mention.present))
    ]
    return any(mention.present for mention in relevant) if relevant else None


def _split_statements(text: str) -> Iterator[str]:
    plain = re.sub(r"[–—−]", "-", text.lower())
    for sentence in _BREAK.split(plain):
        statement = " ".join(sentence.split())
        parts = statement.split(" and ")
        # "… stenosis at L3-4 and … narrowing at L4-5" is two statements; "L3-4 and L4-5 stenosis" is one.
        if len(parts) > 1 and all(_find_levels(part) and any(_find_sites(part)) for part in parts):
            yield from parts
        elif statement:
            yield statement


def _find_mentions(statement: str) -> Iterator[StenosisMention]:
    levels = _find_levels(statement) or [None]
    for sites, start, end in _find_sites(statement):
        denied = _DENIED_BEFORE.search(statement[:start]) or _DENIED_AFTER.search(statement[end:])
        for level in levels:
            for site in sites:
                yield StenosisMention(level, site, not denied, statement)


def _find_sites(statement: str) -> Iterator[tuple[tuple[Site, ...], int, int]]:
    """Find the sites that a statement mentions, each once, with the start and end of the matching text."""
    seen: set[Site] = set()
    named = [side for word in _SIDE.findall(statement) for side in _SIDES[word]]
    sides: tuple[Site, ...] = tuple(site for site in SITES if site in named) or ("left", "right")
    central: tuple[Site, ...] = ("central",)
    for terms, sites in ((_CENTRAL_TERMS, central), (_FORAMINAL_TERMS, sides)):
        for location, narrowing in terms:
            match = re.search(location, statement)
            if match and re.search(narrowing, statement) and not seen & set(sites):
                # "foraminal stenosis" does not mention the canal.
                central_terms = terms is _CENTRAL_TERMS
                if central_terms and re.search(_FORAMEN, statement) and re.fullmatch(r"stenos[ei]s", match[0]):
                    continue
                seen |= set(sites)
                yield sites, match.start(), match.end()


def _find_levels(statement: str) -> list[str | None]:
    """Return the discs that a statement names, from head to feet; a range such as L3-S1 includes all discs in it."""
    named: set[str] = set(_LABELLED_DISCS) if _ALL_LEVELS.search(statement) else set()
    for upper, lumbar, sacral, bare in _LEVEL.findall(statement):
        first = int(upper)
        last = 6 if sacral or (bare == "1" and first == 5) else int(lumbar or bare)
        named |= set(_DISCS[first - 1 : last - 1])
    return [disc for disc in _DISCS if disc in named]
