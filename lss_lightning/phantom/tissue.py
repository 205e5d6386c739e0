"""Tissues and their signals, from the spin-echo equation and measured relaxation times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lss_lightning.phantom.shapes import FloatArray


class Tissue(IntEnum):
    """The tissues of the body."""

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
    """The relaxation properties of a tissue.

    Attributes:
        t1: T1 relaxation time, ms.
        t2: T2 relaxation time, ms.
        density: Proton density, percent of that of fat.
    """

    t1: float
    t2: float
    density: float


@dataclass(frozen=True)
class PulseSequence:
    """A spin-echo sequence.

    Attributes:
        repetition_time: Repetition time, ms.
        echo_time: Echo time, ms.
    """

    repetition_time: float
    echo_time: float


T1_WEIGHTED = PulseSequence(repetition_time=600, echo_time=12)
T2_WEIGHTED = PulseSequence(repetition_time=4000, echo_time=100)

# Measured values at 1.5 T. Those of the nucleus depend on its hydration, from desiccated (0) to normal (1).
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
    # The following values are assumed, for fibrous tissue between ligament and a desiccated nucleus, cartilage with a
    # little fluid, dermis, flowing blood (mostly without signal), and bowel with its contents.
    Tissue.ANNULUS: Relaxation(620, 32, 52),
    Tissue.JOINT: Relaxation(1000, 55, 60),
    Tissue.SKIN: Relaxation(700, 30, 60),
    Tissue.BLOOD: Relaxation(1400, 60, 14),
    Tissue.BOWEL: Relaxation(900, 65, 70),
}

FAT_SHARE = np.zeros(len(Tissue), dtype=np.float32)
"""Share of each tissue's signal that comes from fat protons, float32 indexed by :class:`Tissue`."""
FAT_SHARE[Tissue.FAT] = 1.0
# Assumed: about half of adult lumbar marrow and a fifth of the dermis.
FAT_SHARE[Tissue.MARROW] = 0.5
FAT_SHARE[Tissue.SKIN] = 0.2


def compute_spin_echo(relaxation: Relaxation, sequence: PulseSequence) -> float:
    """Return the signal PD (1 − e^(−TR/T1)) e^(−TE/T2), in percent of the proton density of fat."""
    recovered = 1 - np.exp(-sequence.repetition_time / relaxation.t1)
    return float(relaxation.density * recovered * np.exp(-sequence.echo_time / relaxation.t2))


def build_signal_table(sequence: PulseSequence, hydration: float) -> FloatArray:
    """Return the signal of every tissue relative to that of fat.

    Args:
        sequence: The pulse sequence.
        hydration: Hydration of the disc's nucleus, 0 (desiccated) to 1 (normal).

    Returns:
        float32 array of shape (number of tissues,), indexed by :class:`Tissue`. The value of fat is 1.
    """
    fat = compute_spin_echo(_RELAXATION[Tissue.FAT], sequence)
    table = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, relaxation in _RELAXATION.items():
        table[tissue] = compute_spin_echo(relaxation, sequence) / fat
    stages = [compute_spin_echo(relaxation, sequence) / fat for relaxation in _NUCLEUS.values()]
    table[Tissue.NUCLEUS] = np.interp(hydration, list(_NUCLEUS), stages)
    return table
