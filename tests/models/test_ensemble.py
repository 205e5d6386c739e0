"""Several networks and several views as one: means of probabilities, each at its own place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lss_lightning.data.batches import Batch, collate
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR, Label, LabelSet
from lss_lightning.models.checkpoint import CheckpointMetadata, NetworkSpec
from lss_lightning.models.ensemble import EnsembleModule, load_ensemble
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.views import VIEWS, TTAView


class Pixelwise(nn.Module):
    """Logits that depend on the pixel alone, or else also on the half of the image that it lies in."""

    def __init__(self, seed: int, *, symmetric: bool = True) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(len(LUMBAR), 1, 1, 1, generator=generator))
        self.symmetric = symmetric

    def forward(self, image: Tensor) -> Tensor:
        logits = nn.functional.conv2d(image, self.weight)
        if not self.symmetric:
            logits[:, 1, :, : image.shape[3] // 2] += 1
        return logits


def member(seed: int = 0, mean: float = 0.4, *, symmetric: bool = True) -> SegmentationModule:
    return SegmentationModule(Pixelwise(seed, symmetric=symmetric), LUMBAR, [mean], [0.2])


def images(count: int = 2, size: tuple[int, int] = (40, 48)) -> Tensor:
    return torch.randint(0, 256, (count, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def blob(height: int, width: int) -> Tensor:
    """A smooth spot aside from the middle, (1, 1, height, width), 0 to 1."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - 0.42 * height) ** 2 + (columns - 0.58 * width) ** 2) / (0.08 * width) ** 2
    return torch.exp(-distance)[None, None].float()


def centre(spot: Tensor) -> tuple[float, float]:
    weights = spot[0, 0] / spot.sum()
    rows, columns = (torch.arange(length) for length in weights.shape)
    return float((weights.sum(1) * rows).sum()), float((weights.sum(0) * columns).sum())


def test_one_network_seen_once_gives_its_own_logits():
    single = member(symmetric=False)
    ensemble = EnsembleModule([single], VIEWS["none"])
    assert torch.equal(ensemble(images()), single(images()))


def test_probabilities_are_averaged_and_each_member_normalises_for_itself():
    members = [member(0, 0.4), member(1, 0.7), member(2, 0.1)]
    ensemble = EnsembleModule(members, VIEWS["none"])
    mean = torch.stack([one(images()).softmax(1) for one in members]).mean(0)
    torch.testing.assert_close(ensemble(images()).softmax(1), mean)
    assert ensemble.member_probabilities(images()).shape == (3, 2, len(LUMBAR), 40, 48)
    torch.testing.assert_close(ensemble.member_probabilities(images()).mean(0), mean)


def test_a_mirrored_view_comes_back_to_its_own_pixels():
    single = member(symmetric=False)
    plain, mirrored = EnsembleModule([single], VIEWS["flip"]).member_probabilities(images())
    assert torch.equal(plain, single(images()).softmax(1))
    assert torch.equal(mirrored, single(images().flip(-1)).softmax(1).flip(-1))
    assert not torch.equal(plain, mirrored)
    # What depends on the pixel alone is said of the same pixel in either view.
    symmetric = member()
    torch.testing.assert_close(
        EnsembleModule([symmetric], VIEWS["flip"])(images()).softmax(1), symmetric(images()).softmax(1)
    )


@pytest.mark.parametrize("view", VIEWS["full"], ids=str)
@pytest.mark.parametrize("size", [(96, 96), (80, 120)])
def test_every_view_is_brought_back_to_the_place_it_shows(view: TTAView, size: tuple[int, int]):
    spot = blob(*size)
    seen = view.show((255 * spot).round().to(torch.uint8))
    assert seen.shape == spot.shape
    back = view.back(seen.float() / 255)
    assert centre(back) == pytest.approx(centre(spot), abs=0.02)
    assert float((back - spot).abs().max()) < 0.05
    moved = np.subtract(centre(seen), centre(spot))
    assert (np.hypot(*moved) > 0.5) == (view != TTAView())


def test_a_turn_has_the_sense_it_says():
    """The right end of a horizontal bar goes down."""
    bar = torch.zeros(1, 1, 61, 61)
    bar[..., 30, :] = 255
    rows = TTAView(turn=5).show(bar.to(torch.uint8))[0, 0].argmax(0)
    assert rows[55] - rows[5] == pytest.approx(50 * np.tan(np.radians(5)), abs=1)


def test_an_enlarged_view_shows_less():
    disc = (blob(64, 64) > 0.5).to(torch.uint8)
    area = float(TTAView(scale=1.1).show(disc).sum()) / float(disc.sum())
    assert area == pytest.approx(1.21, abs=0.06)


@pytest.mark.parametrize("view", VIEWS["full"], ids=str)
def test_probabilities_brought_back_sum_to_one_everywhere(view: TTAView):
    probabilities = torch.randn(2, 6, 32, 40, generator=torch.Generator().manual_seed(0)).softmax(1)
    torch.testing.assert_close(view.back(probabilities).sum(1), torch.ones(2, 32, 40))


class Extreme(nn.Module):
    """So sure of class 0 that every other probability vanishes; NaN where the image is white."""

    def forward(self, image: Tensor) -> Tensor:
        logits = image.new_full((len(image), len(LUMBAR), *image.shape[2:]), -1e4)
        logits[:, 0] = 1e4
        return torch.where(image > 0.99, torch.nan, logits)


def test_logits_stay_finite_unless_a_member_s_are_not():
    broken = SegmentationModule(Extreme(), LUMBAR, [0.0], [1.0])
    ensemble = EnsembleModule([broken, broken], VIEWS["flip"])
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert ensemble(black).isfinite().all()
    black[..., 3, 4] = 255
    assert ensemble(black).isnan().any(dim=1).nonzero().tolist() == [[0, 3, 4]]


def batch() -> Batch:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 1, 40, 40), dtype=np.uint8)
    labels = [rng.integers(0, 6, size, dtype=np.uint8) for size in ((40, 40), (60, 60), (20, 20))]
    items: list[Any] = [
        {"image": image, "label": label, "index": index, "digest": "", "spacing": None, "label_spacing": None}
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True))
    ]
    return collate(items)


@torch.no_grad()
@pytest.mark.parametrize("tta", VIEWS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_test_scores_the_label_maps_that_predicting_gives(count: int, tta: str):
    ensemble = EnsembleModule([member(seed, symmetric=False) for seed in range(count)], VIEWS[tta])
    given: Any = batch()
    ensemble.test_step(given, 0)
    ensemble.on_test_epoch_end()
    assert ensemble.records is not None
    maps = ensemble.predict_step(given, 0)
    for place, (counts, predicted) in enumerate(zip(ensemble.records.counts, maps, strict=True)):
        height, width = given["label_sizes"][place]
        label = given["label"][place, :height, :width].numpy()
        pairs = np.bincount(6 * label.ravel().astype(int) + predicted.ravel(), minlength=36)
        np.testing.assert_array_equal(counts, pairs.reshape(6, 6))


@pytest.fixture(scope="module")
def metadata() -> CheckpointMetadata:
    spec = NetworkSpec("resunet", "test_resnet", 3, len(LUMBAR), "transpose", [32, 16, 16, 8, 8])
    config = {"name": "test", "data": {"channels": "composite", "third": "mean"}}
    return CheckpointMetadata(
        spec, LUMBAR.to_plain(), [0.1, 0.2, 0.3], [1.0, 1.1, 1.2], 0.6875, config, ["00ff"], ["ff00"]
    )


def saved(path: Path, metadata: CheckpointMetadata, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    module = metadata.module(metadata.network.build())
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_members_may_differ_in_encoder_and_normalisation(metadata, tmp_path):
    other = replace(metadata, mean=[0.5] * 3, network=replace(metadata.network, encoder="resnet10t"))
    ensemble, all_metadata = load_ensemble([saved(tmp_path / "a", metadata), saved(tmp_path / "b", other, 1)], "flip")
    assert all_metadata == (metadata, other)
    assert ensemble.member_probabilities(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (4, 1, 6, 32, 32)
    assert not ensemble.members[1].training


def lumbar(**changes: Any) -> list[dict[str, Any]]:
    return LabelSet((*LUMBAR.labels[:5], replace(LUMBAR[5], **changes))).to_plain()


def other_data(metadata: CheckpointMetadata, **changes: str) -> dict[str, Any]:
    return {**metadata.config, "data": {**metadata.config["data"], **changes}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda metadata: {"labels": lumbar(key="rest")}, "classes than .*a.ckpt .without other and with rest.;"),
        (lambda metadata: {"labels": lumbar(anatomical=True)}, "aap, other as anatomy, not"),
        (
            lambda metadata: {"config": other_data(metadata, channels="t2")},
            "channels than .*a.ckpt .t2, not composite.;",
        ),
        (lambda metadata: {"config": other_data(metadata, third="t1")}, "third channels than .*a.ckpt .t1, not mean.;"),
        (lambda metadata: {"spacing": 0.5}, "working pixels than .*a.ckpt .0.5 mm, not 0.6875 mm.;"),
        (lambda metadata: {"spacing": None}, "working pixels than .*a.ckpt .the image's own, not 0.6875 mm.;"),
    ],
)
def test_members_that_do_not_go_together_are_refused_by_name(metadata, change, says, tmp_path):
    paths = [saved(tmp_path / "a.ckpt", metadata), saved(tmp_path / "b.ckpt", replace(metadata, **change(metadata)))]
    with pytest.raises(UserError, match=rf"^ckpt_path=.*b\.ckpt: has other {says}" if "than" in says else says):
        load_ensemble(paths)


def test_a_class_that_names_a_side_is_not_mirrored(metadata, tmp_path):
    labels = LabelSet((*LUMBAR.labels[:5], Label("Left facet", "left_facet", "L", 250, "#000000", anatomical=True)))
    path = saved(tmp_path / "a.ckpt", replace(metadata, labels=labels.to_plain()))
    with pytest.raises(UserError, match="tta=flip: mirrors the image, but class left_facet names a side"):
        load_ensemble([path], "flip")
    load_ensemble([path])
