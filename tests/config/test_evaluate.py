from __future__ import annotations

import pytest

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError
from tests.config.conf_files import CHOICES, required_overrides
from tests.conftest import compose_command


@pytest.mark.parametrize(
    ("group", "name"),
    [choice for choice in CHOICES if choice[0] in ("data", "trainer", "logger", "paths", "hydra/job_logging")],
)
def test_every_file_of_its_groups_composes(group, name, tmp_path):
    cfg, hydra = compose_command(
        "evaluate", "ckpt_path=best.ckpt", f"{group}={name}", *required_overrides(group, name, tmp_path)
    )
    config = build_config(EvaluateConfig, cfg, given=frozenset())
    assert hydra.runtime.choices[group] == name
    assert config.data["name"] == (name if group == "data" else "checkpoint")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "ckpt_path is not set: give ckpt_path=…"),
        (["ckpt_path="], "ckpt_path is empty"),
        (["ckpt_path=null"], "ckpt_path is not set: give ckpt_path=…, or folds=… of a cross-validation"),
        (
            ["ckpt_path=[a,{b: c}]"],
            "ckpt_path=[a, {b: c}]: not of the allowed type; give a list, each item text or null",
        ),
        (["ckpt_path=x", "tta=flop"], "tta=flop: unknown; did you mean 'flip'?; allowed: none, flip, full"),
        (["folds=x", "ckpt_path=y"], "ckpt_path=[y] with folds=[x]: folds are tested on the part of their own"),
        (["folds=x", "subset=test"], "subset=test with folds=[x]"),
        (["folds=x", "data=phantom"], "data=phantom with folds=[x]"),
        (["ckpt_path=x", "subset=tset"], "subset=tset: unknown; did you mean 'test'?; allowed: train, val, test, all"),
        (["ckpt_path=x", "data.batch_size=0"], "data.batch_size=0: out of range"),
        (["ckpt_path=x", "data.channels=t3"], "data.channels=t3: unknown"),
        (["ckpt_path=x", "data.num_workers=many"], "data.num_workers=many: not of the allowed type"),
        (["ckpt_path=x", "data.name=phantom"], "data.name=phantom: not a data source"),
        (["ckpt_path=x", "data=alkafri"], "data.root is not set"),
        (["ckpt_path=x", "data=alkafri", "data.root=x", "data.spacing=0"], "data.spacing=0: out of range"),
        (["ckpt_path=x", "~trainer"], "trainer is not set"),
    ],
)
def test_setting_is_refused(overrides, message):
    cfg, _ = compose_command("evaluate", *overrides)
    with pytest.raises(UserError) as refused:
        build_config(EvaluateConfig, cfg, given=frozenset())
    assert str(refused.value).startswith(message)


def test_settings_of_the_checkpoints_data_source_are_kept_unchecked():
    cfg, _ = compose_command("evaluate", "ckpt_path=x", "data.patients=3", "data.batch_size=2", "+data.folds=4")
    data = build_config(EvaluateConfig, cfg, given=frozenset({"data.patients"})).data
    assert {key: value for key, value in data.items() if value is not None} == {
        "name": "checkpoint",
        "patients": 3,
        "batch_size": 2,
        "folds": 4,
    }
