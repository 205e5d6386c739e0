"""The ``model`` section: our U-Net, shipped networks of other libraries, and classes of the user."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from lss_lightning.config.model import ModelConfig, NetworkConfig
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.trust import TRUSTED_CLASSES
from tests.conftest import configure

MINE = ("model=custom", "model._target_=mine.nets.Net", "model.name=mine")
FILES: dict[str, Any] = {path.stem: OmegaConf.load(path) for path in sorted((config_folder() / "model").glob("*.yaml"))}
NETWORKS = [name for name, content in FILES.items() if "_target_" in content]


def test_the_shipped_networks_are_those_that_checkpoints_may_name():
    assert {FILES[name]["_target_"] for name in NETWORKS} == TRUSTED_CLASSES["model"]


@pytest.mark.parametrize("name", ["resunet", "inception_unet", "vgg16_unet"])
def test_the_models_of_the_paper_are_our_u_net(name):
    config = configure(f"model={name}")
    assert isinstance(config.model, ModelConfig)
    assert config.name == f"{name}-{config.encoder.name}"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shipped_network_needs_no_further_setting(name):
    config = configure(f"model={name}")
    assert isinstance(config.model, NetworkConfig)
    assert config.model.name == name
    assert config.name == (name if config.encoder.name is None else f"{name}-resnet34")
    arguments = str(config.model.arguments)
    assert "auto_channels" in arguments
    assert "auto_classes" in arguments
    assert not any(config.model.pretrained.values())


def test_an_encoder_can_be_chosen_for_networks_that_take_one():
    config = configure("model=unet_plus_plus", "encoder=resnet18")
    assert isinstance(config.model, NetworkConfig)
    assert config.model.arguments["encoder_name"] == "tu-resnet18"
    assert config.name == "unet_plus_plus-resnet18"


def test_all_other_keys_of_a_custom_model_are_arguments_of_its_class():
    config = configure(*MINE, "model.divisor=16", "+model.width=8", "+model.blocks=[1,2]")
    assert config.model == NetworkConfig("mine", "mine.nets.Net", {"width": 8, "blocks": [1, 2]}, divisor=16)
    assert config.name == "mine"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=custom", "model.name=x"), "model._target_ is not set: give model._target_=…"),
        ((*MINE, "+model.width=???"), "model.width is not set"),
        (("model=custom", "model._target_=3", "model.name=x"), "model._target_=3: not a class"),
        ((*MINE, "model.divisor=0"), "model.divisor=0: out of range; it must be at least 1"),
        ((*MINE, "model.min_size=a"), "model.min_size=a: not of the allowed type; give a whole number"),
        ((*MINE, "model.pretrained=true"), "model.pretrained=true: not of the allowed type; give {name: value, …}"),
        ((*MINE, "encoder=resnet18"), "encoder=resnet18: model=mine takes none; add encoder=none, or"),
        (("model=dynunet", "model.spatial_dims=two"), "model.spatial_dims=two: not of the allowed type; give a whole"),
        (("model=unet_plus_plus", "encoder=none"), "encoder=none: model=unet_plus_plus needs an encoder"),
        (("model=resunet", "encoder=none"), "encoder=none: model=resunet needs an encoder; choose one"),
    ],
)
def test_wrong_settings_are_refused_by_their_key(overrides, message):
    with pytest.raises(UserError) as refused:
        configure(*overrides)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
