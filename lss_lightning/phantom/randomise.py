"""Domain randomisation: acquisitions far beyond what any scanner does, so that a network learns shape, not signal.

After SynthSeg (Billot et al., *Medical Image Analysis* 86, 2023): tissue signals, bias field, resolution and artefacts
are drawn from wide uniform distributions. The anatomy, and so the labels, stay as they are.
"""

from __future__ import annotations

import numpy as np

from lss_lightning.phantom.canvas import FIELD_OF_VIEW
from lss_lightning.phantom.encoding import Encoding
from lss_lightning.phantom.scanner import Band, Coil, Exam
from lss_lightning.phantom.texture import Texture


def random_exam(disc_front: float, spacing: float, rng: np.random.Generator) -> Exam:
    """Draw an acquisition.

    Args:
        disc_front: Row of the disc's front in mm from the image's middle.
        spacing: Pixel, mm.
        rng: Source of the draws.
    """
    banded = rng.random() < 0.6
    grain = float(rng.uniform(15, 60))
    return Exam(
        coil=Coil(gain=rng.uniform(0, 5), depth=rng.uniform(20, 120), bias=tuple(rng.uniform(-0.2, 0.2, 4))),
        band=Band(
            edge=disc_front - rng.uniform(-12, 60) if banded else -2 * FIELD_OF_VIEW,
            width=rng.uniform(0.5, 15.0),
            floor=rng.uniform(0, 0.4),
        ),
        encoding=Encoding(
            readout=int(rng.integers(2)),
            chemical_shift=rng.uniform(-2.5, 2.5),
            moved_lines=rng.uniform(0, 0.3),
            jerk=(rng.normal(0, 1.5), rng.normal(0, 1.5)),
            blur=rng.uniform(0, 1.2) / spacing,
            noise=rng.uniform(0, 0.15),
        ),
        slopes=(Texture(rng, (grain, grain)), Texture(rng, (grain, grain))),
        steepness=rng.uniform(0, 0.6),
        mottle=rng.uniform(0, 0.2),
        # From the true signals through all mixtures to wholly random ones.
        estrangement=rng.uniform(0, 1),
        gamma=float(np.exp(rng.uniform(-0.6, 0.6))),
    )
