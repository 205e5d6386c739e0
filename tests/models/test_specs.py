"""Specifications of networks: their arguments, initial weights, packages, and trust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.models.specs import ModuleSpec, check_installed
from lss_lightning.runs.trust import trust_classes

HERE = f"{__name__}.Net"


class Net(nn.Module):
    """A network that records its arguments."""

    def __init__(self, channels: int, classes: int, weights: str | None = "web", **others: Any) -> None:
        super().__init__()
        self.weights, self.others = weights, others
        self.layer = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class NotANetwork:
    """A class that is no network."""


@pytest.fixture(autouse=True)
def _no_trust() -> Iterator[None]:
    yield
    trust_classes(())


def spec(target: str = HERE, **arguments: Any) -> ModuleSpec:
    arguments = {"channels": "auto_channels", "classes": "auto_classes", **arguments}
    return ModuleSpec("mine", target, 2, 5, 1, 1, arguments, ["weights"])


def built(network: nn.Module) -> Any:
    return network.network


def test_sizes_of_the_data_are_filled_in_at_any_depth():
    nested: dict[str, Any] = {"sizes": ["auto_classes", {"deep": "auto_channels"}], "text": "auto", "number": 3}
    network = built(spec(**nested).build())
    assert network.layer.weight.shape == (5, 2, 1, 1)
    assert network.others == {"sizes": [5, {"deep": 2}], "text": "auto", "number": 3}


def test_initial_weights_are_loaded_only_when_a_training_starts():
    assert built(spec().build({"weights": "imagenet"})).weights == "imagenet"
    assert built(spec().build()).weights is None


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        (HERE, {"channels": "x"}, f"^model: {HERE} cannot be instantiated with these settings"),
        (f"{__name__}.Missing", {}, "Missing cannot be instantiated"),
        (f"{__name__}.NotANetwork", {}, "cannot be instantiated"),
        ("builtins.dict", {}, "gives dict, not a network; name a subclass of torch.nn.Module"),
        (HERE, {"_partial_": True}, "not a network"),
        (HERE, {"other": "${missing}"}, "Interpolation key 'missing' not found"),
        ("segmentation_models_pytorch.Unet", {"encoder_name": "none"}, "cannot be instantiated"),
        ("no_such_package.Net", {}, "^model._target_=no_such_package.Net: the package no_such_package is not inst"),
    ],
)
def test_wrong_settings_are_reported_in_one_line(target, arguments, message):
    with pytest.raises(UserError, match=message) as refusal:
        spec(target, **arguments).build()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("target", "missing", "extra"),
    [
        ("segmentation_models_pytorch.Segformer", "segmentation_models_pytorch", "smp"),
        ("monai.networks.nets.SwinUNETR", "einops", "monai"),
    ],
)
def test_a_missing_package_is_reported_with_its_extra(target, missing, extra, monkeypatch):
    monkeypatch.setattr("lss_lightning.models.specs.find_spec", lambda name: None if name == missing else object())
    with pytest.raises(
        UserError, match=rf'package {missing} is not installed; pip install "lss-lightning\[{extra}\]"$'
    ):
        check_installed(target)


def test_only_listed_and_trusted_classes_are_built_from_a_checkpoint():
    arguments = {"spatial_dims": 2, "in_channels": "auto_channels", "out_channels": "auto_classes"}
    replace(spec("monai.networks.nets.DynUNet"), arguments=arguments).check_trusted("a.ckpt")
    with pytest.raises(UserError, match=rf"^a.ckpt: model._target_={HERE}: .* add trust=\[{HERE}\]$"):
        spec().check_trusted("a.ckpt")
    trust_classes([HERE])
    spec().check_trusted("a.ckpt")


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": {"_target_": "torch.nn.ReLU"}},
        {"filters": [[{"_target_": "os.system", "command": "true"}]]},
        {"filters": {"_target_": "monai.networks.nets.DynUNet"}},
        {"filters": "${oc.env:HOME}"},
    ],
)
def test_arguments_of_a_checkpoint_name_neither_classes_nor_resolvers(arguments):
    with pytest.raises(UserError, match=r"^a.ckpt: model.filters"):
        spec("monai.networks.nets.DynUNet", **arguments).check_trusted("a.ckpt")


def test_description_states_the_settings_with_the_sizes_of_the_data():
    assert spec(width=3).describe() == f"mine, {HERE}, channels 2, classes 5, width 3"


def test_lazy_layers_are_initialised_when_the_network_is_built():
    network = ModuleSpec("lazy", "torch.nn.LazyConv2d", 2, 5, 1, 1, {"out_channels": 5, "kernel_size": 1}, []).build()
    assert not any(isinstance(weights, nn.UninitializedParameter) for weights in network.parameters())
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 5, 8, 8)
