"""A phantom study and its report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.study import write_study_report
from tests.browser import DESKTOP
from tests.reporting.studies import make_phantom_study, make_slice

SAC = LUMBAR.keys.index("thecal_sac")


@pytest.fixture(scope="package")
def study():
    """Three levels, the last without a thecal sac and with unknown sides, and a slice that is not measured."""
    study = make_phantom_study(160)
    third = study.slices[2]
    without_sac = np.where(third.classes == SAC, LUMBAR.keys.index("aap"), third.classes)
    incomplete = make_slice(third.name, third.level, without_sac, third.images, spacing=third.spacing, image_left=None)
    return replace(study, slices=(*study.slices[:2], incomplete, study.slices[3]))


@pytest.fixture(scope="package")
def report(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_study_report(study, path)
    return path


@pytest.fixture
def opened(report, open_page):
    return open_page(report, DESKTOP)
