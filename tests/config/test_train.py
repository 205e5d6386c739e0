from __future__ import annotations

import re
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import build_train_config
from lss_lightning.errors import UserError
from tests.config.conf_files import CHOICES, required_overrides
from tests.conftest import compose_command, configure


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice != ("data", "checkpoint")])
def test_every_file_composes(group, name, tmp_path):
    cfg, hydra = compose_command("train", f"{group}={name}", *required_overrides(group, name, tmp_path))
    assert hydra.runtime.choices[group] == name
    config = build_train_config(cfg, hydra.runtime.choices)
    values: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))
    for key in values.keys() & config.plain.get(group, {}).keys():
        assert values[key] == "???" or "${" in str(values[key]) or config.plain[group][key] == values[key]
    for key, swept in (hydra.sweeper.params or {}).items():
        for value in re.findall(r"[\w.]+", swept.rpartition("(")[2]):  # a search's ranges by their ends
            configure(f"{key}={value}")


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
def test_choices_of_files_combine(line, name, encoder, more):
    config = configure(*line.split())
    assert (config.name, config.encoder.name) == (name, encoder)
    for key, value in more.items():
        assert OmegaConf.select(OmegaConf.create(config.plain), key) == value


STOP = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss"}


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
        ({"data._target_": None}, "data.name=phantom: not a data source; choose one"),
        ({"optimizer.lr": -1}, "optimizer.lr=-1: out of range; it must be above 0"),
        ({"optimizer.lr": float("nan")}, "optimizer.lr=nan: out of range"),
        ({"optimizer.nesterov": "maybe"}, "optimizer.nesterov=maybe: not of the allowed type; give true or false"),
        ({"optimizer.momentum": 1}, "optimizer.momentum=1: out of range; it must be at least 0 and below 1"),
        ({"optimizer._target_": None}, "optimizer._target_=null: not a class; choose one with optimizer=…"),
        ({"loss._target_": 3}, "loss._target_=3: not a class"),
        ({"loss.class_weights": "inverted"}, "loss.class_weights=inverted: unknown; did you mean 'inverse'?"),
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
        ({"trainer.precision": "bf16"}, "trainer.precision=bf16: unknown"),
        ({"trainer.logger": True}, "trainer.logger=true: loggers have a section of their own; set logger=…"),
        ({"trainer.callbacks": []}, "trainer.callbacks=[]: callbacks have a section of their own"),
        ({"trainer.default_root_dir": "x"}, "trainer.default_root_dir=x: a run writes into the directory that Hydra"),
        ({"trainer.use_distributed_sampler": True}, "trainer.use_distributed_sampler=true: Lightning's sampler would"),
        ({"trainer.barebones": True}, "trainer.barebones=true: without checkpoints and logged metrics"),
        ({"trainer.fastdevrun": True}, "trainer.fastdevrun: no such setting; did you mean 'trainer.fast_dev_run'?"),
        ({"trainer.strategy": 3}, "trainer.strategy=3: give text, or a class as trainer.strategy={_target_: …}"),
        ({"trainer.strategy": {"x": 1}}, "trainer.strategy._target_=null: not a class; give the full name of a class"),
        ({"trainer.plugins": [3]}, "trainer.plugins=3: give text, or a class"),
        ({"trainer.profiler": "simpel"}, "trainer.profiler=simpel: unknown; did you mean 'simple'?; allowed: simple,"),
        ({"trainer.max_time": "1h"}, "trainer.max_time=1h: give days:hours:minutes:seconds"),
        ({"trainer.check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch=0: out of range"),
        ({"engine.check_every": 0}, "engine.check_every=0: out of range; it must be at least 1"),
        ({"callbacks.progress_bar": 1}, "callbacks.progress_bar=1: a class with its settings, not a value; set one of"),
        (
            {"callbacks.early_stopping": 20},
            "callbacks.early_stopping=20: a callback with settings, not a value; set "
            "callbacks=early_stopping and callbacks.early_stopping.patience=20",
        ),
        ({"callbacks.early_stopping": {**STOP, "patience": 0}}, "callbacks.early_stopping.patience=0: out of range"),
        ({"callbacks.stop": {**STOP, "mode": "maximum"}}, "callbacks.stop.mode=maximum: unknown; did you mean 'max'?"),
        ({"callbacks.ema": {"decay": 0.9}}, "callbacks.ema._target_=null: not a class; give the full name of a class"),
        ({"callbacks.early_stopping": STOP, "split.val_fraction": 0}, "callbacks.early_stopping: split=patient and"),
        ({"callbacks.stop": STOP, "trainer.limit_val_batches": 0}, "callbacks.stop: split=patient and"),
        ({"logger.wandb.mode": "onlin"}, "logger.wandb.mode=onlin: unknown; did you mean 'online'"),
        ({"logger.wandb.tags": "a"}, "logger.wandb.tags=a: not of the allowed type; give a list"),
        ({"logger.wandb.tag": "a"}, "logger.wandb.tag: no such setting; did you mean 'logger.wandb.tags'?"),
        ({"logger.csv._target_": None}, "logger.csv._target_=null: not a class; give the full name of a class, log"),
        ({"logger": "csv"}, "logger=csv: a section of settings, not a value"),
        ({"examples.count": -1}, "examples.count=-1: out of range; it must be at least 0"),
        ({"logger.wandb": True}, "logger.wandb=true: a class with its settings, not a value"),
        ({"paths.logs": ""}, "paths.logs is empty"),
        ({"seed": -1}, "seed=-1: out of range; it must be at least 0 and at most 4294967295"),
        ({"seed": 2**32}, "seed=4294967296: out of range"),
        ({"split.test_fraction": 1.2}, "split.test_fraction=1.2: out of range"),
        ({"split.test_fraction": 0}, "split.test_fraction=0: out of range; it must be above 0 and below 1"),
        ({"split.test_fraction": 0.95}, "split.val_fraction=0.1 and split.test_fraction=0.95: their sum"),
        (
            {"split._target_": None},
            "split._target_=null: not a split protocol; choose one with split=…: file, image, kfold,",
        ),
        (
            {"split._target_": "lss_lightning.data.alkafri.AlKafri"},
            "split._target_=lss_lightning.data.alkafri.AlKafri: not a",
        ),
        ({"split": "patient"}, "split=patient: a section of settings, not a value"),
        ({"split.select_on_test": True}, "split.select_on_test=true with split.val_fraction=0.1"),
        ({"name": "a/b"}, "name=a/b: not a name for a run directory"),
        ({"name": ".."}, "name=..: not a name for a run directory"),
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
        build_train_config(cfg, hydra.runtime.choices)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["data", "seed", "name", "trainer", "loss"])
def test_removed_key_is_reported(composed, key):
    cfg, hydra = composed
    cfg = cfg.copy()
    with open_dict(cfg):
        del cfg[key]
    with pytest.raises(UserError, match=f"^{key} is not set: give {key}=…$"):
        build_train_config(cfg, hydra.runtime.choices)


PATIENCE = "callbacks.early_stopping.patience"


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["trainer.limit_train_batches=1.0"], "trainer.limit_train_batches", 1.0),
        (["trainer.limit_train_batches=3"], "trainer.limit_train_batches", 3),
        (["split=image", "split.select_on_test=true", "callbacks=early_stopping"], PATIENCE, 20),
        (["split=resubstitution", "callbacks=early_stopping", f"{PATIENCE}=5"], PATIENCE, 5),
        (["callbacks=early_stopping", "callbacks.early_stopping=null"], "callbacks.early_stopping", None),
        (["callbacks=[early_stopping,ema]"], PATIENCE, 20),
        (["callbacks=[early_stopping,ema]"], "callbacks.ema.decay", 0.999),
        (["+callbacks.lr._target_=a.B"], "callbacks.lr._target_", "a.B"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run", True),
        (["trainer.fast_dev_run=3"], "trainer.fast_dev_run", 3),
        (["trainer.devices=[0,2]"], "trainer.devices", [0, 2]),
        (["trainer.devices='1,3'"], "trainer.devices", "1,3"),
        (["trainer.max_epochs=-1"], "trainer.max_epochs", -1),
        (["trainer.strategy={_target_: a.B, x: 1}"], "trainer.strategy.x", 1),
        (["trainer.plugins=[{_target_: a.B}]"], "trainer.plugins", [{"_target_": "a.B"}]),
        (["trainer.profiler=simple"], "trainer.profiler", "simple"),
        (["trainer.max_time='00:01:00:00'"], "trainer.max_time", "00:01:00:00"),
        (["trainer.max_time={hours: 1}"], "trainer.max_time", {"hours": 1}),
        (["trainer.limit_val_batches=0"], "trainer.limit_val_batches", 0),
        (["+optimizer.betas=[0.8,0.9]"], "optimizer.betas", [0.8, 0.9]),
        (["logger=[csv,wandb]"], "logger.csv._target_", "lss_lightning.reporting.loggers.csv.CSVLogger"),
        (["logger=none"], "logger", {}),
        (["logger=many", "logger.csv=null"], "logger.csv", None),
        (["+logger.mine._target_=a.B", "+logger.mine.x=1"], "logger.mine", {"_target_": "a.B", "x": 1}),
        (["name='fold 1'"], "name", "fold 1"),
    ],
)
def test_settings_are_accepted(overrides, key, value):
    assert OmegaConf.select(OmegaConf.create(configure(*overrides).plain), key) == value
