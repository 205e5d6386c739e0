"""Tests of the phantom's truth: hand-computed shapes, invariance, and agreement with the labels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely import MultiPolygon, Point, Polygon, box
from shapely.affinity import rotate, scale, translate

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice, write_phantom
from lss_lightning.phantom.patient import RandomStream, make_generator, sample_patient
from lss_lightning.phantom.regions import TissueRegions, build_regions
from lss_lightning.phantom.spine import sample_spine
from lss_lightning.phantom.truth import (
    compute_principal_axis,
    compute_true_measurements,
    true_bulge,
    true_longest_chord,
)

MEASUREMENT_NAMES = {
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
    """An elliptic disc of 48 × 34 mm and, 6 mm behind it, a posterior element with a notch for a rectangular sac.

    The front of the posterior element is at y = 23 to the image's left of the notch and at y = 22 to its right. The
    notch extends to y = 32 and from x = -9 to 8. The sac is 12 × 9 mm and begins at y = 18.
    """
    sac = box(-6, 18, 6, 27)
    posterior = Polygon([(-25, 24), (-9, 23), (-9, 32), (8, 32), (8, 22), (25, 22), (25, 45), (-25, 45)])
    disc = ellipse(24, 17)
    between: Any = box(-30, 0, 30, 32).difference(disc.union(posterior).union(sac))
    return TissueRegions(disc, posterior, sac, MultiPolygon([between]))


def test_measurements_of_blocks_match_hand_computed_values(blocks: TissueRegions) -> None:
    measurements = compute_true_measurements(blocks)
    assert measurements.keys() == MEASUREMENT_NAMES
    assert measurements["canal_ap_mm"] == pytest.approx(32 - 17, abs=1e-3)
    assert measurements["canal_ap_min_mm"] == pytest.approx(32 - 17, abs=1e-3)
    assert measurements["sac_ap_mm"] == pytest.approx(9)
    assert measurements["sac_transverse_mm"] == pytest.approx(12)
    assert measurements["sac_area_mm2"] == pytest.approx(108)
    assert measurements["disc_area_mm2"] == pytest.approx(np.pi * 24 * 17, rel=1e-4)
    assert measurements["disc_ap_mm"] == pytest.approx(34, rel=1e-4)
    # The sac's centroid is at y = 22.5. On the right the wall at this height is at x = 8. On the left the posterior
    # element begins further back, and its foremost point is at x = -9.
    strip = box(-9, 0, 8, 32).difference(blocks.disc.union(blocks.posterior))
    assert measurements["canal_area_mm2"] == pytest.approx(strip.area, rel=1e-6)
    # Lateral to the sac, the shortest distance is from the disc at about x = ±8.5 to the corners of the notch.
    assert measurements["foramen_right_mm"] == pytest.approx(23 - 17 * np.sqrt(1 - (9 / 24) ** 2), abs=0.45)
    assert measurements["foramen_left_mm"] == pytest.approx(22 - 17 * np.sqrt(1 - (8 / 24) ** 2), abs=0.35)
    assert measurements["foramen_right_mm"] == pytest.approx(blocks.disc.distance(Point(-9, 23)), abs=1e-6)
    assert measurements["foramen_left_mm"] == pytest.approx(blocks.disc.distance(Point(8, 22)), abs=1e-6)
    assert measurements["bulge_mm"] == pytest.approx(0, abs=1e-3)
    assert measurements["sac_disc_area_ratio"] == pytest.approx(108 / (np.pi * 24 * 17), rel=1e-4)
    assert measurements["sac_disc_ap_ratio"] == pytest.approx(9 / 34, rel=1e-4)
    assert measurements["sac_canal_area_ratio"] == pytest.approx(108 / strip.area, rel=1e-6)


def test_smallest_canal_depth_is_searched_only_near_the_midline(blocks: TissueRegions) -> None:
    posteriors: list[Any] = [blocks.posterior.union(box(x, 30, x + 0.5, 32)) for x in (2.0, 3.2)]
    near, far = (replace(blocks, posterior=posterior) for posterior in posteriors)
    assert compute_true_measurements(near)["canal_ap_min_mm"] == pytest.approx(
        30 - 17 * np.sqrt(1 - (2.0 / 24) ** 2), abs=0.02
    )
    assert compute_true_measurements(near)["canal_ap_mm"] == pytest.approx(15, abs=1e-3)
    assert compute_true_measurements(far)["canal_ap_min_mm"] == pytest.approx(15, abs=1e-3)


def test_bulge_is_the_extent_beyond_the_ellipse_of_the_front() -> None:
    rear = ellipse(24, 20).intersection(box(-30, 10, 30, 30))
    assert true_bulge(ellipse(24, 17).union(rear)) == pytest.approx(3, abs=0.02)


def test_longest_chord_need_not_pass_through_the_centre() -> None:
    tall = box(0, 0, 10, 4).union(box(7, -3, 8, 6))
    assert true_longest_chord(tall, 1) == pytest.approx(9)
    assert true_longest_chord(tall, 0) == pytest.approx(10)
    # A chord does not span two parts.
    assert true_longest_chord(MultiPolygon([box(0, 0, 1, 4), box(0, 5, 1, 8)]), 1) == pytest.approx(4)


def test_principal_axis_is_the_longest_and_points_right() -> None:
    for degrees in (-40, 0, 25):
        axis = compute_principal_axis(rotate(ellipse(24, 17), degrees))
        assert np.degrees(np.arctan2(axis[1], axis[0])) == pytest.approx(degrees, abs=0.01)


def draw_regions(level: str, patient_id: int = 3) -> TissueRegions:
    rng = make_generator(2, patient_id, level, RandomStream.ANATOMY)
    return build_regions(sample_spine(sample_patient(2, patient_id, level), rng))


@pytest.mark.parametrize("level", ALKAFRI_LEVELS)
def test_measurements_do_not_depend_on_the_patients_position(level: str) -> None:
    regions = draw_regions(level)
    moved = TissueRegions(*(translate(rotate(region, 7, origin=(0, 0)), 5, -9) for region in list_regions(regions)))
    assert compute_true_measurements(moved) == pytest.approx(compute_true_measurements(regions), rel=2e-3, abs=0.02)


def test_mirror_image_swaps_only_the_sides() -> None:
    regions = draw_regions("D4", patient_id=5)
    mirrored = TissueRegions(*(scale(region, -1, 1, origin=(0, 0)) for region in list_regions(regions)))
    measurements, swapped = compute_true_measurements(regions), compute_true_measurements(mirrored)
    assert abs(measurements["foramen_left_mm"] - measurements["foramen_right_mm"]) > 0.3
    swapped["foramen_left_mm"], swapped["foramen_right_mm"] = swapped["foramen_right_mm"], swapped["foramen_left_mm"]
    assert swapped == pytest.approx(measurements, rel=2e-3, abs=0.02)


def list_regions(regions: TissueRegions) -> list[Any]:
    return [regions.disc, regions.posterior, regions.sac, regions.aap]


def test_labels_agree_with_the_truth_within_the_raster() -> None:
    size = 192
    pixel = 220 / size
    errors = []
    for patient_id in range(1, 9):
        rendered = render_slice(4, patient_id, "D4", size)
        sac = rendered.label == LUMBAR.keys.index("thecal_sac")
        disc = rendered.label == LUMBAR.keys.index("intervertebral_disc")
        truth = {key: float(value) for key, value in rendered.truth.items() if key in MEASUREMENT_NAMES}
        rotation = np.radians(float(rendered.truth["spine_turn_deg"]))
        rows = np.nonzero(sac)[0] * np.cos(rotation) - np.nonzero(sac)[1] * np.sin(rotation)
        errors.append(
            (
                sac.sum() * pixel**2 - truth["sac_area_mm2"],
                (rows.max() - rows.min() + 1) * pixel - truth["sac_ap_mm"],
                disc.sum() * pixel**2 / truth["disc_area_mm2"] - 1,
            )
        )
    area, depth, disc_share = np.array(errors).T
    # Each boundary pixel has an error of 0.29 pixels (SD), and the errors of about forty of them partly cancel.
    assert np.abs(area).max() < 7
    assert abs(area.mean()) < 3
    assert np.abs(depth).max() < 1.5 * pixel
    assert np.abs(disc_share).max() < 0.01


def test_truth_csv_has_the_truth_of_every_rendered_slice(tmp_path: Path) -> None:
    write_phantom(tmp_path / "set", patients=2, image_size=64, seed=5, workers=1)
    with (tmp_path / "set" / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["patient"], row["level"]) for row in rows] == [
        (patient, level) for patient in ("0001", "0002") for level in ALKAFRI_LEVELS
    ]
    for row in rows:
        truth = render_slice(5, int(row["patient"]), row["level"], 64).truth
        assert row.keys() == truth.keys()
        for key, value in truth.items():
            assert row[key] == value if isinstance(value, str) else float(row[key]) == pytest.approx(value, abs=1e-6)
    assert rows[0].keys() > MEASUREMENT_NAMES | {"severity", "site", "t2_dx_mm", "t2_dy_mm", "t2_turn_deg"}
    assert {row["site"] for row in rows} <= {"none", "central", "left", "right"}
    patient = sample_patient(5, 2, "D4")
    spine = sample_spine(patient, make_generator(5, 2, "D4", RandomStream.ANATOMY))
    assert float(rows[4]["severity"]) == pytest.approx(patient.severity, abs=1e-6)
    assert float(rows[4]["fat_mm"]) == pytest.approx(patient.fat_thickness, abs=1e-6)
    assert float(rows[4]["image_right_flavum_mm"]) == pytest.approx(spine.sides[1].flavum, abs=1e-6)
