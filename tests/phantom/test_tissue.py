"""Tests of the tissues' signals."""

from __future__ import annotations

import pytest

from lss_lightning.phantom.tissue import FAT_SHARE, T1_WEIGHTED, T2_WEIGHTED, Tissue, build_signal_table


def test_signals_match_the_published_table() -> None:
    t1, t2 = build_signal_table(T1_WEIGHTED, hydration=1.0), build_signal_table(T2_WEIGHTED, hydration=1.0)
    table = {
        Tissue.FAT: (1.0, 1.0),
        Tissue.CSF: (0.17, 1.12),
        Tissue.ROOT: (0.34, 0.40),
        Tissue.NUCLEUS: (0.35, 0.52),
        Tissue.MARROW: (0.68, 0.62),
        Tissue.CORTEX: (0.0, 0.0),
    }
    for tissue, expected in table.items():
        assert (t1[tissue], t2[tissue]) == pytest.approx(expected, abs=0.02)
    assert build_signal_table(T2_WEIGHTED, hydration=0.0)[Tissue.NUCLEUS] == pytest.approx(0.14, abs=0.02)
    assert 0.08 < t2[Tissue.MUSCLE] < 0.15


def test_fat_share_is_1_for_fat_and_about_half_for_marrow() -> None:
    assert FAT_SHARE[Tissue.FAT] == 1
    assert 0.3 < FAT_SHARE[Tissue.MARROW] < 0.7
    assert FAT_SHARE[[Tissue.MUSCLE, Tissue.CSF, Tissue.ANNULUS, Tissue.NUCLEUS]].max() == 0
