from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from lss_lightning.cli.check import ValidateConfigCallback
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import create_folder
from lss_lightning.sweeps import begin_sweep


def test_a_folder_that_exists_is_numbered(tmp_path):
    names = [create_folder(tmp_path / "train" / "2030-01-02_03-04-05").name for _ in range(3)]
    assert names == ["2030-01-02_03-04-05", "2030-01-02_03-04-05-2", "2030-01-02_03-04-05-3"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"/file/train/now: the run directory cannot be written .*paths\.logs=…"):
        create_folder(tmp_path / "file" / "train" / "now")


@pytest.fixture
def config(tmp_path):
    """The composed configuration of `train.py` while another run and sweep of the same second exist."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"paths.logs={tmp_path}"], return_hydra_config=True)
        Path(config.hydra.run.dir).mkdir(parents=True)
        yield config


def test_two_runs_that_start_in_one_second_get_two_folders(config):
    first = Path(config.hydra.run.dir)
    ValidateConfigCallback("train").on_run_start(config)
    assert Path(config.hydra.run.dir) == first.with_name(f"{first.name}-2")


def test_two_sweeps_that_start_in_one_second_get_two_folders(config):
    first = Path(config.hydra.sweep.dir)
    assert begin_sweep(config, {config.name}) == first.with_name(f"{first.name}-2")
