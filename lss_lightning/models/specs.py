"""Specifications of networks, as plain data that checkpoints store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.runs.trust import check_no_resolver, check_stored_section

if TYPE_CHECKING:
    from lss_lightning.models.adapter import NetworkAdapter
    from lss_lightning.models.unet import UNet

Pretrained = bool | str | Mapping[str, Any]
"""The setting ``model.pretrained``: true, false or a file for the U-Net, and arguments for other networks."""

_EXTRAS = {
    "segmentation_models_pytorch": ("segmentation_models_pytorch", "smp"),
    "monai.networks.nets.SwinUNETR": ("einops", "monai"),
}
"""Optional packages, and the extras that install them, by the prefix of the target."""


@dataclass(frozen=True)
class UNetSpec:
    """The architecture of this project's U-Net.

    Attributes:
        model: Name of the model, e.g. ``resunet``.
        encoder: Name of the encoder in timm.
        in_channels: Number of image channels.
        classes: Number of classes.
        upsampling: ``transpose``, ``nearest`` or ``bilinear``.
        decoder_channels: Filters of the decoder blocks, from the deepest one to full resolution.
    """

    model: str
    encoder: str
    in_channels: int
    classes: int
    upsampling: str
    decoder_channels: list[int]

    def build(self, pretrained: Pretrained = False) -> UNet:
        """Build the network.

        Args:
            pretrained: Weights of the encoder, as for :func:`~lss_lightning.models.encoders.build_encoder`.

        Raises:
            UserError: If the encoder cannot be built.
        """
        from lss_lightning.models.encoders import build_encoder
        from lss_lightning.models.unet import UNet

        assert isinstance(pretrained, bool | str)
        encoder = build_encoder(self.encoder, self.in_channels, pretrained)
        return UNet(encoder, self.classes, self.decoder_channels, self.upsampling)  # type: ignore[arg-type]

    def describe(self) -> str:
        """Return the architecture in words."""
        filters = ", ".join(map(str, self.decoder_channels))
        return f"{self.model}, encoder {self.encoder}, {self.upsampling} up-sampling, decoder filters {filters}"

    def check_trusted(self, source: str) -> None:
        """Do nothing: the U-Net is part of this project."""


@dataclass(frozen=True)
class ModuleSpec:
    """The architecture of a network whose class is given as ``model._target_``.

    Attributes:
        model: Name of the model, e.g. ``dynunet``.
        target: Full name of the class, a subclass of ``torch.nn.Module``.
        in_channels: Number of image channels.
        classes: Number of classes.
        divisor: The network supports only heights and widths that are multiples of this number.
        min_size: Minimum height and width that the network supports, in pixels.
        arguments: Arguments of the class as plain data. At any depth, the text ``auto_channels`` is replaced
            by ``in_channels``, and ``auto_classes`` by ``classes``.
        weight_arguments: Names of the arguments that load initial weights. These arguments are None except at the
            start of a training run.
    """

    model: str
    target: str
    in_channels: int
    classes: int
    divisor: int
    min_size: int
    arguments: dict[str, Any]
    weight_arguments: list[str]

    def build(self, pretrained: Pretrained = False) -> NetworkAdapter:
        """Build the network, and test it on a small image.

        Args:
            pretrained: The arguments that load initial weights, or False for random weights.

        Raises:
            UserError: If the network cannot be built, or does not map images to logits of the same size.
        """
        from torch import nn

        from lss_lightning.models.adapter import NetworkAdapter
        from lss_lightning.models.instantiate import instantiate_section

        check_installed(self.target)
        arguments = self._fill({**self.arguments, **dict.fromkeys(self.weight_arguments)})
        weights = pretrained if isinstance(pretrained, Mapping) else {}
        network = instantiate_section("model", {**arguments, **weights, "_target_": self.target})
        if not isinstance(network, nn.Module):
            raise UserError(
                f"model._target_={self.target}: gives {type(network).__name__}, not a network; name a subclass of "
                "torch.nn.Module"
            )
        adapter = NetworkAdapter(network, self.target, self.classes, self.divisor, self.min_size)
        adapter.try_out(self.in_channels)
        return adapter

    def describe(self) -> str:
        """Return the architecture in words."""
        arguments = [f"{key} {format_setting(value)}" for key, value in self._fill(self.arguments).items()]
        return ", ".join((self.model, self.target, *arguments))

    def check_trusted(self, source: str) -> None:
        """Check that the network may be built from a checkpoint.

        Args:
            source: The checkpoint, for the message.

        Raises:
            UserError: If the class is neither listed by this project nor trusted by the user, or if an argument names
                a class or could call an OmegaConf resolver.
        """
        section = {**self.arguments, "_target_": self.target}
        check_no_resolver("model", section, source)
        check_stored_section("model", section, source)

    def _fill(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        sizes = {"auto_channels": self.in_channels, "auto_classes": self.classes}
        return sizes.get(value, value) if isinstance(value, str) else value


NetworkSpec = UNetSpec | ModuleSpec
"""The specification of a network."""


def read_spec(plain: Mapping[str, Any]) -> NetworkSpec:
    """Create the specification of a network from plain data."""
    return ModuleSpec(**plain) if "target" in plain else UNetSpec(**plain)


def check_installed(target: str) -> None:
    """Check that the package of a network is installed.

    Args:
        target: Full name of the class.

    Raises:
        UserError: If the package is missing; the message names the extra that installs it, if there is one.
    """
    package = target.partition(".")[0]
    required = {package: None, **{name: extra for key, (name, extra) in _EXTRAS.items() if target.startswith(key)}}
    for name, extra in required.items():
        if not _is_installed(name):
            remedy = f'pip install "lss-lightning[{extra}]"' if extra else "install it, or add its folder to PYTHONPATH"
            raise UserError(f"model._target_={target}: the package {name} is not installed; {remedy}")


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # an empty name, or __main__
        return False
