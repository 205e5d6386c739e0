"""The parameters of a patient and a spine as one flat record, for the columns of ``truth.csv``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from lss_lightning.phantom.arch import ArchSide
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import Blob, Capsule, Point
from lss_lightning.phantom.spine import Spine

ParameterRecord: TypeAlias = dict[str, float | str]
"""Values by column name. A name ends in its unit; a name without a unit is a share or a ratio."""


def list_patient_parameters(patient: Patient) -> ParameterRecord:
    """Return the parameters of a patient at a level."""
    return {
        "size": patient.size,
        "hydration": patient.hydration,
        "fat_mm": patient.fat_thickness,
        "infiltration": patient.infiltration,
        "trunk_half_width_mm": patient.half_width,
        "skin_groove_mm": patient.groove_depth,
        "spine_x_mm": patient.shift[0],
        "spine_y_mm": patient.shift[1],
        "spine_turn_deg": math.degrees(patient.rotation),
    }


def list_spine_parameters(spine: Spine) -> ParameterRecord:
    """Return the parameters of every shape of the spine, in the spine's frame.

    ``image_left`` is the side on the left of the image.
    """
    record = _list_blob("disc", spine.disc) | _list_blob("sac", spine.sac)
    for name, side in zip(("image_left", "image_right"), spine.sides, strict=True):
        record |= {f"{name}_{key}": value for key, value in _list_side(side).items()}
    for name, stroke in zip(("spinous_base", "spinous_tip"), spine.spinous, strict=True):
        record |= _list_capsule(name, stroke)
    angle, width = spine.foramen
    return record | {
        "foramen_reach_deg": math.degrees(angle),
        "foramen_fat_mm": width,
        "arch_padding_mm": spine.padding,
    }


def _list_side(side: ArchSide) -> ParameterRecord:
    nx, ny = side.wall.normal
    return (
        _list_blob("superior", side.superior)
        | {"superior_area_mm2": side.superior.area}
        | _list_blob("inferior", side.inferior)
        | _list_capsule("joint", side.joint)
        | _list_capsule("lamina", side.lamina)
        | {"flavum_mm": side.flavum, "gap_mm": side.gap, "wall_offset_mm": side.wall.offset}
        | {"wall_normal_deg": math.degrees(math.atan2(ny, nx))}
        | _list_point("flavum_front", side.front)
        | _list_blob("ganglion", side.ganglion)
    )


def _list_blob(name: str, blob: Blob) -> ParameterRecord:
    record: ParameterRecord = {
        "a_mm": blob.a,
        "b_mm": blob.b,
        "turn_deg": math.degrees(blob.rotation),
        "exponent": blob.exponent,
    }
    for k, harmonic in enumerate(blob.harmonics, start=1):
        record |= {f"harmonic{k}_order": harmonic.order, f"harmonic{k}_amplitude": harmonic.amplitude}
        record |= {f"harmonic{k}_phase_deg": math.degrees(harmonic.phase)}
    for k, bump in enumerate(blob.bumps, start=1):
        record |= {f"bump{k}_deg": math.degrees(bump.angle), f"bump{k}_height": bump.height}
        record |= {f"bump{k}_width_deg": math.degrees(bump.width)}
    return _add_prefix(name, _list_point("centre", blob.centre) | record)


def _list_capsule(name: str, capsule: Capsule) -> ParameterRecord:
    ends = _list_point("start", capsule.start) | _list_point("end", capsule.end)
    return _add_prefix(name, ends | {"start_radius_mm": capsule.start_radius, "end_radius_mm": capsule.end_radius})


def _list_point(name: str, point: Point) -> ParameterRecord:
    return {f"{name}_x_mm": point[0], f"{name}_y_mm": point[1]}


def _add_prefix(prefix: str, values: Mapping[str, float | str]) -> ParameterRecord:
    return {f"{prefix}_{key}": value for key, value in values.items()}
