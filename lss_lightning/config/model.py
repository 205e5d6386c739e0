"""The ``model`` and ``encoder`` sections: a U-Net around an encoder, or any other network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Required

from pydantic import PositiveInt, StrictStr
from typing_extensions import TypedDict

from lss_lightning.config.targets import check_target
from lss_lightning.config.validation import build, check_is_section, validate_open
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name


@dataclass(frozen=True)
class EncoderConfig:
    """``encoder``: the encoder of the U-Net.

    Attributes:
        name: Name of a timm network, or None for a network without a separate encoder.
    """

    name: str | None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_encoder_name(self.name)


@dataclass(frozen=True)
class ModelConfig:
    """``model``: the U-Net around the encoder.

    Attributes:
        name: Name in tables and default run names.
        pretrained: Whether the encoder starts from timm's ImageNet weights, or the path of a weights file.
        upsampling: ``transpose`` (transposed convolution, as in the paper), ``nearest`` or ``bilinear``.
        decoder_channels: Filters of the decoder's blocks, from the deepest block to full resolution.
    """

    name: str
    pretrained: bool | StrictStr = False
    upsampling: Literal["transpose", "nearest", "bilinear"] = "transpose"
    decoder_channels: list[int] = field(default_factory=lambda: [256, 128, 64, 32, 16])

    def __post_init__(self) -> None:
        if not self.decoder_channels or min(self.decoder_channels) < 1:
            channels = format_setting(self.decoder_channels)
            raise UserError(f"model.decoder_channels={channels}: give one or more whole numbers from 1")


@dataclass(frozen=True)
class NetworkConfig:
    """``model`` with a ``_target_``: any other network.

    Attributes:
        name: Name in tables and default run names.
        target: Full name of the class.
        arguments: Arguments of the class.
        divisor: The network supports only heights and widths that are multiples of this number.
        min_size: Minimum height and width that the network supports, in pixels.
        pretrained: Arguments that load initial weights at the start of a training run.
    """

    name: str
    target: str
    arguments: dict[str, Any]
    divisor: int = 1
    min_size: int = 1
    pretrained: dict[str, Any] = field(default_factory=dict)


class NetworkSettings(TypedDict, total=False):
    """Keys of ``model`` in addition to the arguments of the class in ``_target_``; see :class:`NetworkConfig`."""

    name: Required[str]
    divisor: PositiveInt
    min_size: PositiveInt
    pretrained: dict[str, bool | StrictStr | None]


def build_model(values: Any) -> ModelConfig | NetworkConfig:
    """Build the ``model`` section: any network if it has a ``_target_``, otherwise the U-Net.

    Args:
        values: The section as plain data.

    Raises:
        UserError: If a key or value is not allowed.
    """
    check_is_section(values, "model")
    if values.get("_target_") is None:
        return build(ModelConfig, values, "model")
    section = validate_open(NetworkSettings, values, "model")
    check_target(section, "model", "give the full name of a class")
    own = {key: section.pop(key) for key in NetworkSettings.__annotations__ if key in section}
    return NetworkConfig(target=section.pop("_target_"), arguments=section, **own)


def check_encoder_is_used(model: NetworkConfig, encoder: EncoderConfig, section: Any) -> None:
    """Check that a network other than the U-Net uses the chosen encoder, as ``${encoder.name}``.

    Args:
        model: The network.
        encoder: The encoder.
        section: The ``model`` section with unresolved interpolations.

    Raises:
        UserError: If an encoder is chosen but not used, or is missing.
    """
    is_used = "${encoder." in str(section)
    if is_used is (encoder.name is None):
        problem = (
            "needs an encoder; choose one"
            if is_used
            else "takes none; add encoder=none, or base its file on model/custom"
        )
        raise UserError(f"encoder={encoder.name or 'none'}: model={model.name} {problem}")
