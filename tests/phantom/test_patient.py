"""Tests of the virtual patient: the effect of the severity and the side of the stenosis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely import box

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.phantom.patient import RandomStream, StenosisSite, make_generator, sample_patient
from lss_lightning.phantom.regions import build_regions
from lss_lightning.phantom.severity import NARROWED_SEVERITY
from lss_lightning.phantom.shapes import compute_gap
from lss_lightning.phantom.spine import sample_spine


def test_severity_narrows_the_canal() -> None:
    cases = []
    for patient_id in range(1, 61):
        for level in ALKAFRI_LEVELS:
            patient = sample_patient(2, patient_id, level)
            spine = sample_spine(patient, make_generator(2, patient_id, level, RandomStream.ANATOMY))
            regions = build_regions(spine)
            halves = [regions.posterior.intersection(box(left, -99, left + 99, 99)) for left in (-99, 0)]
            gaps = [regions.disc.distance(half) for half in halves]
            bulge = spine.disc.outline[:, 1].max()
            flavum = np.mean([side.flavum for side in spine.sides])
            process = np.mean([side.superior.area for side in spine.sides]) / patient.size**2
            cases.append((patient.severity, regions.sac.area, np.mean(gaps), bulge, flavum, process))
            assert regions.sac.distance(regions.disc) < 2.4
            assert gaps == pytest.approx([side.gap for side in spine.sides], abs=0.3)
            assert abs(np.degrees(patient.rotation)) <= 5
    severity, area, gaps, bulge, flavum, process = np.array(cases).T
    # The regression line of each quantity against the severity, at severity 0 and 1.
    for quantity, start, end, tolerance in (
        (area, 190, 45, 8),
        (gaps, 7.0, 1.5, 0.5),
        (bulge, -0.5, 5.2, 0.8),
        (flavum, 3, 6, 0.2),
        (process, 98, 129, 2),
    ):
        slope, origin = np.polyfit(severity, quantity, 1)
        assert (origin, origin + slope) == pytest.approx((start, end), abs=tolerance)
        assert abs(np.corrcoef(severity, quantity)[0, 1]) > 0.9
    assert ((np.abs(area - 75) < 15) | (np.abs(area - 100) < 15)).mean() > 0.2


def test_severities_are_mapped_to_the_requested_range() -> None:
    for patient_id in range(1, 30):
        full, part = (sample_patient(2, patient_id, "D4", bounds) for bounds in ((0.0, 1.0), (0.5, 0.75)))
        assert part.severity == pytest.approx(0.5 + 0.25 * full.severity)
        assert part.size == full.size
    with pytest.raises(UserError, match=r"impossible anatomy: phantom severity is 1.2;"):
        replace(full, severity=1.2)


def test_stenosis_side_is_the_patients_side() -> None:
    gaps: dict[StenosisSite, list[float]] = {site: [] for site in StenosisSite}
    for patient_id in range(1, 81):
        patient = sample_patient(2, patient_id, "D4")
        spine = sample_spine(patient, make_generator(2, patient_id, "D4", RandomStream.ANATOMY))
        image_left, image_right = (compute_gap(side.superior, spine.disc) for side in spine.sides)
        gaps[patient.site].append(image_left - image_right)
        assert (patient.site is StenosisSite.NONE) == (patient.severity < NARROWED_SEVERITY)
    # In radiological orientation the image's right is the patient's left.
    assert np.mean(gaps[StenosisSite.LEFT]) > 0.8
    assert np.mean(gaps[StenosisSite.RIGHT]) < -0.8
    assert abs(np.mean(gaps[StenosisSite.CENTRAL])) < 0.4
    assert min(map(len, gaps.values())) > 5
