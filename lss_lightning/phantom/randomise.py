"""Domain randomisation: unrealistic acquisitions, from which a network learns shape rather than signal.

As in SynthSeg (Billot et al., *Medical Image Analysis* 86, 2023), tissue signals, bias field, resolution and artefacts
are drawn from wide uniform distributions. The anatomy and therefore the labels do not change.
"""

from __future__ import annotations

import numpy as np

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.phantom.encoding import Encoding
from lss_lightning.phantom.scanner import Acquisition, Coil, SaturationBand
from lss_lightning.phantom.texture import Texture


def sample_randomised_acquisition(disc_front: float, spacing: float, rng: np.random.Generator) -> Acquisition:
    """Sample randomised acquisition parameters.

    Args:
        disc_front: Row of the disc's anterior margin, in mm from the image centre.
        spacing: Pixel spacing, mm.
        rng: Random generator.
    """
    has_band = rng.random() < 0.6
    grain = float(rng.uniform(15, 60))
    return Acquisition(
        coil=Coil(gain=rng.uniform(0, 5), depth=rng.uniform(20, 120), bias=tuple(rng.uniform(-0.2, 0.2, 4))),
        band=SaturationBand(
            edge=disc_front - rng.uniform(-12, 60) if has_band else -2 * FIELD_OF_VIEW,
            width=rng.uniform(0.5, 15.0),
            floor=rng.uniform(0, 0.4),
        ),
        encoding=Encoding(
            readout=int(rng.integers(2)),
            chemical_shift=rng.uniform(-2.5, 2.5),
            moved_lines=rng.uniform(0, 0.3),
            motion_shift=(rng.normal(0, 1.5), rng.normal(0, 1.5)),
            blur=rng.uniform(0, 1.2) / spacing,
            noise=rng.uniform(0, 0.15),
        ),
        slopes=(Texture(rng, (grain, grain)), Texture(rng, (grain, grain))),
        slope_factor=rng.uniform(0, 0.6),
        mottle=rng.uniform(0, 0.2),
        # From the true signals (0) to random ones (1).
        signal_randomisation=rng.uniform(0, 1),
        gamma=float(np.exp(rng.uniform(-0.6, 0.6))),
    )
