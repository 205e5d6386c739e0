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
def test_settings_are_accepted(overrides, key, value):
    assert OmegaConf.select(OmegaConf.create(configure(*overrides).plain), key) == value
