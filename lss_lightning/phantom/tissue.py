"""Tissues and the signal they give: the spin-echo equation over measured relaxation times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lss_lightning.phantom.shapes import Floats


class Tissue(IntEnum):
    """What a point of the body is made of."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    LIGAMENT = 3
    CORTEX = 4
    MARROW = 5
    ANNULUS = 6
    NUCLEUS = 7
    CSF = 8
    ROOT = 9
    JOINT = 10
    SKIN = 11
    BLOOD = 12
    BOWEL = 13


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times in ms and proton density in percent of fat's."""

    t1: float
    t2: float
    density: float


@dataclass(frozen=True)
class PulseSequence:
    """A spin-echo sequence: repetition and echo time in ms."""

    repetition: float
    echo: float


T1_WEIGHTED = PulseSequence(repetition=600, echo=12)
T2_WEIGHTED = PulseSequence(repetition=4000, echo=100)

# At 1.5 T. The nucleus runs from desiccated (0) to normal (1); its two ends and the middle are measured.
_NUCLEUS = {0.0: Relaxation(554, 56, 47.6), 0.5: Relaxation(723, 67, 60.8), 1.0: Relaxation(1165, 102, 78.9)}
_RELAXATION = {
    Tissue.AIR: Relaxation(1, 1, 0),
    Tissue.FAT: Relaxation(290, 165, 100),
    Tissue.MUSCLE: Relaxation(932, 36, 80),
    Tissue.LIGAMENT: Relaxation(800, 20, 50),
    Tissue.CORTEX: Relaxation(1, 1, 0),
    Tissue.MARROW: Relaxation(515, 101, 91.1),
    Tissue.CSF: Relaxation(4273, 1578, 107.5),
    Tissue.ROOT: Relaxation(780, 102, 58.7),
    # Assumed: fibrous tissue, between ligament and a desiccated nucleus; cartilage with a little fluid; dermis;
    # flowing blood, mostly without signal; bowel and its content.
    Tissue.ANNULUS: Relaxation(620, 32, 52),
    Tissue.JOINT: Relaxation(1000, 55, 60),
    Tissue.SKIN: Relaxation(700, 30, 60),
    Tissue.BLOOD: Relaxation(1400, 60, 14),
    Tissue.BOWEL: Relaxation(900, 65, 70),
}

FAT_SHARE = np.zeros(len(Tissue), dtype=np.float32)
"""Share of each tissue's signal that comes from fat's protons, indexed by :class:`Tissue`."""
FAT_SHARE[Tissue.FAT] = 1.0
# Adults' lumbar marrow is about half fat; dermis a little. Assumed.
FAT_SHARE[Tissue.MARROW] = 0.5
FAT_SHARE[Tissue.SKIN] = 0.2


def spin_echo(relaxation: Relaxation, sequence: PulseSequence) -> float:
    """Signal PD (1 − e^(−TR/T1)) e^(−TE/T2), in percent of fat's proton density."""
    recovered = 1 - np.exp(-sequence.repetition / relaxation.t1)
    return float(relaxation.density * recovered * np.exp(-sequence.echo / relaxation.t2))


def signal_table(sequence: PulseSequence, hydration: float) -> Floats:
    """Signal of every tissue relative to fat's.

    Args:
        sequence: The sequence.
        hydration: Of the disc's nucleus, 0 (desiccated) to 1 (normal).

    Returns:
        Float32 of shape (tissues,), indexed by :class:`Tissue`; fat is 1.
    """
    fat = spin_echo(_RELAXATION[Tissue.FAT], sequence)
    table = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, relaxation in _RELAXATION.items():
        table[tissue] = spin_echo(relaxation, sequence) / fat
    stages = [spin_echo(relaxation, sequence) / fat for relaxation in _NUCLEUS.values()]
    table[Tissue.NUCLEUS] = np.interp(hydration, list(_NUCLEUS), stages)
    return table
