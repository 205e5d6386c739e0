from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_args, get_type_hints

import pytest
from omegaconf import OmegaConf

from lss_lightning.config.loggers import ExamplesConfig, MLFlowConfig, WandbConfig
from lss_lightning.config.model import ModelConfig
from lss_lightning.config.sections import (
    OutputConfig,
    PathsConfig,
    config_folder,
)
from lss_lightning.config.trainer import EngineConfig, TrainerConfig
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.composite import THIRD_CHANNELS, ThirdChannel
from lss_lightning.data.image_folder import FolderSource
from lss_lightning.data.source import CHANNELS, Channels, DataSource
from lss_lightning.data.splits.file import FileSplit
from lss_lightning.data.splits.fractions import ImageSplit, PatientSplit
from lss_lightning.data.splits.kfold import KFoldSplit
from lss_lightning.models.views import TTA_VIEWS, TTAMode
from lss_lightning.phantom.source import Phantom
from tests.config.conf_files import CHOICES
from tests.conftest import compose_command


def test_every_folder_is_a_group_of_a_command():
    lines = [["train"], ["train", "hparams_search=optuna"], ["evaluate"]]
    chosen = {str(group) for line in lines for group in compose_command(*line)[1].runtime.choices}
    assert {group for group, _ in CHOICES} <= chosen


@pytest.mark.parametrize(
    ("overrides", "section", "schema"),
    [
        ("", "model", ModelConfig),
        ("", "augmentation", AugmentationConfig),
        ("", "trainer", TrainerConfig),
        ("", "engine", EngineConfig),
        ("", "examples", ExamplesConfig),
        ("logger=wandb", "logger.wandb", WandbConfig),
        ("logger=mlflow", "logger.mlflow", MLFlowConfig),
        ("", "paths", PathsConfig),
        ("data=phantom", "data", Phantom),
        ("data=alkafri data.root=x", "data", AlKafri),
        ("data=folder data.root=x data.classes={a:0}", "data", FolderSource),
        ("split=patient", "split", PatientSplit),
        ("split=image", "split", ImageSplit),
        ("split=kfold", "split", KFoldSplit),
        ("split=file split.file=x", "split", FileSplit),
        ("ckpt_path=x input=x output.folder=x", "output", OutputConfig),
    ],
)  # fmt: skip
def test_defaults_in_yaml_and_in_code_agree(overrides, section, schema):
    cfg, _ = compose_command("predict" if section == "output" else "train", *overrides.split())
    values: Any = OmegaConf.to_container(OmegaConf.select(cfg, section), resolve=True)
    for entry in fields(schema):
        default = entry.default if entry.default_factory is MISSING else entry.default_factory()
        if default is not MISSING and entry.name not in NOT_IN_YAML:
            assert values[entry.name] == default, entry.name


NOT_IN_YAML = ("content",)
"""Fields that are None unless a checkpoint carries the content of a split."""


@pytest.mark.parametrize(
    ("choices", "table"), [(Channels, CHANNELS), (ThirdChannel, THIRD_CHANNELS), (TTAMode, TTA_VIEWS)]
)
def test_choices_are_the_keys_of_their_table(choices, table):
    assert get_args(choices) == tuple(table)


@pytest.mark.parametrize("source", [DataSource, AlKafri, FolderSource, Phantom])
def test_data_source_offers_the_choices_of_its_channels(source: type[DataSource]):
    hints: dict[str, Any] = get_type_hints(source)
    assert source.channel_choices() == get_args(hints["channels"])
    assert set(source.channel_choices()) <= CHANNELS.keys()


def test_installed_package_has_its_own_copy_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr("lss_lightning.config.sections.__file__", str(tmp_path / "package" / "config" / "sections.py"))
    assert config_folder() == tmp_path / "conf"
    (tmp_path / "package" / "conf").mkdir(parents=True)
    assert config_folder() == tmp_path / "package" / "conf"
