from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict

from lss_lightning.config.data import data_source
from lss_lightning.config.evaluate import evaluate_config
from lss_lightning.config.sections import (
    CallbacksConfig,
    LoggerConfig,
    ModelConfig,
    PathsConfig,
    TrainerConfig,
    config_folder,
)
from lss_lightning.config.train import train_config
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.splits.fractions import PatientSplit
from lss_lightning.errors import UserError
from lss_lightning.phantom.source import Phantom
from tests.conftest import compose_command, configure

CHOICES = sorted(
    (str(path.parent.relative_to(config_folder())), path.stem)
    for path in config_folder().rglob("*.yaml")
    if path.parent != config_folder()
)


def further(group: str, name: str, folder: Path) -> list[str]:
    """The keys that a file leaves to the user."""
    if (group, name) == ("split", "file"):
        (folder / "split.csv").write_text("patient,part\n0001,train\n0002,test\n")
        return [f"split.file={folder / 'split.csv'}"]
    if name == "alkafri" or (name.startswith("paper_") and group == "experiment"):
        return ["data.root=/data/lss"]
    if (group, name) == ("data", "folder"):
        return ["data.root=/data/mine", "data.classes={background: 0, disc: 1}"]
    return ["encoder.name=resnet26"] if name == "timm" else []


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice != ("data", "checkpoint")])
def test_every_file_composes(group, name, tmp_path):
    cfg, hydra = compose_command("train", f"{group}={name}", *further(group, name, tmp_path))
    assert hydra.runtime.choices[group] == name
    config = train_config(cfg, hydra.runtime.choices)
    values = OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))
    for key in values.keys() & config.plain.get(group, {}).keys():
        assert values[key] == "???" or "${" in str(values[key]) or config.plain[group][key] == values[key]
    for key, swept in (hydra.sweeper.params or {}).items():
        for value in re.findall(r"[\w.]+", swept.rpartition("(")[2]):  # a search's ranges by their ends
            configure(f"{key}={value}")


@pytest.mark.parametrize(
    ("group", "name"),
    [choice for choice in CHOICES if choice[0] in ("data", "trainer", "logger", "paths", "hydra/job_logging")],
)
def test_every_file_that_evaluation_takes_composes(group, name, tmp_path):
    cfg, hydra = compose_command("evaluate", "ckpt_path=best.ckpt", f"{group}={name}", *further(group, name, tmp_path))
    config = evaluate_config(cfg, frozenset())
    assert hydra.runtime.choices[group] == name
    assert config.data["name"] == (name if group == "data" else "checkpoint")


def test_every_folder_is_a_group_of_a_command():
    chosen = {str(group) for command in ("train", "evaluate") for group in compose_command(command)[1].runtime.choices}
    assert {group for group, _ in CHOICES} <= chosen


@pytest.mark.parametrize(
    ("line", "name", "encoder", "more"),
    [
        ("", "resunet-resnet34", "resnet34", {}),
        ("model=resunet trainer.devices=2", "resunet-resnet34", "resnet34", {"trainer.devices": 2}),
        ("model=vgg16_unet", "vgg16_unet-vgg16", "vgg16", {}),
        ("model=inception_unet encoder=inception_v4 optimizer=adamw data.batch_size=4", "inception_unet-inception_v4",
         "inception_v4", {"optimizer._target_": "torch.optim.AdamW", "data.batch_size": 4}),
        ("encoder=inception_v4 model=inception_unet", "inception_unet-inception_v4", "inception_v4", {}),
        ("encoder=timm encoder.name=efficientnet_b3", "resunet-efficientnet_b3", "efficientnet_b3", {}),
        ("experiment=paper_resunet data.root=/data/lss", "paper_resunet", "resnet34",
         {"data.batch_size": 8, "trainer.max_epochs": 200, "optimizer.lr": 1e-4, "split.test_fraction": 0.1,
          "split._target_": "lss_lightning.data.splits.fractions.ImageSplit",
          "model.pretrained": False, "loss.class_weights": "none", "optimizer.weight_decay": 0.0}),
        ("experiment=paper_vgg16_unet data.root=/data/lss", "paper_vgg16_unet", "vgg16", {"data.name": "alkafri"}),
        ("experiment=paper_inception_unet encoder=inception_v4 data.root=/data/lss data.batch_size=2",
         "paper_inception_unet", "inception_v4", {"data.batch_size": 2, "model.name": "inception_unet"}),
        ("experiment=quickstart", "quickstart", "resnet34", {"data.name": "phantom", "model.name": "resunet"}),
    ],
)  # fmt: skip
def test_command_lines_of_the_design(line, name, encoder, more):
    config = configure(*line.split())
    assert (config.name, config.encoder.name) == (name, encoder)
    for key, value in more.items():
        assert OmegaConf.select(OmegaConf.create(config.plain), key) == value


@pytest.mark.parametrize(
    ("section", "schema"),
    [
        ("model", ModelConfig),
        ("data", Phantom),
        ("split", PatientSplit),
        ("trainer", TrainerConfig),
        ("callbacks", CallbacksConfig),
        ("logger", LoggerConfig),
        ("paths", PathsConfig),
    ],
)
def test_defaults_in_yaml_and_in_code_agree(section, schema):
    in_yaml = configure().plain[section]
    for entry in fields(schema):
        default = entry.default if entry.default_factory is MISSING else entry.default_factory()
        assert default in (MISSING, None) or in_yaml[entry.name] == default, entry.name


@pytest.fixture(scope="module")
def composed():
    return compose_command("train", "optimizer=sgd", "logger=wandb")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.batch_size": 0}, "data.batch_size=0: out of range; it must be at least 1"),
        ({"data.spacing": 0}, "data.spacing=0: out of range; it must be above 0"),
        ({"data.channels": "t3"}, "data.channels=t3: unknown; allowed: composite, t1, t2, t1_t2"),
        ({"data.root": ""}, "data.root is empty"),
        ({"data.foo": 1}, "data.foo: no such setting; allowed in data: batch_size,"),
        ({"data": 3}, "data=3: a section of settings, not a value"),
        ({"data._target_": None}, "data.name=phantom: no data source; choose one"),
        ({"optimizer.lr": -1}, "optimizer.lr=-1: out of range; it must be above 0"),
        ({"optimizer.lr": float("nan")}, "optimizer.lr=nan: out of range"),
        ({"optimizer.nesterov": "maybe"}, "optimizer.nesterov=maybe: not of the allowed type; give true or false"),
        ({"optimizer.momentum": 1}, "optimizer.momentum=1: out of range; it must be at least 0 and below 1"),
        ({"optimizer": {"_target_": "torch.optim.Adam"}}, "optimizer.lr is not set: give optimizer.lr=…"),
        ({"optimizer._target_": None}, "optimizer._target_=null: names no class; choose one by optimizer=…"),
        ({"loss._target_": 3}, "loss._target_=3: names no class"),
        ({"loss.class_weights": "inverted"}, "loss.class_weights=inverted: unknown; did you mean 'inverse'?"),
        ({"loss": {"_target_": "a.B"}}, "loss.class_weights is not set"),
        ({"scheduler": []}, "scheduler=[]: a section of settings, not a value"),
        ({"encoder.name": "resnet43"}, "encoder.name=resnet43: timm has no such network"),
        ({"model.upsampling": "linear"}, "model.upsampling=linear: unknown; did you mean 'bilinear'"),
        ({"model.decoder_channels": []}, "model.decoder_channels=[]: give one or more"),
        ({"model.decoder_channels": [256, 0]}, "model.decoder_channels=[256, 0]: give one or more"),
        ({"trainer.devices": 0}, "trainer.devices=0: give a number from 1"),
        ({"trainer.devices": "two"}, "trainer.devices=two: give a number from 1"),
        ({"trainer.devices": -2}, "trainer.devices=-2: out of range"),
        ({"trainer.limit_train_batches": 1.5}, "trainer.limit_train_batches=1.5: give a whole number of batches"),
        ({"trainer.limit_test_batches": 2.0}, "trainer.limit_test_batches=2.0: give a whole number of batches"),
        ({"trainer.precision": 16}, "trainer.precision=16: unknown; allowed: auto, 32-true"),
        ({"callbacks.progress_bar": 1}, "callbacks.progress_bar=1: not of the allowed type; give true or false"),
        ({"callbacks.early_stopping": 5, "split.val_fraction": 0}, "callbacks.early_stopping=5: split=patient, as"),
        ({"logger.wandb.mode": "onlin"}, "logger.wandb.mode=onlin: unknown; did you mean 'online'"),
        ({"logger.wandb.tags": "a"}, "logger.wandb.tags=a: not of the allowed type; give a list"),
        ({"logger.wandb": True}, "logger.wandb=true: a section of settings, not a value"),
        ({"paths.logs": ""}, "paths.logs is empty"),
        ({"seed": -1}, "seed=-1: out of range; it must be at least 0 and at most 4294967295"),
        ({"seed": 2**32}, "seed=4294967296: out of range"),
        ({"split.test_fraction": 1.2}, "split.test_fraction=1.2: out of range"),
        ({"split.test_fraction": 0}, "split.test_fraction=0: out of range; it must be above 0 and below 1"),
        ({"split.test_fraction": 0.95}, "split.val_fraction=0.1 and split.test_fraction=0.95: together"),
        (
            {"split._target_": None},
            "split._target_=null: no split protocol; choose one by split=…: file, image, kfold,",
        ),
        (
            {"split._target_": "lss_lightning.data.alkafri.AlKafri"},
            "split._target_=lss_lightning.data.alkafri.AlKafri: no",
        ),
        ({"split": "patient"}, "split=patient: a section of settings, not a value"),
        ({"split.select_on_test": True}, "split.select_on_test=true with split.val_fraction=0.1"),
        ({"name": "a/b"}, "name=a/b: it names the run's folder"),
        ({"name": ".."}, "name=..: it names the run's folder"),
        ({"foo": 1}, "foo: no such setting; allowed: augmentation, callbacks, ckpt_path"),
    ],
    ids=str,
)
def test_value_is_refused_by_its_key(composed, changes, message):
    cfg, hydra = composed
    cfg = cfg.copy()
    with open_dict(cfg):
        for key, value in changes.items():
            OmegaConf.update(cfg, key, value, merge=False)
    with pytest.raises(UserError) as refused:
        train_config(cfg, hydra.runtime.choices)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["data", "seed", "name", "trainer", "loss"])
def test_removed_key_is_missed(composed, key):
    cfg, hydra = composed
    cfg = cfg.copy()
    with open_dict(cfg):
        del cfg[key]
    with pytest.raises(UserError, match=f"^{key} is not set: give {key}=…$"):
        train_config(cfg, hydra.runtime.choices)


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["trainer.limit_train_batches=1.0"], "trainer.limit_train_batches", 1.0),
        (["trainer.limit_train_batches=3"], "trainer.limit_train_batches", 3),
        (["split=image", "split.select_on_test=true", "callbacks=early_stopping"], "callbacks.early_stopping", 20),
        (["split=resubstitution", "callbacks=early_stopping"], "callbacks.early_stopping", 20),
        (["+optimizer.betas=[0.8,0.9]"], "optimizer.betas", [0.8, 0.9]),
        (["logger=[csv,wandb]"], "logger.csv", True),
        (["name='fold 1'"], "name", "fold 1"),
    ],
)
def test_what_may_be_set(overrides, key, value):
    assert OmegaConf.select(OmegaConf.create(configure(*overrides).plain), key) == value


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "x"}, "data.name=x: no data source; choose one"),
        ({"_target_": "os.system"}, "data._target_=os.system: no data source"),
        ({"_target_": "lss_lightning.data.nope.Nope"}, "data._target_=lss_lightning.data.nope.Nope: no data source"),
        ({"_target_": "lss_lightning.data.alkafri.find_slices"}, "data._target_=lss_lightning.data.alkafri.find_s"),
        ({"_target_": "lss_lightning.data.source.DataSource"}, "data._target_=lss_lightning.data.source.DataSource:"),
    ],
)  # fmt: skip
def test_only_data_sources_of_this_package_are_looked_up(section, message):
    with pytest.raises(UserError) as refused:
        data_source(section)
    assert str(refused.value).startswith(message)


def test_no_foreign_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "foreign.py").write_text("raise SystemExit('this ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"data\._target_=foreign\.Source: no data source"):
        data_source({"_target_": "foreign.Source", "name": "foreign"})


def test_data_section_becomes_its_source():
    section = {"_target_": "lss_lightning.data.alkafri.AlKafri", "name": "alkafri", "root": "x", "batch_size": 3}
    assert data_source(section) == AlKafri(name="alkafri", root="x", batch_size=3)


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
        (["folds=x", "ckpt_path=y"], "ckpt_path=[y] with folds=[x]: folds are tested on what they held out"),
        (["folds=x", "subset=test"], "subset=test with folds=[x]"),
        (["folds=x", "data=phantom"], "data=phantom with folds=[x]"),
        (["ckpt_path=x", "subset=tset"], "subset=tset: unknown; did you mean 'test'?; allowed: train, val, test, all"),
        (["ckpt_path=x", "data.batch_size=0"], "data.batch_size=0: out of range"),
        (["ckpt_path=x", "data.channels=t3"], "data.channels=t3: unknown"),
        (["ckpt_path=x", "data.num_workers=many"], "data.num_workers=many: not of the allowed type"),
        (["ckpt_path=x", "data.name=phantom"], "data.name=phantom: no data source"),
        (["ckpt_path=x", "data=alkafri"], "data.root is not set"),
        (["ckpt_path=x", "data=alkafri", "data.root=x", "data.spacing=0"], "data.spacing=0: out of range"),
        (["ckpt_path=x", "~trainer"], "trainer is not set"),
    ],
)
def test_evaluation_refuses(overrides, message):
    cfg, _ = compose_command("evaluate", *overrides)
    with pytest.raises(UserError) as refused:
        evaluate_config(cfg, frozenset())
    assert str(refused.value).startswith(message)


def test_evaluation_keeps_what_only_the_checkpoint_can_judge():
    cfg, _ = compose_command("evaluate", "ckpt_path=x", "data.patients=3", "data.batch_size=2", "+data.folds=4")
    data = evaluate_config(cfg, frozenset({"data.patients"})).data
    assert {key: value for key, value in data.items() if value is not None} == {
        "name": "checkpoint",
        "patients": 3,
        "batch_size": 2,
        "folds": 4,
    }


def test_an_installed_package_brings_its_own_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr("lss_lightning.config.sections.__file__", str(tmp_path / "package" / "config" / "folder.py"))
    assert config_folder() == tmp_path / "conf"
    (tmp_path / "package" / "conf").mkdir(parents=True)
    assert config_folder() == tmp_path / "package" / "conf"
