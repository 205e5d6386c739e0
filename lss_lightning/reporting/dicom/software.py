"""How SEG and SR name what made them."""

from __future__ import annotations

from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import AlgorithmIdentification, DeviceObserverIdentifyingAttributes
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from lss_lightning import __version__
from lss_lightning.stenosis.study import StudyResult

NAME = "lss_lightning"
MANUFACTURER = "The lss_lightning authors"
CHARACTERS = "ISO_IR 192"
"""UTF-8: units, sources' names and patients' names need it."""

_SHORT_HASH, _LONGEST = 12, 64


def equipment(study: StudyResult) -> dict[str, Any]:
    """Manufacturer, model, version and serial number; the serial number is that of the checkpoints, shortened."""
    hashes = "+".join(model.sha256[:_SHORT_HASH] for model in study.models)
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": NAME,
        "software_versions": __version__,
        "device_serial_number": hashes[:_LONGEST],
    }


def seg_algorithm(study: StudyResult) -> AlgorithmIdentificationSequence:
    """The algorithm as a segment names it: every checkpoint with its hash."""
    parameters = {f"checkpoint_{number}": text for number, text in enumerate(_checkpoints(study), start=1)}
    family = codes.cid7162.ArtificialIntelligence
    return AlgorithmIdentificationSequence(NAME, family, __version__, source=MANUFACTURER, parameters=parameters)


def sr_algorithm(study: StudyResult) -> AlgorithmIdentification:
    """The algorithm as a group of measurements names it."""
    return AlgorithmIdentification(NAME, __version__, parameters=_checkpoints(study), manufacturer=MANUFACTURER)


def observer(study: StudyResult) -> DeviceObserverIdentifyingAttributes:
    """The software as the report's observer; the same checkpoints and version have the same UID."""
    return DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[NAME, __version__, *_checkpoints(study)]),
        name=NAME,
        manufacturer_name=MANUFACTURER,
        model_name=f"{NAME} {__version__}",
    )


def _checkpoints(study: StudyResult) -> list[str]:
    return [f"{model.name} sha256:{model.sha256}" for model in study.models]
