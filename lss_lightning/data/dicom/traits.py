"""Properties of a single image: weighting, echo, Dixon part, contrast agent, derivation and patient."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pydicom

from lss_lightning.data.dicom.attributes import read_number, read_value
from lss_lightning.data.weighting import NOT_WEIGHTED, find_tokens, find_weighting

TRAITS_HEADER = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "ProtocolName",
    "SeriesNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "SeriesDate",
    "SeriesTime",
    "InversionTime",
    "ScanningSequence",
    "ScanOptions",
    "ContrastBolusAgent",
]
"""Attributes that :func:`read_traits` needs in addition to those of the image's header."""

# Repetition and echo times in ms of T1- and T2-weighted spin echoes. Localisers are gradient echoes with far shorter
# times; proton-density images have a long repetition time and a short echo time.
_T1_REPETITION_TIME, _T1_MAX_ECHO_TIME = (200, 1300), 40
_T2_MIN_REPETITION_TIME, _T2_MIN_ECHO_TIME = 1500, 60
# Inversion times in ms that suppress fat (STIR) and that increase T1 contrast (T1 FLAIR).
_STIR_INVERSION_TIME, _T1_INVERSION_TIME = (50, 300), (500, 1300)
_NOT_SLICES = re.compile(
    r"locali[sz]er|scout|posdisp|survey|3.?pl(ane)?\b|projection|\bmip\b|subtract|screen.?save|myelo"
)
_COMPLEX_PART = re.compile(r"(p|r|i)(_\w+)?|phase( map)?|real|imaginary")
_PHASES = {"in": "", "ip": "", "in_phase": "", "inphase": "", "w": "water", "water": "water", "f": "fat", "fat": "fat"}
_PHASES |= dict.fromkeys(("op", "opp", "out", "out_phase", "opp_phase", "outphase", "opposed"), "opposed-phase")
_DIXON_IN_TEXT = re.compile(r"\b(water|fat|in.?phase|out.?phase|opp.?phase|opposed)\b *:|[ _](w|f|in|opp|ip|op)$")
_FAT_SATURATED = re.compile(r"(?<![a-z])(fs|fat ?sat|spair|spir|fat ?supp?(ressed)?)(?![a-z])")
_WITHOUT_AGENT = re.compile(r"\b(without|w/?o|ohne|non?|sans|pre|plain|nativ)\b")
_WITH_AGENT = re.compile(r"(?<![a-z])(\+ ?(c|gd|km|k)|c ?\+|gd|gad\w*|km|ce|contrast\w*|post)(?![a-z])")
_NO_AGENT = ("", "no", "none", "n", "0", "without", "ohne", "nativ", "unknown")


@dataclass(frozen=True)
class ImageTraits:
    """Properties of a single image that determine whether and how it is used.

    Attributes:
        identity: Digests of PatientID, PatientBirthDate, PatientSex and the parts of PatientName; empty for an
            attribute that is not stated. The digests serve only to distinguish patients and are never written.
        series_number: SeriesNumber, or None.
        description: SeriesDescription, or ProtocolName if there is none, in lower case, or an empty string.
        weighting: ``T1``, ``T2``, ``PD``, ``STIR`` or ``other``.
        is_derived: Whether ImageType contains DERIVED or SECONDARY: a lossy, reformatted or filtered copy.
        has_contrast_agent: Whether ContrastBolusAgent or the description states a contrast agent.
        fat: ``water``, ``fat``, ``opposed-phase`` (Dixon), ``fat-suppressed``, or an empty string.
        acquired: Date and time of the acquisition as text that sorts by time, or an empty string.
        exclusion: The rule by which the image is neither T1 nor T2, in the form ``with …``, or an empty string if it is
            T1 or T2 or was classified by its times.
    """

    identity: tuple[frozenset[str], ...]
    series_number: int | None
    description: str
    weighting: str
    is_derived: bool
    has_contrast_agent: bool
    fat: str
    acquired: str
    exclusion: str = ""

    @property
    def departures(self) -> tuple[bool, bool, bool]:
        """Departures from a plain original image, most serious first; the image with the smallest value is the best."""
        return self.is_derived, self.has_contrast_agent, bool(self.fat)

    @property
    def kind(self) -> str:
        """The departures in words, e.g. ``derived, with contrast agent``, or an empty string."""
        words = (
            "derived" if self.is_derived else "",
            "with contrast agent" if self.has_contrast_agent else "",
            self.fat,
        )
        return ", ".join(filter(None, words))


def read_traits(dataset: pydicom.Dataset, repetition_time: float | None, echo_time: float | None) -> ImageTraits:
    """Read the properties of an image. An attribute with an invalid value counts as missing."""
    protocol = " ".join(_read_texts(dataset, "ProtocolName")).lower()
    description = " ".join(_read_texts(dataset, "SeriesDescription")).lower() or protocol
    # A protocol that covers a whole examination may name several weightings.
    is_of_series = len({token.kind for token in find_tokens(protocol)}) < 2
    stated = f"{description} {protocol}" if is_of_series and find_weighting(description) is None else description
    types = [text.lower() for text in _read_texts(dataset, "ImageType")]
    sequence = [text.upper() for text in _read_texts(dataset, "ScanningSequence")]
    options = [text.upper() for text in _read_texts(dataset, "ScanOptions")]
    modality = " ".join(_read_texts(dataset, "Modality")).upper()
    inversion_time = read_number(dataset, "InversionTime")
    weighting, exclusion = "other", ""
    inverted_fat = _lies_in(inversion_time, _STIR_INVERSION_TIME) and ("IR" in sequence or "FS" not in options)
    if match := _NOT_SLICES.search(" ".join((description, *types))):
        exclusion = f"with {match[0]!r} in ImageType or SeriesDescription"
    elif part := next(filter(_COMPLEX_PART.fullmatch, types[2:]), None):
        exclusion = f"with {part.upper()!r} in ImageType (a phase, real or imaginary part)"
    elif match := NOT_WEIGHTED.search(stated):
        exclusion = f"with {match[0]!r} in SeriesDescription or ProtocolName"
    elif modality not in ("", "MR") and not (repetition_time and echo_time):
        exclusion = f"with Modality {modality} and without RepetitionTime and EchoTime"
    elif "EP" in sequence:
        exclusion = "with ScanningSequence EP"
    elif inverted_fat or find_weighting(stated) == "STIR":
        weighting = "STIR"
        exclusion = (
            f"with InversionTime {inversion_time:g} ms"
            if inverted_fat
            else "with STIR in SeriesDescription or ProtocolName"
        )
    else:
        weighting = _find_weighting(stated, repetition_time, echo_time, inversion_time)
        if weighting == "other" and _is_flair(stated, inversion_time):
            exclusion = "with FLAIR in SeriesDescription, ProtocolName or its InversionTime, but not T1"
    times = [
        "".join(_read_texts(dataset, f"{of}Date")[:1] + _read_texts(dataset, f"{of}Time")[:1])
        for of in ("Acquisition", "Series")
    ]
    number = read_number(dataset, "SeriesNumber")
    return ImageTraits(
        identity=_read_identity(dataset),
        series_number=None if number is None or number % 1 else int(number),
        description=description,
        weighting=weighting,
        is_derived="derived" in types[:1] or "secondary" in types[1:2],
        has_contrast_agent=_has_contrast_agent(" ".join(_read_texts(dataset, "ContrastBolusAgent")), description),
        fat=_find_fat(types, description, options),
        acquired=next(filter(None, times), ""),
        exclusion=exclusion,
    )


def are_same_patient(first: ImageTraits, second: ImageTraits) -> bool:
    """Return whether two images may be of the same patient, i.e. whether no attribute that both state differs.

    Two names agree if the parts of one are a subset of the parts of the other, so ``DOE^JOHN`` agrees with
    ``Doe, John A``.
    """
    return all(
        not one or not other or one <= other or other <= one
        for one, other in zip(first.identity, second.identity, strict=True)
    )


def _read_identity(dataset: pydicom.Dataset) -> tuple[frozenset[str], ...]:
    sex = "".join(_read_texts(dataset, "PatientSex")).upper()
    patient_id = "".join("".join(_read_texts(dataset, "PatientID")).casefold().split())
    items = (
        [patient_id] if patient_id else [],
        _read_texts(dataset, "PatientBirthDate"),
        [sex] if sex in ("F", "M") else [],
        re.findall(r"[^\W_]+", " ".join(_read_texts(dataset, "PatientName")).casefold()),
    )
    return tuple(frozenset(hashlib.sha256(part.encode()).hexdigest() for part in item) for item in items)


def _find_weighting(
    description: str, repetition_time: float | None, echo_time: float | None, inversion_time: float | None
) -> str:
    """Return the weighting of a spin echo from its times or, if these are inconclusive, from its description."""
    stated = find_weighting(description)
    long_echo = echo_time is not None and echo_time >= _T2_MIN_ECHO_TIME
    if _is_flair(description, inversion_time):
        is_t1 = stated == "T1" or _lies_in(inversion_time, _T1_INVERSION_TIME)
        return "T1" if is_t1 and not long_echo else "other"
    if not repetition_time or not echo_time:
        contradicted = bool(echo_time) and stated in ("T1", "T2") and long_echo != (stated == "T2")
        return "other" if stated is None or contradicted else stated
    if _lies_in(repetition_time, _T1_REPETITION_TIME) and echo_time <= _T1_MAX_ECHO_TIME:
        return "T1"
    if repetition_time < _T2_MIN_REPETITION_TIME:
        # At 3 tesla, a T1-weighted image may have a repetition time between the limits.
        return "T1" if stated == "T1" and repetition_time > _T1_REPETITION_TIME[1] and not long_echo else "other"
    if long_echo:
        return "T2"
    # A T1 FLAIR image may not state its inversion time.
    return "T1" if stated == "T1" and "flair" in description else "PD"


def explain_times(repetition_time: float, echo_time: float) -> str:
    """Return a clause that explains why a spin echo with these times (in ms) is neither T1 nor T2."""
    shortest, longest = _T1_REPETITION_TIME
    return (
        f"with RepetitionTime {repetition_time:g} and EchoTime {echo_time:g} ms (T1 has {shortest} to {longest} and at "
        f"most {_T1_MAX_ECHO_TIME} ms, T2 at least {_T2_MIN_REPETITION_TIME} and {_T2_MIN_ECHO_TIME} ms)"
    )


def _is_flair(description: str, inversion_time: float | None) -> bool:
    is_long = inversion_time is not None and inversion_time >= _T1_INVERSION_TIME[0]
    return is_long or find_weighting(description) == "FLAIR"


def _lies_in(value: float | None, limits: tuple[float, float]) -> bool:
    return value is not None and limits[0] <= value <= limits[1]


def _has_contrast_agent(agent: str, description: str) -> bool:
    if _WITHOUT_AGENT.search(description):
        return False
    return agent.strip().lower() not in _NO_AGENT or bool(_WITH_AGENT.search(description.replace("_", " ")))


def _find_fat(types: Sequence[str], description: str, options: Sequence[str]) -> str:
    """Return the value of :attr:`ImageTraits.fat`: the Dixon part, ``fat-suppressed`` or an empty string."""
    parts = [_PHASES[text] for text in types[2:] if text in _PHASES]
    if match := _DIXON_IN_TEXT.search(description):
        parts.append(_PHASES.get(re.sub(r"[^a-z]+", "_", match[1] or match[2]), ""))
    if parts:
        return next(filter(None, parts), "")
    return "fat-suppressed" if "FS" in options or _FAT_SATURATED.search(description.replace("_", " ")) else ""


def _read_texts(dataset: pydicom.Dataset, name: str) -> list[str]:
    value = read_value(dataset, name)
    values = value if isinstance(value, pydicom.multival.MultiValue | list | tuple) else [value]
    return [str(item).strip() for item in values if item is not None and str(item).strip()]
