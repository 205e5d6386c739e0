"""Networks from other libraries: sizes, heads, and one-line errors for networks that do not fit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.models.adapter import NetworkAdapter


class Halving(nn.Module):
    """A network that supports only even sizes of at least 4 pixels, with batch norm and dropout."""

    def __init__(self, in_channels: int = 3, classes: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, classes, 1), nn.BatchNorm2d(classes), nn.Dropout(0.5))
        self.sizes: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        self.sizes.append((height, width))
        if height % 2 or width % 2 or min(height, width) < 4:
            raise RuntimeError(f"cannot halve\n{height}x{width}")
        return F.interpolate(F.max_pool2d(self.layers(x), 2), scale_factor=2)


class Heads(nn.Module):
    """A network with three heads in training, each with a value of its own, at full, half and quarter resolution."""

    def __init__(self, kind: str = "list") -> None:
        super().__init__()
        self.kind = kind
        self.values = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor) -> object:
        batch, _, height, width = x.shape
        divisors = (1, 1, 1) if self.kind == "stacked" else (1, 2, 4)
        heads = [v * x.new_ones(batch, 6, height // d, width // d) for v, d in zip(self.values, divisors, strict=True)]
        if not self.training:
            return heads[0]
        return torch.stack(heads, 1) if self.kind == "stacked" else {"list": list, "tuple": tuple}[self.kind](heads)


class Returns(nn.Module):
    """A network that returns a given thing."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> object:
        return self.output(x) if callable(self.output) else self.output


def adapt(network: nn.Module, **sizes: int) -> NetworkAdapter:
    return NetworkAdapter(network, "mine.Net", 6, **sizes)


@pytest.mark.parametrize(
    ("size", "divisor", "min_size", "padded"),
    [
        ((33, 50), 2, 1, (34, 50)),
        ((32, 64), 32, 1, (32, 64)),
        ((33, 50), 32, 64, (64, 64)),
        ((3, 3), 2, 5, (6, 6)),
        ((200, 224), 224, 1, (224, 224)),
    ],
)
def test_images_are_padded_to_a_supported_size_and_logits_are_cropped(size, divisor, min_size, padded):
    network = Halving()
    image = torch.rand(2, 3, *size)
    logits = adapt(network, divisor=divisor, min_size=min_size).eval()(image)
    assert network.sizes == [padded]
    assert logits.shape == (2, 6, *size)
    whole = F.pad(image, (0, padded[1] - size[1], 0, padded[0] - size[0]))
    assert torch.equal(logits, network(whole)[..., : size[0], : size[1]])


@pytest.mark.parametrize("kind", ["list", "tuple", "stacked"])
def test_all_heads_are_returned_in_training_at_the_size_of_the_image_and_one_in_evaluation(kind):
    adapter = adapt(Heads(kind), divisor=4)
    heads = adapter(torch.zeros(2, 3, 30, 41))
    assert [head.shape for head in heads] == [(2, 6, 30, 41)] * 3
    assert [head.mean().item() for head in heads] == pytest.approx([1, 2, 3])
    logits = adapter.eval()(torch.zeros(2, 3, 30, 41))
    assert isinstance(logits, Tensor)
    assert logits.unique().tolist() == [1]


def test_trying_a_network_changes_neither_statistics_nor_modes_nor_random_numbers():
    network = Halving()
    network.layers[1].eval()
    adapter = adapt(network, divisor=2)
    before = {key: value.clone() for key, value in adapter.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    adapter.try_out(3)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[key]) for key, value in adapter.state_dict().items())
    assert adapter.training
    assert network.layers[2].training
    assert not network.layers[1].training


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Halving(), r"fails on an image of 3 channels and 33x50 pixels \(cannot halve 33x50\); .* model.divisor"),
        (Halving(in_channels=1), r"fails on an image of 3 channels .* auto_channels"),
        (Returns(ValueError), r"returns ValueError for images \(1, 3, 33, 50\)"),
        (Returns(lambda x: {"out": x}), r"returns dict for images .* must return logits \(1, 6, 33, 50\) of 6 classes"),
        (Returns(lambda x: x), r"returns a tensor \(1, 3, 33, 50\) .* \(1, 6, 33, 50\) of 6 classes: .* auto_classes"),
        (Returns(lambda x: torch.zeros(1, 6, 16, 25)), r"returns a tensor \(1, 6, 16, 25\)"),
        (Returns(lambda x: torch.zeros(1, 6, 33)), r"returns a tensor \(1, 6, 33\)"),
        (Returns([]), "returns list"),
        (Returns(None), "returns NoneType"),
    ],
)
def test_a_network_that_does_not_fit_is_reported_in_one_line(network, message):
    with pytest.raises(UserError, match=f"^model._target_=mine.Net: {message}") as refusal:
        adapt(network).try_out(3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("head", [torch.zeros(1, 5, 8, 8), torch.zeros(1, 6, 8), None])
def test_a_further_head_of_another_shape_is_reported(head):
    adapter = adapt(Returns(lambda x: [torch.zeros(1, 6, 32, 32), head]))
    with pytest.raises(UserError, match=r"it must return logits \(1, 6, h, w\) of 6 classes"):
        adapter(torch.zeros(1, 3, 32, 32))


def test_only_the_first_of_several_heads_is_returned_in_evaluation():
    heads = [torch.ones(1, 6, 32, 32), torch.zeros(1, 6, 16, 16)]
    logits = adapt(Returns(lambda x: heads)).eval()(torch.zeros(1, 3, 32, 32))
    assert torch.equal(logits, heads[0])
