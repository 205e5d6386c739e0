"""A drawn patient as one flat record: what the truth names beside the measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from lss_lightning.phantom.arch import ArchSide
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import Blob, Capsule, Point
from lss_lightning.phantom.spine import Spine

ParameterRecord: TypeAlias = dict[str, float | str]


def subject_parameters(subject: Patient) -> ParameterRecord:
    """The patient at a level; the unit is in the name, a bare name is a share or a ratio."""
    return {
        "size": subject.size,
        "hydration": subject.hydration,
        "fat_mm": subject.fat,
        "infiltration": subject.infiltration,
        "trunk_half_width_mm": subject.width,
        "skin_groove_mm": subject.groove,
        "spine_x_mm": subject.shift[0],
        "spine_y_mm": subject.shift[1],
        "spine_turn_deg": math.degrees(subject.turn),
    }


def spine_parameters(spine: Spine) -> ParameterRecord:
    """Every shape of the spine, in the spine's frame; ``image_left`` is the side that the image shows on its left."""
    record = _blob("disc", spine.disc) | _blob("sac", spine.sac)
    for name, side in zip(("image_left", "image_right"), spine.sides, strict=True):
        record |= {f"{name}_{key}": value for key, value in _side(side).items()}
    for name, stroke in zip(("spinous_base", "spinous_tip"), spine.spinous, strict=True):
        record |= _capsule(name, stroke)
    reach, width = spine.foramen
    return record | {
        "foramen_reach_deg": math.degrees(reach),
        "foramen_fat_mm": width,
        "arch_padding_mm": spine.padding,
    }


def _side(side: ArchSide) -> ParameterRecord:
    nx, ny = side.wall.normal
    return (
        _blob("superior", side.superior)
        | {"superior_area_mm2": side.superior.area}
        | _blob("inferior", side.inferior)
        | _capsule("joint", side.joint)
        | _capsule("lamina", side.lamina)
        | {"flavum_mm": side.flavum, "gap_mm": side.gap, "wall_offset_mm": side.wall.offset}
        | {"wall_normal_deg": math.degrees(math.atan2(ny, nx))}
        | _point("flavum_front", side.front)
        | _blob("ganglion", side.ganglion)
    )


def _blob(name: str, blob: Blob) -> ParameterRecord:
    own: ParameterRecord = {
        "a_mm": blob.a,
        "b_mm": blob.b,
        "turn_deg": math.degrees(blob.turn),
        "exponent": blob.exponent,
    }
    for k, harmonic in enumerate(blob.harmonics, start=1):
        own |= {f"harmonic{k}_order": harmonic.order, f"harmonic{k}_amplitude": harmonic.amplitude}
        own |= {f"harmonic{k}_phase_deg": math.degrees(harmonic.phase)}
    for k, bump in enumerate(blob.bumps, start=1):
        own |= {f"bump{k}_deg": math.degrees(bump.angle), f"bump{k}_height": bump.height}
        own |= {f"bump{k}_width_deg": math.degrees(bump.width)}
    return _named(name, _point("centre", blob.centre) | own)


def _capsule(name: str, capsule: Capsule) -> ParameterRecord:
    ends = _point("start", capsule.start) | _point("end", capsule.end)
    return _named(name, ends | {"start_radius_mm": capsule.start_radius, "end_radius_mm": capsule.end_radius})


def _point(name: str, point: Point) -> ParameterRecord:
    return {f"{name}_x_mm": point[0], f"{name}_y_mm": point[1]}


def _named(name: str, values: Mapping[str, float | str]) -> ParameterRecord:
    return {f"{name}_{key}": value for key, value in values.items()}
