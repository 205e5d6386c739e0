"""Recognition of the weighting that a series description or a file name states."""

from __future__ import annotations

import re
from dataclasses import dataclass

NOT_WEIGHTED = re.compile(
    r"t[12] ?_?(\*|star|map)|(?<![a-z])(dwi|diff\w*|adc|ep2d\w*|medic|me2d\w*|merge|swi|perf\w*|map)(?![a-z])"
)
"""Words (in lower case) that denote images that are neither T1- nor T2-weighted, such as T2*, maps and diffusion."""

_STIR = re.compile(r"(?<![a-z])(stir|tirm)(?![a-z])")
_FLAIR = re.compile(r"(?<![a-z])flair(?![a-z])")
_PROTON_DENSITY = re.compile(r"(?<![a-z])(pd|dp)w?(?![a-z0-9])|proton")
# "t1" may follow a word directly, as in AXT2, but not a letter of another word.
_TOKEN = re.compile(r"(?:(?<![a-z0-9])|(?<=ax)|(?<=tra)|(?<=tse)|(?<=fse))(t[12])(?![0-9*])", re.IGNORECASE)
_SEQUENCE_WORD = (
    r"(?:ax|axial|tra|trans|transv|transversal|transverse|tse|fse|frfse|se|weighted|flair|stir|dixon|blade|propeller|"
    r"space|sag|cor|wi?|gew|image|images|output|mri)"
)
_WORD_AFTER = re.compile(rf"[\s_.-]*{_SEQUENCE_WORD}(?![a-z])", re.IGNORECASE)
_WORD_BEFORE = re.compile(rf"(?<![a-z]){_SEQUENCE_WORD}[\s_.-]*$", re.IGNORECASE)


@dataclass(frozen=True)
class WeightingToken:
    """An occurrence of T1 or T2 in a text.

    Attributes:
        kind: ``T1`` or ``T2``.
        start: Position of the first character.
        end: Position after the last character.
        beside_word: Whether it is next to a word that describes a sequence, such as ax, tra, tse or the w of T1w.
    """

    kind: str
    start: int
    end: int
    beside_word: bool


def find_tokens(text: str) -> list[WeightingToken]:
    """Return every T1 and T2 that is a separate word in a string, in order."""
    return [
        WeightingToken(
            match[1].upper(),
            match.start(1),
            match.end(1),
            bool(_WORD_AFTER.match(text, match.end(1)) or _WORD_BEFORE.search(text[: match.start(1)])),
        )
        for match in _TOKEN.finditer(text)
    ]


def choose_token(tokens: list[WeightingToken]) -> WeightingToken | None:
    """Return the token that states the weighting: the last one next to a sequence word, or else the last one.

    Returns:
        The token, or None if there is no token or if tokens next to sequence words contradict one another.
    """
    beside = [token for token in tokens if token.beside_word]
    if len({token.kind for token in beside}) > 1:
        return None
    candidates = beside or tokens
    return candidates[-1] if candidates else None


def find_weighting(text: str) -> str | None:
    """Return the weighting that a text states: ``T1``, ``T2``, ``STIR``, ``FLAIR``, ``PD`` or None.

    T1 FLAIR is ``T1``, and T2 FLAIR is ``FLAIR``. A text with both T1 and T2, such as that of a dual-echo series,
    states none unless :func:`choose_token` resolves it.
    """
    text = text.lower()
    if NOT_WEIGHTED.search(text):
        return None
    token = choose_token(find_tokens(text))
    if _STIR.search(text):
        return "STIR"
    if _FLAIR.search(text):
        return "T1" if token and token.kind == "T1" else "FLAIR"
    if _PROTON_DENSITY.search(text):
        return "PD" if token is None else None
    return token.kind if token else None
