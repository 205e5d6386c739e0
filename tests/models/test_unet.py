from functools import cache
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models._features import FeatureInfo
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.models.encoders import Encoder, build_encoder
from lss_lightning.models.unet import UNet


@cache
def unet(name, in_channels=3, upsampling="transpose"):
    torch.manual_seed(0)
    return UNet(build_encoder(name, in_channels, pretrained=False), classes=6, upsampling=upsampling).eval()


def block_shapes(network):
    """Input and output channels of the first convolution of each block and of the head."""
    convs = [block.conv1[0] for block in network.decoder] + [network.head]
    return [(conv.in_channels, conv.out_channels) for conv in convs]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (100, 75), (96, 160), (155, 160)])
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "convnext_atto", "swin_s3_tiny_224"])
def test_logits_have_the_size_of_the_image(name, size):
    with torch.no_grad():
        assert unet(name)(torch.randn(2, 3, *size)).shape == (2, 6, *size)


@pytest.mark.parametrize(
    "name",
    [
        "resnet34",
        "vgg16",
        "inception_v3",
        "inception_v4",
        "inception_resnet_v2",
        "efficientnet_b0",
        "mobilenetv3_small_050",
        "densenet121",
        "swinv2_cr_tiny_ns_224",
    ],
)
def test_all_encoder_families_accept_odd_sizes(name):
    with torch.no_grad():
        logits = unet(name)(torch.randn(1, 3, 33, 70))
    assert logits.shape == (1, 6, 33, 70)
    assert logits.isfinite().all()


@pytest.mark.parametrize("in_channels", [1, 2, 3])
def test_accepts_one_to_three_channels(in_channels):
    with torch.no_grad():
        assert unet("resnet18", in_channels)(torch.randn(1, in_channels, 64, 64)).shape == (1, 6, 64, 64)


@pytest.mark.parametrize(
    ("name", "upsampling"),
    [("resnet18", "transpose"), ("resnet18", "nearest"), ("resnet18", "bilinear"), ("vgg11", "transpose")],
)
def test_all_parameters_receive_gradients(name, upsampling):
    network = UNet(build_encoder(name, 1, pretrained=False), classes=3, upsampling=upsampling)
    network(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def test_default_decoder_is_that_of_the_paper():
    network = unet("resnet34")
    ups = [block.upsample for block in network.decoder]
    assert all(isinstance(up, nn.ConvTranspose2d) and up.stride == (2, 2) for up in ups)
    assert [(up.in_channels, up.out_channels) for up in ups] == [(512, 256), (256, 128), (128, 64), (64, 32), (32, 16)]
    assert block_shapes(network) == [(512, 256), (256, 128), (128, 64), (96, 32), (16, 16), (16, 6)]


def test_interpolation_keeps_all_channels_of_the_coarser_map():
    assert block_shapes(unet("resnet34", upsampling="nearest")) == [
        (768, 256),
        (384, 128),
        (192, 64),
        (128, 32),
        (32, 16),
        (16, 6),
    ]


@pytest.fixture(params=["noise", "real"])
def image(request):
    """Four images, (4, 3, H, W), with H and W multiples of 32."""
    if request.param == "noise":
        return torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    paths = sorted(request.getfixturevalue("sample").rglob("C1_*.png"))[:4]
    pixels = [torch.from_numpy(np.array(Image.open(path)))[:224, :224].permute(2, 0, 1) for path in paths]
    return torch.stack(pixels) / 255


def test_interpolating_unet_equals_that_of_segmentation_models_pytorch(image):
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs pip install -e .[dev]")
    torch.manual_seed(0)
    ours = UNet(build_encoder("resnet34", 3, pretrained=False), classes=6, upsampling="nearest")
    theirs = smp.Unet("resnet34", encoder_weights=None, classes=6, decoder_interpolation="nearest")
    with torch.no_grad():
        ours(image)  # updates the statistics of batch norm
        names = {"encoder.features": "encoder", "decoder": "decoder.blocks", "head": "segmentation_head.0"}
        state = {}
        for key, weights in ours.state_dict().items():
            [part] = [name for name in names if key.startswith(f"{name}.")]
            state[names[part] + key.removeprefix(part)] = weights
        theirs.load_state_dict(state)
        expected = theirs.eval()(image)
        assert expected.std() > 0.01
        torch.testing.assert_close(ours.eval()(image), expected, rtol=0, atol=1e-5)


def test_last_skip_of_vgg_has_full_resolution():
    assert unet("vgg16").decoder[-1].conv1[0].in_channels == 16 + 64


def test_encoders_without_a_stride_2_map_have_two_blocks_without_skip():
    network = unet("convnext_atto")
    assert [block.conv1[0].in_channels - block.upsample.out_channels for block in network.decoder] == [
        160,
        80,
        40,
        0,
        0,
    ]


def test_block_upsamples_concatenates_the_skip_and_convolves_twice():
    block = unet("resnet18", upsampling="nearest").decoder[0]
    x, skip = torch.randn(1, 512, 2, 3), torch.randn(1, 256, 4, 6)
    expected = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1)
    for conv, norm, _ in (block.conv1, block.conv2):
        assert conv.bias is None
        expected = F.relu(norm(F.conv2d(expected, conv.weight, padding=1)))
    with torch.no_grad():
        torch.testing.assert_close(block(x, skip), expected)


def test_odd_sizes_are_padded_with_zeros_at_the_right_and_bottom():
    network = unet("resnet18")
    image = torch.randn(1, 3, 33, 47)
    padded = torch.zeros(1, 3, 64, 64)
    padded[..., :33, :47] = image
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(padded)[..., :33, :47])


@pytest.mark.parametrize("size", [(31, 64), (64, 31)])
def test_images_below_32_pixels_are_refused(size):
    with pytest.raises(UserError, match=f"image of {size[0]}x{size[1]} pixels: the minimum is 32x32"):
        unet("resnet18")(torch.randn(1, 3, *size))


class ThreeStages(nn.ModuleList):
    """A pyramid of strides 2, 4, 8 with the interface of timm."""

    def __init__(self):
        super().__init__(nn.Conv2d(c, 2 * c, kernel_size=2, stride=2) for c in (1, 2, 4))
        self.feature_info = FeatureInfo(
            [{"num_chs": 2**i, "reduction": 2**i, "module": str(i)} for i in (1, 2, 3)], out_indices=(0, 1, 2)
        )

    def forward(self, x):
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


def test_shallow_encoder_uses_the_last_filters():
    network = UNet(Encoder("three_stages", ThreeStages(), 1), classes=2)
    blocks: Any = network.decoder
    assert [block.conv2[0].out_channels for block in blocks] == [64, 32, 16]
    assert network(torch.randn(2, 1, 33, 39)).shape == (2, 2, 33, 39)


def test_too_few_decoder_channels_are_refused():
    with pytest.raises(UserError, match="needs 5 decoder blocks, but decoder_channels has 4"):
        UNet(unet("resnet18").encoder, classes=6, decoder_channels=(128, 64, 32, 16))


def test_unknown_upsampling_is_refused():
    with pytest.raises(UserError, match=r"upsampling=cubic: allowed are transpose, nearest, bilinear"):
        UNet(unet("resnet18").encoder, classes=6, upsampling="cubic")  # type: ignore[arg-type]


def test_same_seed_gives_the_same_network():
    def build():
        torch.manual_seed(11)
        return UNet(build_encoder("resnet18", 3, pretrained=False), classes=6).state_dict()

    first, second = build(), build()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_encoder_keeps_the_initialisation_of_timm():
    torch.manual_seed(0)
    plain = timm.create_model("resnet18", features_only=True).state_dict()
    torch.manual_seed(0)
    network = UNet(build_encoder("resnet18", 3, pretrained=False), classes=6)
    assert all(torch.equal(tensor, plain[key]) for key, tensor in network.encoder.features.state_dict().items())


def test_activations_neither_vanish_nor_explode_at_initialisation():
    network = UNet(build_encoder("resnet18", 1, pretrained=False), classes=6).train()
    torch.manual_seed(0)
    assert 0.1 < network(torch.randn(4, 1, 64, 64)).std() < 10


def test_memory_format_does_not_change_the_logits():
    network, image = unet("resnet18"), torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = network(image)
        channels_last = UNet(build_encoder("resnet18", 3, pretrained=False), classes=6).eval()
        channels_last.load_state_dict(network.state_dict())
        channels_last = channels_last.to(memory_format=torch.channels_last)
        actual = channels_last(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_forward_compiles_without_graph_breaks(name):
    network, image = unet(name), torch.randn(1, 3, 40, 50)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), network(image))


def test_overfits_two_images():
    torch.manual_seed(0)
    network = UNet(build_encoder("resnet10t", 1, pretrained=False), classes=2)
    label = torch.zeros(2, 64, 64, dtype=torch.long)
    label[0, 10:30, 20:50] = label[1, 30:60, 5:25] = 1
    image = label[:, None] + 0.3 * torch.randn(2, 1, 64, 64)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(network(image), label).backward()
        optimizer.step()
    agreement = (network(image).argmax(dim=1) == label).float().mean()
    assert agreement > 0.98
