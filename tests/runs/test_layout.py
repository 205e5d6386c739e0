from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from lss_lightning.cli.check import ValidateConfigCallback
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import new_folder
from lss_lightning.sweeps import begin


def test_a_taken_name_is_numbered(tmp_path):
    names = [new_folder(tmp_path / "train" / "2030-01-02_03-04-05").name for _ in range(3)]
    assert names == ["2030-01-02_03-04-05", "2030-01-02_03-04-05-2", "2030-01-02_03-04-05-3"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"/file/train/now: the run's folder cannot be written .*paths\.logs=…"):
        new_folder(tmp_path / "file" / "train" / "now")


@pytest.fixture
def config(tmp_path):
    """What Hydra composes for `train.py`, where another has begun a run and a sweep in this very second."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"paths.logs={tmp_path}"], return_hydra_config=True)
        Path(config.hydra.run.dir).mkdir(parents=True)
        yield config


def test_of_two_runs_in_one_second_each_has_its_folder(config):
    first = Path(config.hydra.run.dir)
    ValidateConfigCallback("train").on_run_start(config)
    assert Path(config.hydra.run.dir) == first.with_name(f"{first.name}-2")


def test_of_two_sweeps_in_one_second_each_has_its_folder(config):
    first = Path(config.hydra.sweep.dir)
    assert begin(config, {config.name}) == first.with_name(f"{first.name}-2")
