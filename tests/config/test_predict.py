"""Tests of the settings of ``predict.py``."""

from __future__ import annotations

import pytest

from lss_lightning.config.predict import PredictConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError
from tests.conftest import compose_command


def build(*overrides: str) -> PredictConfig:
    cfg, _ = compose_command("predict", "ckpt_path=a.ckpt", "input=in", "output.folder=out", *overrides)
    return build_config(PredictConfig, cfg)


@pytest.mark.parametrize(
    ("override", "series"),
    [
        ("series=null", {}),
        ("series={t1: 5}", {"T1": "5"}),
        ("series={t1: 5, t2: t2_tse_tra}", {"T1": "5", "T2": "t2_tse_tra"}),
        ("series={t2: 1.2.840.113619.2}", {"T2": "1.2.840.113619.2"}),
        ("series={t2: 'Ax T2 FSE'}", {"T2": "Ax T2 FSE"}),
    ],
)
def test_series_are_numbers_uids_or_descriptions(override: str, series: dict[str, str]) -> None:
    assert build(override).series_by_kind == series


@pytest.mark.parametrize("override", ["series={t3: 5}", "series={t1: [5, 6]}", "series={t1: ''}", "series=5"])
def test_other_series_are_refused(override: str) -> None:
    with pytest.raises(UserError, match="series"):
        build(override)
