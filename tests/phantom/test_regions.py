"""Tests of the regions of the anatomical classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from shapely import unary_union

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.phantom.patient import RandomStream, make_generator, sample_patient
from lss_lightning.phantom.regions import build_regions
from lss_lightning.phantom.spine import sample_spine


def test_sac_larger_than_the_canal_is_refused() -> None:
    spine = sample_spine(sample_patient(2, 1, "D4"), make_generator(2, 1, "D4", RandomStream.ANATOMY))
    with pytest.raises(UserError, match=r"impossible anatomy: a thecal sac of .* larger than the canal"):
        build_regions(replace(spine, sac=spine.sac.with_area(1.5 * spine.sac.area)))


def test_regions_are_disjoint_and_touch_as_in_the_annotations() -> None:
    for level in ALKAFRI_LEVELS:
        spine = sample_spine(sample_patient(2, 3, level), make_generator(2, 3, level, RandomStream.ANATOMY))
        regions = build_regions(spine)
        shapes = [region for _, region in regions.items()]
        assert unary_union(shapes).area == pytest.approx(sum(shape.area for shape in shapes), abs=1e-6)
        assert regions.sac.distance(regions.posterior) < 1.6
        # The AAP extends behind the sac and laterally to both posterior corners of the disc.
        left, _, right, back = regions.aap.bounds
        assert back > regions.sac.bounds[3]
        assert min(-left, right) > 0.7 * spine.disc.a
