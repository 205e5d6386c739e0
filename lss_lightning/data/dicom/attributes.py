"""Reading of DICOM data sets: pydicom's exceptions, missing meta headers, invalid values and enhanced images."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from lss_lightning.data.dicom.archive import FileReader, UnreadableError
from lss_lightning.data.guard import guard_parser

# Every attribute that matters is checked here, and failures are reported as UnreadableError. Without these settings,
# pydicom would print warnings about unused attributes, and the traceback of each decoder.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")

_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_SYNONYMS = {"EffectiveEchoTime": "EchoTime"}
"""Names of attributes in functional groups, and their names in other images."""

# Longer texts, and texts with other characters, are not quoted, because they might name the patient.
_QUOTABLE = re.compile(r"(nan|inf|[-+\d\s.,;:\\/eExX*'\[\]()]){1,80}", re.IGNORECASE)


def guard_pydicom(problem: str) -> AbstractContextManager[None]:
    """Convert any exception raised by pydicom to an :class:`~lss_lightning.data.dicom.archive.UnreadableError`.

    Args:
        problem: Description of the problem for the message, e.g. ``damaged DICOM header``.
    """
    return guard_parser(lambda reason: UnreadableError(f"{problem} ({reason})"))


def read_dataset(file: str, read: FileReader, keywords: Sequence[str]) -> pydicom.FileDataset:
    """Read some attributes of a DICOM file, whose preamble and meta header may be missing.

    The attributes of a single-frame enhanced image are moved from its functional groups to the top level of the data
    set.

    Raises:
        UnreadableError: If the file cannot be opened, is damaged, or is not DICOM.
    """
    content = read(file)
    if not content:
        raise UnreadableError("an empty file; copy it again")
    options: dict[str, Any] = {
        "specific_tags": [*keywords, "NumberOfFrames", *_FUNCTIONAL_GROUPS],
        "stop_before_pixels": "PixelData" not in keywords,
    }
    with guard_pydicom("damaged DICOM file"):
        try:
            dataset = pydicom.dcmread(BytesIO(content), **options)
        except InvalidDicomError:
            dataset = _read_without_preamble(content, options)
        if read_number(dataset, "NumberOfFrames") in (None, 1):
            _move_functional_groups(dataset, keywords)
        for name in _FUNCTIONAL_GROUPS:
            dataset.pop(name, None)
        _restore_types(dataset, keywords)
    return dataset


def may_be_dicom(path: Path) -> bool:
    """Return whether a file begins like a DICOM file, with or without a preamble, or cannot be opened for the check."""
    try:
        if not path.exists():
            return False
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return True
    # Without a preamble, the first element is in group 2 or 8, followed by its length, or by its type and length.
    is_element = start[:2] in (b"\2\0", b"\x08\0") and (start[4:6].isalpha() or start[6:8] == b"\0\0")
    return start[128:132] == b"DICM" or is_element


def is_directory_file(path: Path) -> bool:
    """Return whether a file is a DICOMDIR (the index of a disc), judging by its name or its meta header."""
    if path.name.upper() == "DICOMDIR":
        return True
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        return bool(meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)
    except Exception:
        return False


def get_transfer_syntax(dataset: pydicom.FileDataset) -> UID:
    """Return the transfer syntax from the meta header or, if it is missing, as inferred while reading the file."""
    stated = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if stated:
        return UID(stated)
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def read_value(dataset: pydicom.Dataset, name: str) -> Any:
    """Return an attribute's value, its raw text if the value does not conform to its type, or None if it is missing."""
    try:
        value = dataset.get(name)
    except Exception:
        element: Any = dataset.get_item(name)
        value = element.value
    if isinstance(value, bytes):
        value = value.decode("latin-1").strip("\0 ")
    return None if value == "" else value


def read_text(dataset: pydicom.Dataset, name: str) -> str:
    """Return an attribute as text, with multiple values separated by spaces, or an empty string if it is missing."""
    value = read_value(dataset, name)
    if value is None:
        return ""
    return str(value) if isinstance(value, str) or not isinstance(value, Sequence) else " ".join(map(str, value))


def read_numbers(dataset: pydicom.Dataset, name: str) -> tuple[float, ...] | None:
    """Return an attribute's numbers, which may be stored as one string, or None if they are missing or not numeric."""
    value = read_value(dataset, name)
    if isinstance(value, str):
        value = value.split("\\")
    elif not isinstance(value, Sequence) and not hasattr(value, "__iter__"):
        value = [value]
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def read_number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Return an attribute's number, or None if the attribute is missing or is not a single number."""
    numbers = read_numbers(dataset, name)
    return numbers[0] if numbers and len(numbers) == 1 else None


def explain_value(dataset: pydicom.Dataset, name: str, rule: str) -> str:
    """Return a description of an attribute that is missing or breaks a rule, including its value.

    Args:
        dataset: The data set.
        name: The attribute.
        rule: Description of the allowed values, e.g. ``one number``.
    """
    value = read_value(dataset, name)
    if value is None or (isinstance(value, Sequence) and not len(value)):
        return f"{name} missing"
    text = value if isinstance(value, str) or not isinstance(value, Sequence) else "\\".join(map(str, value))
    quoted = f"={text}" if _QUOTABLE.fullmatch(str(text)) else " holds other text"
    return f"{name}{quoted}, must be {rule}"


def _read_without_preamble(content: bytes, options: dict[str, Any]) -> pydicom.FileDataset:
    try:
        dataset = pydicom.dcmread(BytesIO(content), force=True, **options)
        valid = any(dataset.get_item(name) is not None for name in ("StudyInstanceUID", "SeriesInstanceUID", "Rows"))
    except Exception:
        valid = False
    if not valid:
        raise UnreadableError("not a DICOM file")
    return dataset


def _restore_types(dataset: pydicom.Dataset, keywords: Sequence[str]) -> None:
    """Convert decimal strings (DS) that were stored with another VR back to DS."""
    for keyword in keywords:
        element: Any = dataset.get_item(keyword)
        if element is not None and dictionary_VR(keyword) == "DS" != element.VR:
            numbers = read_numbers(dataset, keyword)
            if element.VR is not None and numbers:
                dataset[element.tag] = DataElement(element.tag, "DS", [f"{number:.12g}" for number in numbers])


def _move_functional_groups(dataset: pydicom.Dataset, keywords: Sequence[str]) -> None:
    """Copy attributes of the only frame to the top level of the data set, except those that it already has."""
    for name in _FUNCTIONAL_GROUPS:
        for groups in dataset.get(name) or ():
            for group in groups:
                for item in group.value if group.VR == "SQ" else ():
                    for element in item:
                        keyword = _SYNONYMS.get(element.keyword, element.keyword)
                        if keyword in keywords and read_value(dataset, keyword) is None:
                            setattr(dataset, keyword, element.value)
