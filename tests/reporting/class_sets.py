"""Sets of classes of any size."""

from __future__ import annotations

from lss_lightning.labels import Label, LabelSet


def make_label_set(size: int) -> LabelSet:
    """Make a set of anatomical classes named ``Class 0``, ``Class 1`` and so on."""
    return LabelSet(tuple(Label(f"Class {i}", f"c{i}", f"C{i}", i, "#0072b2", anatomical=True) for i in range(size)))
