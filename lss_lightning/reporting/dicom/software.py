"""Identification of the software and its checkpoints in SEG and SR."""

from __future__ import annotations

from typing import Any

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import AlgorithmIdentification, DeviceObserverIdentifyingAttributes
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from lss_lightning import __version__
from lss_lightning.stenosis.study import StudyResult

SOFTWARE = "lss_lightning"
MANUFACTURER = "The lss_lightning authors"
CHARACTER_SET = "ISO_IR 192"
"""UTF-8, which is required by units, the names of sources and the names of patients."""

_SHORT_HASH, _MAX_SERIAL_NUMBER = 12, 64  # characters


def build_equipment(study: StudyResult) -> dict[str, Any]:
    """Build the equipment attributes: manufacturer, model, version, and serial number.

    The serial number consists of the shortened hashes of the checkpoints.
    """
    hashes = "+".join(model.sha256[:_SHORT_HASH] for model in study.models)
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": SOFTWARE,
        "software_versions": __version__,
        "device_serial_number": hashes[:_MAX_SERIAL_NUMBER],
    }


def build_seg_algorithm(study: StudyResult) -> AlgorithmIdentificationSequence:
    """Build the algorithm identification of a segment, which lists every checkpoint with its hash."""
    parameters = {f"checkpoint_{number}": text for number, text in enumerate(_checkpoints(study), start=1)}
    family = codes.cid7162.ArtificialIntelligence
    return AlgorithmIdentificationSequence(SOFTWARE, family, __version__, source=MANUFACTURER, parameters=parameters)


def build_sr_algorithm(study: StudyResult) -> AlgorithmIdentification:
    """Build the algorithm identification of a measurement group, which lists every checkpoint with its hash."""
    return AlgorithmIdentification(SOFTWARE, __version__, parameters=_checkpoints(study), manufacturer=MANUFACTURER)


def build_observer(study: StudyResult) -> DeviceObserverIdentifyingAttributes:
    """Build the device observer of a report. Its UID is the same for the same checkpoints and version."""
    return DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[SOFTWARE, __version__, *_checkpoints(study)]),
        name=SOFTWARE,
        manufacturer_name=MANUFACTURER,
        model_name=f"{SOFTWARE} {__version__}",
    )


def _checkpoints(study: StudyResult) -> list[str]:
    return [f"{model.name} sha256:{model.sha256}" for model in study.models]
