"""All measures that a view of a slice allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from lss_lightning.stenosis.canal import canal_area, canal_depth
from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, longest_chord
from lss_lightning.stenosis.distances import LEFTWARDS, RIGHTWARDS, disc_bulge, foraminal_gap
from lss_lightning.stenosis.measurements import Reading
from lss_lightning.stenosis.view import SliceView

Taken: TypeAlias = tuple[str, Reading | str]
"""A measure's name, and its reading or why there is none."""


def take_readings(view: SliceView, *, mirrored: bool) -> Iterator[Taken]:
    """Measure whatever the structures found allow, without the ratios.

    Args:
        view: The structures in their own axes.
        mirrored: Whether the image's left is the patient's left.
    """
    yield "disc_area_mm2", Reading(view.disc.area)
    yield "disc_ap_mm", longest_chord(view.disc, ALONG_V)
    if view.sac is not None:
        yield "sac_ap_mm", longest_chord(view.sac, ALONG_V)
        yield "sac_transverse_mm", longest_chord(view.sac, ALONG_U)
    if view.posterior is None:
        return
    yield "bulge_mm", disc_bulge(view.disc) or "no ellipse fits the disc's anterior two thirds"
    if view.sac is None or view.content is None:
        return
    depths = canal_depth(view.disc, view.posterior, view.sac, view.content) or (None, None)
    for name, depth in zip(("canal_ap_mm", "canal_ap_min_mm"), depths, strict=True):
        yield name, depth or "no disc lies in front of the thecal sac"
    area = canal_area(view.posterior, view.sac, view.content)
    yield "canal_area_mm2", area or "the posterior element does not lie to both sides of the thecal sac"
    for name, side in (("foramen_left_mm", RIGHTWARDS), ("foramen_right_mm", LEFTWARDS)):
        gap = foraminal_gap(view.disc, view.posterior, view.sac, view.aap, -side if mirrored else side)
        yield name, gap or "no AAP lies between disc and posterior element on this side"
