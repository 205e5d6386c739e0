"""The phantom's truth: right on shapes measured by hand, whatever way they lie, and what the labels show."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shapely import MultiPolygon, Point, Polygon, box
from shapely.affinity import rotate, scale, translate

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice, write_phantom
from lss_lightning.phantom.patient import LEVELS, RandomStream, generator, sample_subject
from lss_lightning.phantom.regions import TissueRegions, class_regions
from lss_lightning.phantom.spine import sample_spine
from lss_lightning.phantom.truth import bulge, longest_chord, principal_axis, true_measures

MEASURES = {
    "canal_ap_mm",
    "canal_ap_min_mm",
    "sac_ap_mm",
    "sac_transverse_mm",
    "sac_area_mm2",
    "canal_area_mm2",
    "disc_area_mm2",
    "disc_ap_mm",
    "sac_disc_area_ratio",
    "sac_disc_ap_ratio",
    "sac_canal_area_ratio",
    "foramen_left_mm",
    "foramen_right_mm",
    "bulge_mm",
}


def ellipse(a: float, b: float, x: float = 0.0, y: float = 0.0) -> Polygon:
    return translate(scale(Point(0, 0).buffer(1, quad_segs=256), a, b), x, y)


@pytest.fixture
def blocks() -> TissueRegions:
    """An elliptic disc, 48 × 34 mm; 6 mm behind it, a posterior element with a notch for a rectangular sac.

    The posterior element's front lies at y = 23 on the image's left and 22 on its right of the notch, which is 32 deep
    and runs from x = -9 to 8; the sac is 12 × 9 mm, from y = 18.
    """
    sac = box(-6, 18, 6, 27)
    posterior = Polygon([(-25, 24), (-9, 23), (-9, 32), (8, 32), (8, 22), (25, 22), (25, 45), (-25, 45)])
    disc = ellipse(24, 17)
    between = box(-30, 0, 30, 32).difference(disc.union(posterior).union(sac))
    return TissueRegions(disc, posterior, sac, MultiPolygon([between]))


def test_measures_of_blocks_are_those_computed_by_hand(blocks: TissueRegions) -> None:
    measures = true_measures(blocks)
    assert measures.keys() == MEASURES
    assert measures["canal_ap_mm"] == pytest.approx(32 - 17, abs=1e-3)
    assert measures["canal_ap_min_mm"] == pytest.approx(32 - 17, abs=1e-3)
    assert measures["sac_ap_mm"] == pytest.approx(9)
    assert measures["sac_transverse_mm"] == pytest.approx(12)
    assert measures["sac_area_mm2"] == pytest.approx(108)
    assert measures["disc_area_mm2"] == pytest.approx(np.pi * 24 * 17, rel=1e-4)
    assert measures["disc_ap_mm"] == pytest.approx(34, rel=1e-4)
    # The sac's centroid lies at y = 22.5: on the right the wall beside it is x = 8; on the left the posterior element
    # begins behind it, foremost at x = -9.
    strip = box(-9, 0, 8, 32).difference(blocks.disc.union(blocks.posterior))
    assert measures["canal_area_mm2"] == pytest.approx(strip.area, rel=1e-6)
    # Lateral to the sac, the gap runs from the disc's curve at about x = ±8.5 to the corners of the notch.
    assert measures["foramen_right_mm"] == pytest.approx(23 - 17 * np.sqrt(1 - (9 / 24) ** 2), abs=0.45)
    assert measures["foramen_left_mm"] == pytest.approx(22 - 17 * np.sqrt(1 - (8 / 24) ** 2), abs=0.35)
    assert measures["foramen_right_mm"] == pytest.approx(blocks.disc.distance(Point(-9, 23)), abs=1e-6)
    assert measures["foramen_left_mm"] == pytest.approx(blocks.disc.distance(Point(8, 22)), abs=1e-6)
    assert measures["bulge_mm"] == pytest.approx(0, abs=1e-3)
    assert measures["sac_disc_area_ratio"] == pytest.approx(108 / (np.pi * 24 * 17), rel=1e-4)
    assert measures["sac_disc_ap_ratio"] == pytest.approx(9 / 34, rel=1e-4)
    assert measures["sac_canal_area_ratio"] == pytest.approx(108 / strip.area, rel=1e-6)


def test_the_least_canal_depth_is_looked_for_near_the_midline_only(blocks: TissueRegions) -> None:
    near, far = (replace(blocks, posterior=blocks.posterior.union(box(x, 30, x + 0.5, 32))) for x in (2.0, 3.2))
    assert true_measures(near)["canal_ap_min_mm"] == pytest.approx(30 - 17 * np.sqrt(1 - (2.0 / 24) ** 2), abs=0.02)
    assert true_measures(near)["canal_ap_mm"] == pytest.approx(15, abs=1e-3)
    assert true_measures(far)["canal_ap_min_mm"] == pytest.approx(15, abs=1e-3)


def test_a_bulge_is_what_the_rear_has_more_than_the_fronts_ellipse() -> None:
    rear = ellipse(24, 20).intersection(box(-30, 10, 30, 30))
    assert bulge(ellipse(24, 17).union(rear)) == pytest.approx(3, abs=0.02)


def test_the_longest_chord_may_lie_off_the_centre() -> None:
    tall = box(0, 0, 10, 4).union(box(7, -3, 8, 6))
    assert longest_chord(tall, 1) == pytest.approx(9)
    assert longest_chord(tall, 0) == pytest.approx(10)
    # Two pieces do not make one chord.
    assert longest_chord(MultiPolygon([box(0, 0, 1, 4), box(0, 5, 1, 8)]), 1) == pytest.approx(4)


def test_the_principal_axis_is_the_long_one_and_points_right() -> None:
    for degrees in (-40, 0, 25):
        axis = principal_axis(rotate(ellipse(24, 17), degrees))
        assert np.degrees(np.arctan2(axis[1], axis[0])) == pytest.approx(degrees, abs=0.01)


def drawn(level: str, patient: int = 3) -> TissueRegions:
    return class_regions(
        sample_spine(sample_subject(2, patient, level), generator(2, patient, level, RandomStream.ANATOMY))
    )


@pytest.mark.parametrize("level", LEVELS)
def test_measures_do_not_depend_on_how_the_patient_lies(level: str) -> None:
    regions = drawn(level)
    lying = TissueRegions(*(translate(rotate(region, 7, origin=(0, 0)), 5, -9) for region in ordered(regions)))
    assert true_measures(lying) == pytest.approx(true_measures(regions), rel=2e-3, abs=0.02)


def test_a_mirror_image_swaps_the_sides_alone() -> None:
    regions = drawn("D4", patient=5)
    mirrored = TissueRegions(*(scale(region, -1, 1, origin=(0, 0)) for region in ordered(regions)))
    measures, swapped = true_measures(regions), true_measures(mirrored)
    assert abs(measures["foramen_left_mm"] - measures["foramen_right_mm"]) > 0.3
    swapped["foramen_left_mm"], swapped["foramen_right_mm"] = swapped["foramen_right_mm"], swapped["foramen_left_mm"]
    assert swapped == pytest.approx(measures, rel=2e-3, abs=0.02)


def ordered(regions: TissueRegions) -> list[Polygon | MultiPolygon]:
    return [regions.disc, regions.posterior, regions.sac, regions.aap]


def test_labels_show_the_truth_to_within_the_raster() -> None:
    size = 192
    pixel = 220 / size
    errors = []
    for patient in range(1, 9):
        rendered = render_slice(4, patient, "D4", size)
        sac = rendered.label == LUMBAR.keys.index("thecal_sac")
        disc = rendered.label == LUMBAR.keys.index("intervertebral_disc")
        truth = {key: float(value) for key, value in rendered.truth.items() if key in MEASURES}
        turn = np.radians(float(rendered.truth["spine_turn_deg"]))
        rows = np.nonzero(sac)[0] * np.cos(turn) - np.nonzero(sac)[1] * np.sin(turn)
        errors.append(
            (
                sac.sum() * pixel**2 - truth["sac_area_mm2"],
                (rows.max() - rows.min() + 1) * pixel - truth["sac_ap_mm"],
                disc.sum() * pixel**2 / truth["disc_area_mm2"] - 1,
            )
        )
    area, depth, disc_share = np.array(errors).T
    # A boundary pixel is off by 0.29 pixels (SD); some forty of them partly cancel.
    assert np.abs(area).max() < 7
    assert abs(area.mean()) < 3
    assert np.abs(depth).max() < 1.5 * pixel
    assert np.abs(disc_share).max() < 0.01


def test_truth_csv_has_a_row_per_slice_that_the_slice_alone_repeats(tmp_path: Path) -> None:
    write_phantom(tmp_path / "set", patients=2, image_size=64, seed=5, workers=1)
    with (tmp_path / "set" / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["patient"], row["level"]) for row in rows] == [(p, v) for p in ("0001", "0002") for v in LEVELS]
    for row in rows:
        alone = render_slice(5, int(row["patient"]), row["level"], 64).truth
        assert row.keys() == alone.keys()
        for key, value in alone.items():
            assert row[key] == value if isinstance(value, str) else float(row[key]) == pytest.approx(value, abs=1e-6)
    assert rows[0].keys() > MEASURES | {"severity", "site", "t2_dx_mm", "t2_dy_mm", "t2_turn_deg"}
    assert {row["site"] for row in rows} <= {"none", "central", "left", "right"}
    subject = sample_subject(5, 2, "D4")
    spine = sample_spine(subject, generator(5, 2, "D4", RandomStream.ANATOMY))
    assert float(rows[4]["severity"]) == pytest.approx(subject.severity, abs=1e-6)
    assert float(rows[4]["fat_mm"]) == pytest.approx(subject.fat, abs=1e-6)
    assert float(rows[4]["image_right_flavum_mm"]) == pytest.approx(spine.sides[1].flavum, abs=1e-6)
