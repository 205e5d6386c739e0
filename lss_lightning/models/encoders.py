"""Encoders: timm's networks as feature pyramids with exact strides, and their pretrained weights."""

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
from lss_lightning.models.inception import INCEPTION_ENCODERS, pad_to_same

log = logging.getLogger(__name__)


class Encoder(nn.Module):
    """An encoder that computes a pyramid of feature maps, fine to coarse.

    The constructor verifies the strides that the network reports by running it on two small blank images. This changes
    neither batch-norm statistics nor the state of random generators.

    Args:
        name: Name of the network, for error messages.
        features: A network created by timm with ``features_only=True``.
        in_channels: Number of input channels.

    Attributes:
        channels: Number of channels of each map.
        strides: Input pixels per pixel of each map: ascending powers of two, e.g. (2, 4, 8, 16, 32).

    Raises:
        UserError: If the network is not a pyramid, reports wrong strides, or accepts images of a single size only.
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
        """Compute the feature maps of images.

        Args:
            x: (B, C, H, W) float, H and W multiples of the largest stride.

        Returns:
            For each stride s, a map (B, K, H/s, W/s) with K channels as given by :attr:`channels`.
        """
        maps: list[Tensor] = self.features(x)
        return [m.permute(0, 3, 1, 2) for m in maps] if self._channels_come_last else maps

    def _check_pyramid(self) -> None:
        halving = all(stride.bit_count() == 1 for stride in self.strides)
        if len(self.strides) < 2 or not halving or sorted(set(self.strides)) != list(self.strides):
            raise UserError(
                f"encoder {self.name} is not a pyramid: its maps have strides {_join(self.strides)}, but a U-Net needs "
                "ascending powers of two; choose another encoder, e.g. resnet34"
            )

    @torch.no_grad()
    def _check_strides(self, in_channels: int) -> None:
        coarsest = self.strides[-1]
        self.eval()
        for height, width in ((4 * coarsest, 3 * coarsest), (coarsest, 2 * coarsest)):
            try:
                sizes = [tuple(m.shape[1:]) for m in self(torch.zeros(1, in_channels, height, width))]
            except Exception as error:  # networks fail on an unsupported size with different exceptions
                raise UserError(
                    f"encoder {self.name} fails on an image of {height}x{width} pixels ({_shorten(error)}), but "
                    "a U-Net needs an encoder for images of any size; choose another one, e.g. resnet34"
                ) from error
            expected = [(c, height // s, width // s) for c, s in zip(self.channels, self.strides, strict=True)]
            if sizes != expected:
                raise UserError(
                    f"encoder {self.name} reports wrong maps: for {height}x{width} pixels they are {_join(sizes)} "
                    f"(channels, height, width) instead of {_join(expected)}, so they are not aligned with the image; "
                    "choose another encoder, e.g. resnet34"
                )
        self.train()


def build_encoder(name: str, in_channels: int, pretrained: bool | str) -> Encoder:
    """Build an encoder by its name in timm.

    Args:
        name: Name of a network that has a feature pyramid, e.g. ``resnet34``. A tag, as in ``resnet34.a1_in1k``,
            selects one of several sets of weights.
        in_channels: Number of input channels, at least 1. The pretrained weights of the first layer, which are for
            three channels, are summed for one channel, and cycled and rescaled for other numbers.
        pretrained: False for random weights, True for timm's ImageNet weights (downloaded once), or the path of a
            local file (``.pth``, ``.pt``, ``.safetensors``): a state dict of the timm network, with or without its
            classifier.

    Returns:
        The encoder, in training mode.

    Raises:
        UserError: If the name is unknown, the network has no pyramid with exact strides, or its weights cannot be
            downloaded, read or matched.
    """
    check_encoder_name(name)
    if in_channels < 1:
        raise UserError(f"an encoder cannot have {in_channels} input channels; use at least 1, usually up to 3")
    if isinstance(pretrained, str):
        features = _with_local_weights(name, in_channels, Path(pretrained).expanduser())
    elif pretrained:
        features = _with_imagenet_weights(name, in_channels)
    else:
        features = _without_weights(name, in_channels)
    if name.split(".")[0] in INCEPTION_ENCODERS:
        pad_to_same(features)
    return Encoder(name, features, in_channels)


def _create(name: str, in_channels: int, **weights: Any) -> nn.Module:
    # Swin pads its windows to any map size only with this option, which other networks do not have.
    any_size: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    return timm.create_model(name, features_only=True, in_chans=in_channels, **any_size, **weights)


def _without_weights(name: str, in_channels: int) -> nn.Module:
    try:
        return _create(name, in_channels)
    except Exception as error:  # networks reject features_only or in_chans with different exceptions
        raise UserError(
            f"encoder {name}: timm cannot build it as a pyramid for {in_channels} input channels ({_shorten(error)}); "
            "choose another encoder, e.g. resnet34"
        ) from error


def _with_imagenet_weights(name: str, in_channels: int) -> nn.Module:
    if not is_model_pretrained(name):
        raise UserError(
            f"timm has no pretrained weights for encoder {name}; set model.pretrained=false, or give a local weights "
            "file with model.pretrained=<path>"
        )
    try:
        return _create(name, in_channels, pretrained=True)
    except Exception as error:  # the hub client raises the errors of its HTTP library
        _without_weights(name, in_channels)  # raises if the network, not the download, is the problem
        raise UserError(
            f"the pretrained weights of encoder {name} could not be downloaded ({_shorten(_find_root(error))}); set "
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
            matched = _find_matches(name, in_channels, weights, needed)
            features = _create(
                name, in_channels, pretrained=True, pretrained_cfg_overlay={"file": str(path), "custom_load": False}
            )
    except Exception as error:  # from load_state_dict, or timm's converters of old key names
        raise UserError(f"model.pretrained={path} does not fit encoder {name}: {_shorten(error)}") from error
    if len(matched) < len(needed):
        missing = next(key for key in needed if key not in matched)
        raise UserError(
            f"model.pretrained={path} fits {len(matched)} of the {len(needed)} tensors of encoder {name}, the first "
            f"missing is {missing}; give a state dict of timm's {name}, or set model.pretrained=false"
        )
    if extra := _find_extra_layers(features, weights):
        raise UserError(
            f"model.pretrained={path} is of a deeper network than encoder {name}, which has no {extra[0]}; give a "
            f"state dict of timm's {name}, or set encoder.name to the file's network"
        )
    log.info("encoder %s: %d of %d tensors loaded from %s", name, len(matched), len(needed), path)
    return features


def _load_pyramid(features: nn.Module, weights: dict[str, Tensor], in_channels: int) -> None:
    """Load weights with the key names of a ``features_only`` network, and adapt a first layer for three channels."""
    own = features.state_dict()
    adapted = {}
    for key in own.keys() & weights.keys():
        first = weights[key].ndim == 4 and weights[key].shape[1] == 3 and own[key].shape[1] == in_channels
        adapted[key] = adapt_input_conv(in_channels, weights[key]) if first else weights[key]
    features.load_state_dict(adapted, strict=False)


def _find_matches(name: str, in_channels: int, weights: dict[str, Tensor], needed: list[str]) -> list[str]:
    """Return the needed tensors that timm finds in a file.

    timm converts older key names and the first layer of each network, but it does not report which tensors it loaded,
    and keeps random values for tensors without a match. Therefore, NaN is loaded as a marker instead of the values in
    the file.
    """
    marked = {key: torch.full_like(t, torch.nan) if t.is_floating_point() else t for key, t in weights.items()}
    loaded = _create(name, in_channels, pretrained=True, pretrained_cfg_overlay={"state_dict": marked}).state_dict()
    return [key for key in needed if loaded[key].isnan().any()]


def _find_extra_layers(features: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    """Return the names of the weights in a file that are inside the encoder's stages but belong to none of its layers.

    A ResNet-34 has every tensor of a ResNet-18, so counting matches is not sufficient. Files with older key names,
    which timm converts, are not checked. A classifier and other layers outside the encoder's stages are permitted.
    """
    own = {key.replace(".", "_") for key, tensor in features.state_dict().items() if tensor.is_floating_point()}
    in_file = {key.replace(".", "_"): key for key in weights}
    if not own <= in_file.keys():
        return []
    stages = tuple(f"{name}_" for name, stage in features.named_children() if stage.state_dict())
    return [in_file[k] for k in in_file if k not in own and k.startswith(stages) and k.endswith("_weight")]


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"model.pretrained={path}: no such file; give true, false or the path of a weights file")
    try:
        weights = load_state_dict(str(path), weights_only=True)
        tensors = {key: value for key, value in weights.items() if isinstance(value, Tensor)}
    except Exception as error:  # zip, pickle and safetensors readers have no common error class
        raise UserError(
            f"model.pretrained={path} cannot be read as weights ({_shorten(error)}); give a .pth, .pt or .safetensors "
            "file with a state dict"
        ) from error
    if not tensors:
        raise UserError(f"model.pretrained={path} contains no tensors; give a file with a state dict")
    return tensors


def _join(values: Any) -> str:
    return ", ".join(map(str, values))


def _find_root(error: BaseException) -> BaseException:
    """Return the root error of a chain, e.g. a download's network error instead of the hub client's advice."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def _shorten(error: BaseException) -> str:
    """Format an exception as one short line."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
