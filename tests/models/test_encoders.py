import logging
from functools import cache

import huggingface_hub.constants
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.models.encoders import Encoder, build_encoder
from lss_lightning.models.inception import pad_to_same


@cache
def build(name):
    return build_encoder(name, 3, pretrained=False)


# --- the pyramid


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("resnet18", (2, 4, 8, 16, 32)),
        ("vgg11", (1, 2, 4, 8, 16, 32)),
        ("inception_v3", (2, 4, 8, 16, 32)),
        ("inception_v4", (2, 4, 8, 16, 32)),
        ("inception_resnet_v2", (2, 4, 8, 16, 32)),
        ("efficientnet_b0", (2, 4, 8, 16, 32)),
        ("mobilenetv3_small_050", (2, 4, 8, 16, 32)),
        ("convnext_atto", (4, 8, 16, 32)),
        ("swin_s3_tiny_224", (4, 8, 16, 32)),
    ],
)
def test_maps_have_the_reported_channels_and_strides(name, strides):
    encoder = build(name)
    assert encoder.strides == strides
    with torch.no_grad():
        maps = encoder(torch.randn(2, 3, 64, 160))
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, 64 // stride, 160 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "in_channels"), [("resnet18", 1), ("resnet18", 2), ("resnet18", 3), ("swin_s3_tiny_224", 1)]
)
def test_accepts_one_to_three_channels(name, in_channels):
    encoder = build_encoder(name, in_channels, pretrained=False)
    assert encoder(torch.randn(1, in_channels, 64, 64))[-1].shape[-2:] == (2, 2)


def test_verification_changes_neither_statistics_nor_mode_nor_random_state():
    torch.manual_seed(5)
    plain = timm.create_model("resnet18", features_only=True)
    state_after_plain = torch.get_rng_state()
    torch.manual_seed(5)
    encoder = build_encoder("resnet18", 3, pretrained=False)
    assert torch.equal(torch.get_rng_state(), state_after_plain)
    assert all(module.training for module in encoder.modules())
    for key, tensor in encoder.features.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[key]), key


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_tiny_patch16_224", "is not a pyramid: its maps have strides 16, 16, 16"),
        ("legacy_xception", "reports wrong maps"),
        # Depends on the version of timm.
        ("coat_lite_tiny", "fails on an image of 128x96 pixels|cannot build it as a pyramid"),
        ("halonet26t", "fails on an image of 128x96 pixels"),
        ("resnet18.bogus", r"cannot build it .*Invalid pretrained tag \(bogus\)"),
        ("resnet43", "try resnet34"),
    ],
)
def test_unsuitable_networks_are_refused_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as caught:
        build_encoder(name, 3, pretrained=False)
    assert "\n" not in str(caught.value)


def test_zero_input_channels_are_refused():
    with pytest.raises(UserError, match="0 input channels"):
        build_encoder("resnet18", 0, pretrained=False)


# --- alignment


def average_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """A linear replacement for ``F.max_pool2d`` with the same window."""
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)


def centre_offsets(features, strides, monkeypatch, length=1024):
    """Yield each stride s with the receptive-field centre minus s·i of every channel and cell i of the middle third.

    With averaging filters, average pooling and no normalisation the network is linear with weights w ≥ 0 on positive
    inputs. An image of ones yields Σw, a ramp yields Σw·position, and their ratio is the centre. The image is narrow
    because receptive fields span hundreds of pixels; it is transposed for the other axis.
    """
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    monkeypatch.setattr(F, "max_pool2d", average_pool)
    features.eval()
    ramp = torch.arange(length, dtype=torch.float32) / length
    tall = torch.stack([torch.ones(length), ramp])[:, None, :, None].expand(2, 1, length, 96)
    with torch.no_grad():
        runs = [features(tall), [m.mT for m in features(tall.mT)]]
    for along_axis in runs:
        for stride, (ones, ramps) in zip(strides, along_axis, strict=True):
            centres = (ramps / ones * length).mean(dim=-1)
            cells = torch.arange(centres.shape[-1])
            third = len(cells) // 3
            yield stride, (centres - stride * cells)[:, third:-third]


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("resnet18", lambda s: 0),
        ("resnet34", lambda s: 0),
        ("resnet50", lambda s: 0),
        ("vgg16", lambda s: (s - 1) / 2),
        ("inception_v3", lambda s: 0),
        ("inception_v4", lambda s: 0),
        ("inception_resnet_v2", lambda s: 0),
    ],
)
def test_receptive_fields_are_centred_at_stride_times_index_plus_a_constant(name, offset, monkeypatch):
    encoder = build_encoder(name, 1, pretrained=False)
    for stride, offsets in centre_offsets(encoder, encoder.strides, monkeypatch):
        assert (offsets - offset(stride)).abs().max() < 0.5, f"stride {stride}"


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4", "inception_resnet_v2"])
def test_unpadded_inception_is_misaligned_and_refused(name, monkeypatch):
    features = timm.create_model(name, features_only=True, in_chans=1)
    with pytest.raises(UserError, match=r"reports wrong maps|fails on an image"):
        Encoder(name, features, 1)
    strides = (2, 4, 8, 16, 32)
    worst = {stride: offsets.max() for stride, offsets in centre_offsets(features, strides, monkeypatch)}
    assert all(worst[stride] >= stride for stride in strides), worst


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4", "inception_resnet_v2"])
def test_padding_changes_no_weights(name):
    torch.manual_seed(0)
    features = timm.create_model(name, features_only=True)
    before = {key: tensor.clone() for key, tensor in features.state_dict().items()}
    pad_to_same(features)
    after = features.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


# --- pretrained weights


def full_state(name, **kwargs):
    """State dict as on timm's hub, with the classifier and without default values."""
    torch.manual_seed(7)
    state = timm.create_model(name, **kwargs).state_dict()
    return {key: t + 0.01 * torch.rand_like(t) if t.is_floating_point() else t for key, t in state.items()}


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "inception_v3", "mobilenetv3_small_050"])
def test_local_file_is_loaded_without_its_classifier(name, tmp_path, caplog):
    state = full_state(name, num_classes=7)
    torch.save(state, tmp_path / "weights.pth")
    with caplog.at_level(logging.INFO, "lss_lightning"):
        encoder = build_encoder(name, 3, str(tmp_path / "weights.pth"))
    in_file = {key.replace(".", "_"): tensor for key, tensor in state.items()}
    own = {key: tensor for key, tensor in encoder.features.state_dict().items() if tensor.is_floating_point()}
    for key, tensor in own.items():
        assert torch.equal(tensor, in_file[key.replace(".", "_")]), key
    assert f"{len(own)} of {len(own)} tensors loaded" in caplog.text


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_local_file_in_features_only_form_is_loaded(suffix, tmp_path):
    state = timm.create_model("convnext_atto", features_only=True).state_dict()
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    encoder = build_encoder("convnext_atto", 3, str(path))
    assert all(torch.equal(tensor, state[key]) for key, tensor in encoder.features.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_colour_weights_are_summed_for_one_channel(name, tmp_path):
    state = full_state(name)
    torch.save(state, tmp_path / "weights.pth")
    encoder = build_encoder(name, 1, str(tmp_path / "weights.pth"))
    first = next(iter(encoder.features.state_dict().values()))
    colour = next(iter(state.values()))
    torch.testing.assert_close(first, colour.sum(dim=1, keepdim=True))


def write_weights(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    return path


def remove_keys(state, part):
    return {key: tensor for key, tensor in state.items() if part not in key}


def truncate_tensors(state):
    return {key: tensor[:7] if tensor.ndim else tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("resnet18", lambda: b"", "cannot be read as weights"),
        ("resnet18", lambda: b"<html>404</html>", "cannot be read as weights"),
        ("resnet18", lambda: {"epoch": 3}, "contains no tensors"),
        ("resnet18", lambda: full_state("convnext_atto"), "fits 0 of the 100 tensors of encoder resnet18"),
        (
            "resnet18",
            lambda: remove_keys(full_state("resnet18"), "layer4.1"),
            "fits 90 of the 100 .* missing is layer4.1",
        ),
        ("convnext_atto", lambda: remove_keys(full_state("convnext_atto"), "stages.3"), "of the 124 .* is stages_3"),
        ("resnet18", lambda: full_state("resnet34"), "is of a deeper network .* has no layer1.2.conv1.weight"),
        ("convnext_pico", lambda: full_state("convnext_pico", depths=(2, 2, 7, 2)), "has no stages.2.blocks.6"),
        (
            "resnet18",
            lambda: truncate_tensors(full_state("resnet18")),
            "does not fit encoder resnet18: .*size mismatch",
        ),
    ],
    ids=[
        "empty",
        "html",
        "no tensors",
        "other network",
        "a block short",
        "a stage short",
        "a deeper network",
        "a deeper stage",
        "other widths",
    ],
)
def test_mismatched_local_file_is_refused_in_one_line(name, content, message, tmp_path):
    path = write_weights(tmp_path, content())
    with pytest.raises(UserError, match=message) as caught:
        build_encoder(name, 3, str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_local_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file; give true, false or the path"):
        build_encoder("resnet18", 3, str(tmp_path / "none.pth"))


def test_failed_download_suggests_remedies(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        build_encoder("resnet18", 3, pretrained=True)
    message = str(caught.value)
    assert "offline" in message
    assert "set model.pretrained=false, or give a local weights file with model.pretrained=<path>" in message
    assert "\n" not in message


def test_network_without_pretrained_weights_is_refused():
    with pytest.raises(UserError, match=r"timm has no pretrained weights for encoder resnet50t; set model\.pretrained"):
        build_encoder("resnet50t", 3, pretrained=True)
