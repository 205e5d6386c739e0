"""The vertebra above or below a disc in axial slices, as shapes in mm in the spine's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from lss_lightning.phantom.shapes import BACK, Blob, Bump, Capsule
from lss_lightning.phantom.spine import Spine

# Distance by which the disc extends beyond the vertebra's rim, mm.
_OVERHANG = 2.0


class SliceHeight(Enum):
    """The height at which a slice cuts the spine."""

    DISC = "disc"
    FORAMEN = "the lower part of the vertebra above, where the nerves leave below its pedicles"
    PEDICLE = "the upper part of the vertebra below, whose pedicles close the foramina"
    VEIN = "the middle of the vertebra below, where the basivertebral vein leaves it"


@dataclass(frozen=True)
class Vertebra:
    """A vertebral body with its pedicles and veins.

    Attributes:
        disc: The disc that the vertebra replaces in the slice.
        body: Outline of the vertebral body.
        pedicles: Bridges from the body to the articular processes. Empty below the pedicles.
        veins: The basivertebral vein: its posterior trunk and its two branches. Empty at other heights.
    """

    disc: Blob
    body: Blob
    pedicles: tuple[Capsule, ...]
    veins: tuple[Capsule, ...]


def build_vertebra(spine: Spine, height: SliceHeight) -> Vertebra:
    """Build the vertebra next to a disc, without the disc's overhang and bulge, and narrower at mid-height."""
    disc = spine.disc
    waist = 1.0 if height is SliceHeight.VEIN else 0.0
    margin = _OVERHANG + waist
    # The back of a vertebral body is flat to slightly hollow.
    hollow = Bump(BACK, -(1.0 + waist) / disc.b, 0.45)
    centre = disc.centre[0], disc.centre[1] - waist / 2
    body = replace(disc, centre=centre, a=disc.a - margin, b=disc.b - margin, bumps=(hollow, *disc.bumps[2:]))
    pedicles: tuple[Capsule, ...] = ()
    if height in (SliceHeight.PEDICLE, SliceHeight.VEIN):
        pedicles = tuple(
            Capsule((0.62 * side.superior.centre[0] + 0.2 * sign * body.a, -5.0), side.superior.centre, 4.2, 3.8)
            for sign, side in zip((-1, 1), spine.sides, strict=True)
        )
    veins: tuple[Capsule, ...] = ()
    if height is SliceHeight.VEIN:
        rear, fork = (0.0, -1.5), (0.0, centre[1] + 0.35 * body.b)
        tips = ((side * 0.3 * body.a, centre[1] - 0.05 * body.b) for side in (-1, 1))
        veins = (Capsule(rear, fork, 2.4, 1.2), *(Capsule(fork, tip, 1.1, 0.5) for tip in tips))
    return Vertebra(disc, body, pedicles, veins)
