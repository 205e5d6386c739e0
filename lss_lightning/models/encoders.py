"""Encoders: timm's networks as pyramids of feature maps whose strides are exact, with their pretrained weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv, is_model_pretrained, load_state_dict
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name
from lss_lightning.models.inception import INCEPTION, pad_to_same

log = logging.getLogger(__name__)


class Encoder(nn.Module):
    """A pyramid of feature maps, fine to coarse.

    Construction runs the network on two small blank images and so proves the strides it states; neither batch-norm
    statistics nor the state of the random generators change.

    Args:
        name: For messages.
        features: A network as timm builds it with ``features_only=True``.
        in_channels: Channels of the input.

    Attributes:
        channels: Channels of each map.
        strides: Input pixels per cell of each map: ascending powers of two, e.g. (2, 4, 8, 16, 32).

    Raises:
        UserError: the network is no pyramid, misstates its strides, or takes images of one size only.
    """

    def __init__(self, name: str, features: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.name = name
        self.features = features
        info: Any = features.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.strides: tuple[int, ...] = tuple(info.reduction())
        self._channels_come_last = getattr(features, "output_fmt", "NCHW") == "NHWC"
        self._check_pyramid()
        self._check_strides(in_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode.

        Args:
            x: (B, C, H, W), H and W multiples of the largest stride.

        Returns:
            For each stride s and its number of channels K a map (B, K, H/s, W/s).
        """
        maps: list[Tensor] = self.features(x)
        return [m.permute(0, 3, 1, 2) for m in maps] if self._channels_come_last else maps

    def _check_pyramid(self) -> None:
        halving = all(stride.bit_count() == 1 for stride in self.strides)
        if len(self.strides) < 2 or not halving or sorted(set(self.strides)) != list(self.strides):
            raise UserError(
                f"encoder {self.name} is no pyramid: its maps have strides {_listed(self.strides)}, "
                "a U-Net needs ascending powers of two; choose another, e.g. resnet34"
            )

    @torch.no_grad()
    def _check_strides(self, in_channels: int) -> None:
        coarsest = self.strides[-1]
        self.eval()
        for height, width in ((4 * coarsest, 3 * coarsest), (coarsest, 2 * coarsest)):
            try:
                sizes = [tuple(m.shape[1:]) for m in self(torch.zeros(1, in_channels, height, width))]
            except Exception as error:  # a network fails on a size it cannot take in its own way
                raise UserError(
                    f"encoder {self.name} fails on an image of {height}x{width} pixels ({_reason(error)}): a U-Net "
                    "needs one that takes images of any size; choose another, e.g. resnet34"
                ) from error
            exact = [(c, height // s, width // s) for c, s in zip(self.channels, self.strides, strict=True)]
            if sizes != exact:
                raise UserError(
                    f"encoder {self.name} misstates its maps: for {height}x{width} pixels they are {_listed(sizes)} "
                    f"(channels, height, width) and should be {_listed(exact)}, so they would not lie on the image; "
                    "choose another, e.g. resnet34"
                )
        self.train()


def build_encoder(name: str, in_channels: int, pretrained: bool | str) -> Encoder:
    """Build an encoder by its timm name.

    Args:
        name: Any network of timm that yields a pyramid, e.g. ``resnet34``; a tag, as in ``resnet34.a1_in1k``, picks
            one of several sets of weights.
        in_channels: Channels of the input, at least 1. Pretrained weights of the first layer, made for three, are
            adapted: summed for one channel, cycled and rescaled for other numbers.
        pretrained: False for random weights, True for timm's ImageNet weights (downloaded once), or the path of a
            local file (``.pth``, ``.pt``, ``.safetensors``): a state dict of the timm network, with or without its
            classifier.

    Returns:
        The encoder, in training mode.

    Raises:
        UserError: unknown name; no pyramid with exact strides; weights that cannot be downloaded, read or matched.
    """
    check_encoder_name(name)
    if in_channels < 1:
        raise UserError(
            f"an encoder with {in_channels} input channels was asked for: 1 is the least, up to 3 are usual"
        )
    if isinstance(pretrained, str):
        features = _with_local_weights(name, in_channels, Path(pretrained).expanduser())
    elif pretrained:
        features = _with_imagenet_weights(name, in_channels)
    else:
        features = _without_weights(name, in_channels)
    if name.split(".")[0] in INCEPTION:
        pad_to_same(features)
    return Encoder(name, features, in_channels)


def _create(name: str, in_channels: int, **weights: Any) -> nn.Module:
    # Swin's windows are padded to any map, but timm lets them only when told so; others have no such option.
    any_size: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    return timm.create_model(name, features_only=True, in_chans=in_channels, **any_size, **weights)


def _without_weights(name: str, in_channels: int) -> nn.Module:
    try:
        return _create(name, in_channels)
    except Exception as error:  # timm's networks refuse features_only and in_chans each in their own way
        raise UserError(
            f"encoder {name}: timm cannot build it as a pyramid for {in_channels} input channels ({_reason(error)}); "
            "choose another, e.g. resnet34"
        ) from error


def _with_imagenet_weights(name: str, in_channels: int) -> nn.Module:
    if not is_model_pretrained(name):
        raise UserError(
            f"timm has no pretrained weights for encoder {name}: set model.pretrained=false, or give a local weights "
            "file with model.pretrained=<path>"
        )
    try:
        return _create(name, in_channels, pretrained=True)
    except Exception as error:  # the hub's client raises whatever its HTTP library does
        _without_weights(name, in_channels)  # raises if the network itself, not the download, is at fault
        raise UserError(
            f"the pretrained weights of encoder {name} could not be downloaded ({_reason(_root(error))}): set "
            "model.pretrained=false, or give a local weights file with model.pretrained=<path>"
        ) from error


def _with_local_weights(name: str, in_channels: int, path: Path) -> nn.Module:
    weights = _read_weights(path)
    features = _without_weights(name, in_channels)
    needed = [key for key, tensor in features.state_dict().items() if tensor.is_floating_point()]
    try:
        if weights.keys() >= set(needed):
            matched = needed
            _load_pyramid(features, weights, in_channels)
        else:
            matched = _matched_by_timm(name, in_channels, weights, needed)
            features = _create(
                name, in_channels, pretrained=True, pretrained_cfg_overlay={"file": str(path), "custom_load": False}
            )
    except Exception as error:  # load_state_dict and timm's converters of old key names
        raise UserError(f"model.pretrained={path} does not fit encoder {name}: {_reason(error)}") from error
    if len(matched) < len(needed):
        missing = next(key for key in needed if key not in matched)
        raise UserError(
            f"model.pretrained={path} fits {len(matched)} of the {len(needed)} tensors of encoder {name}, the first "
            f"missing is {missing}: give a state dict of timm's {name}, or set model.pretrained=false"
        )
    if deeper := _layers_of_a_deeper_network(features, weights):
        raise UserError(
            f"model.pretrained={path} is of a deeper network than encoder {name}, which has no {deeper[0]}: give a "
            f"state dict of timm's {name}, or set encoder.name to the file's network"
        )
    log.info("encoder %s: %d of %d tensors loaded from %s", name, len(matched), len(needed), path)
    return features


def _load_pyramid(features: nn.Module, weights: dict[str, Tensor], in_channels: int) -> None:
    """Load tensors named as in the ``features_only`` form, adapting a first convolution made for three channels."""
    own = features.state_dict()
    fitting = {}
    for key in own.keys() & weights.keys():
        first = weights[key].ndim == 4 and weights[key].shape[1] == 3 and own[key].shape[1] == in_channels
        fitting[key] = adapt_input_conv(in_channels, weights[key]) if first else weights[key]
    features.load_state_dict(fitting, strict=False)


def _matched_by_timm(name: str, in_channels: int, weights: dict[str, Tensor], needed: list[str]) -> list[str]:
    """Which of the needed tensors timm finds in a file.

    timm knows each network's older key names and converts the first layer, but it does not say what it loaded, and
    keeps random values where nothing matched. So a file full of NaN is loaded in its place, as a dye.
    """
    dye = {key: torch.full_like(t, torch.nan) if t.is_floating_point() else t for key, t in weights.items()}
    dyed = _create(name, in_channels, pretrained=True, pretrained_cfg_overlay={"state_dict": dye}).state_dict()
    return [key for key in needed if dyed[key].isnan().any()]


def _layers_of_a_deeper_network(features: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    """Weights in the file that lie inside the encoder's own stages, but belong to none of its layers.

    A ResNet-34 has every tensor of a ResNet-18, so counting matches is not enough. Files with older key names, which
    timm converts, are not judged; a classifier and other layers outside the encoder's stages do not count.
    """
    own = {key.replace(".", "_") for key, tensor in features.state_dict().items() if tensor.is_floating_point()}
    given = {key.replace(".", "_"): key for key in weights}
    if not own <= given.keys():
        return []
    stages = tuple(f"{name}_" for name, stage in features.named_children() if stage.state_dict())
    return [given[k] for k in given if k not in own and k.startswith(stages) and k.endswith("_weight")]


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"model.pretrained={path}: no such file; give true, false or the path of a weights file")
    try:
        weights = load_state_dict(str(path), weights_only=True)
        tensors = {key: value for key, value in weights.items() if isinstance(value, Tensor)}
    except Exception as error:  # zip, pickle and safetensors readers share no class of errors
        raise UserError(
            f"model.pretrained={path} cannot be read as weights ({_reason(error)}): give a .pth, .pt or .safetensors "
            "file that holds a state dict"
        ) from error
    if not tensors:
        raise UserError(f"model.pretrained={path} holds no tensors: give a file that holds a state dict")
    return tensors


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))


def _root(error: BaseException) -> BaseException:
    """The error that began the chain: of a failed download, the network's rather than the hub client's advice."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def _reason(error: BaseException) -> str:
    """An exception in one short line."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
