"""A spine of ellipses and straight lines with known measurements, and its label map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely import affinity

from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, SAC

SPACING = 0.6875
SIZE = 144
OTHER = LUMBAR.keys.index("other")
# Odd, so that the centre of a pixel is one of its samples.
_OVERSAMPLING = 5


def ellipse(x, y, a, b):
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    return shapely.Polygon(np.stack((x + a * np.cos(angle), y + b * np.sin(angle)), axis=1))


def rounded(shape, radius):
    return shape.buffer(-radius).buffer(radius, quad_segs=32)


@dataclass(frozen=True)
class Spine:
    """Parameters of a spine in mm; the middle of the disc's rear edge is at (0, 0), x to the right, y to the back."""

    sac_x: float = 0.0
    sac_a: float = 8.0
    sac_b: float = 5.0
    clearance: float = 1.0  # between disc and sac
    apex: float = 18.0  # where the laminae meet
    left: float = 3.0  # y of the facets' front edges in the left and right half of the image
    right: float = 3.0

    @cached_property
    def shapes(self):
        disc = ellipse(0, -18, 25, 18)
        sac = ellipse(self.sac_x, self.clearance + self.sac_b, self.sac_a, self.sac_b)
        arch = [(0, self.apex), (15, self.right), (26, self.right + 2), (22, 20), (4, 32), (3, 50)]
        arch += [(-3, 50), (-4, 32), (-22, 20), (-26, self.left + 2), (-15, self.left)]
        arch = rounded(shapely.Polygon(arch), 1.5)
        between = shapely.box(-24, -6, 24, self.apex).difference(shapely.union_all([disc, sac, arch]))
        aap = shapely.union_all([part for part in shapely.get_parts(between) if part.distance(sac) < 1e-9])
        return {DISC: disc, POSTERIOR: arch, SAC: sac, AAP: aap}

    @property
    def sac_y(self):
        return self.clearance + self.sac_b

    def disc_rear(self, x):
        return -18 + 18 * np.sqrt(1 - (x / 25) ** 2)

    def truth(self):
        """The true measurements; shapely computes only the distances between curves and the section of the canal."""
        shapes = self.shapes
        line = shapely.LineString([(self.sac_x, -10), (self.sac_x, 25)])
        front = line.intersection(shapes[POSTERIOR]).bounds[1]
        left = shapely.box(-40, -60, self.sac_x - self.sac_a, 60)
        right = shapely.box(self.sac_x + self.sac_a, -60, 40, 60)
        gaps = [
            shapes[DISC].intersection(side).distance(shapes[POSTERIOR].intersection(side)) for side in (left, right)
        ]
        sac, disc = np.pi * self.sac_a * self.sac_b, np.pi * 25 * 18
        return {
            "canal_ap_mm": front - self.disc_rear(self.sac_x),
            "sac_ap_mm": 2 * self.sac_b,
            "sac_transverse_mm": 2 * self.sac_a,
            "sac_area_mm2": sac,
            "disc_area_mm2": disc,
            "disc_ap_mm": 36.0,
            "sac_disc_area_ratio": sac / disc,
            "sac_disc_ap_ratio": self.sac_b / 18,
            "foramen_left_mm": gaps[1],
            "foramen_right_mm": gaps[0],
            "bulge_mm": 0.0,
        }


def fractions(shapes, spacing=(SPACING, SPACING), shape=(SIZE, SIZE), offset=(0.0, 0.0), turn=0.0, mirrored=False):
    """Fraction of every pixel that each class covers, (C, H, W); a later shape covers an earlier one.

    The origin of the shapes is at ``offset`` (x, y) in mm from the centre of the image; ``turn`` is in degrees,
    clockwise.
    """
    y, x = (
        ((np.arange(size * _OVERSAMPLING) + 0.5) / _OVERSAMPLING - size / 2) * pixel
        for size, pixel in zip(shape, spacing, strict=True)
    )
    samples = np.full((shape[0] * _OVERSAMPLING, shape[1] * _OVERSAMPLING), OTHER, dtype=np.uint8)
    for key in (key for key in (AAP, POSTERIOR, DISC, SAC) if key in shapes):
        moved = affinity.scale(shapes[key], -1, 1, origin=(0, 0)) if mirrored else shapes[key]
        moved = affinity.translate(affinity.rotate(moved, turn, origin=(0, 0)), *offset)
        shapely.prepare(moved)
        left, top, right, bottom = moved.bounds
        across, down = (slice(*np.searchsorted(axis, ends)) for axis, ends in ((x, (left, right)), (y, (top, bottom))))
        samples[down, across][shapely.contains_xy(moved, *np.meshgrid(x[across], y[down]))] = LUMBAR.keys.index(key)
    blocks = samples.reshape(shape[0], _OVERSAMPLING, shape[1], _OVERSAMPLING)
    return np.stack([(blocks == index).mean(axis=(1, 3), dtype=np.float32) for index in range(len(LUMBAR))])


def label_map(shapes, **placement):
    """Class that covers most of each pixel, (H, W), uint8."""
    return fractions(shapes, **placement).argmax(axis=0).astype(np.uint8)


def sample_spines(count, seed=0):
    """Yield random spines, from wide to narrow, each with a random placement."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        sac_b = rng.uniform(3.0, 6.5)
        spine = Spine(
            sac_x=rng.uniform(-1.5, 1.5),
            sac_a=sac_b * rng.uniform(1.3, 1.7),
            sac_b=sac_b,
            clearance=rng.uniform(0.5, 2.0),
            apex=rng.uniform(16, 22),
            left=rng.uniform(-1, 4),
            right=rng.uniform(-1, 4),
        )
        offset = (rng.uniform(-3, 3), rng.uniform(-8, -3))
        yield spine, {"offset": offset, "turn": rng.uniform(-12, 12)}
