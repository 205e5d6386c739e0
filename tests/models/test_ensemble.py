"""Ensembles of networks and views: mean probabilities, and checks of their members."""

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
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.ensemble import EnsembleModule, load_ensemble
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.models.views import TTA_VIEWS


class Pixelwise(nn.Module):
    """Logits that depend on the pixel only, or also on the half of the image that contains it."""

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


def make_member(seed: int = 0, mean: float = 0.4, *, symmetric: bool = True) -> SegmentationModule:
    return SegmentationModule(Pixelwise(seed, symmetric=symmetric), LUMBAR, [mean], [0.2])


def make_images(count: int = 2, size: tuple[int, int] = (40, 48)) -> Tensor:
    return torch.randint(0, 256, (count, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def test_single_network_and_view_keep_their_logits():
    single = make_member(symmetric=False)
    ensemble = EnsembleModule([single], TTA_VIEWS["none"])
    assert torch.equal(ensemble(make_images()), single(make_images()))


def test_probabilities_are_averaged_with_the_normalisation_of_each_member():
    members = [make_member(0, 0.4), make_member(1, 0.7), make_member(2, 0.1)]
    ensemble = EnsembleModule(members, TTA_VIEWS["none"])
    mean = torch.stack([member(make_images()).softmax(1) for member in members]).mean(0)
    torch.testing.assert_close(ensemble(make_images()).softmax(1), mean)
    assert ensemble.member_probabilities(make_images()).shape == (3, 2, len(LUMBAR), 40, 48)
    torch.testing.assert_close(ensemble.member_probabilities(make_images()).mean(0), mean)


def test_probabilities_of_a_mirrored_view_are_mirrored_back():
    single = make_member(symmetric=False)
    plain, mirrored = EnsembleModule([single], TTA_VIEWS["flip"]).member_probabilities(make_images())
    assert torch.equal(plain, single(make_images()).softmax(1))
    assert torch.equal(mirrored, single(make_images().flip(-1)).softmax(1).flip(-1))
    assert not torch.equal(plain, mirrored)
    # Logits that depend on the pixel only are the same in both views.
    symmetric = make_member()
    torch.testing.assert_close(
        EnsembleModule([symmetric], TTA_VIEWS["flip"])(make_images()).softmax(1), symmetric(make_images()).softmax(1)
    )


class Extreme(nn.Module):
    """So certain of class 0 that all other probabilities underflow; NaN where the image is white."""

    def forward(self, image: Tensor) -> Tensor:
        logits = image.new_full((len(image), len(LUMBAR), *image.shape[2:]), -1e4)
        logits[:, 0] = 1e4
        return torch.where(image > 0.99, torch.nan, logits)


def test_logits_are_finite_unless_those_of_a_member_are_not():
    broken = SegmentationModule(Extreme(), LUMBAR, [0.0], [1.0])
    ensemble = EnsembleModule([broken, broken], TTA_VIEWS["flip"])
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert ensemble(black).isfinite().all()
    black[..., 3, 4] = 255
    assert ensemble(black).isnan().any(dim=1).nonzero().tolist() == [[0, 3, 4]]


def make_batch() -> Batch:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 1, 40, 40), dtype=np.uint8)
    labels = [rng.integers(0, 6, size, dtype=np.uint8) for size in ((40, 40), (60, 60), (20, 20))]
    items: list[Any] = [
        {"image": image, "label": label, "index": index, "digest": "", "spacing": None, "label_spacing": None}
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True))
    ]
    return collate(items)


@torch.no_grad()
@pytest.mark.parametrize("tta", TTA_VIEWS)
@pytest.mark.parametrize("count", [1, 3])
def test_evaluation_scores_the_predicted_label_maps(count: int, tta: str):
    ensemble = EnsembleModule([make_member(seed, symmetric=False) for seed in range(count)], TTA_VIEWS[tta])
    batch = make_batch()
    ensemble.test_step(batch, 0)
    ensemble.on_test_epoch_end()
    assert ensemble.records is not None
    maps = ensemble.predict_step(batch, 0)
    for index, (counts, predicted) in enumerate(zip(ensemble.records.counts, maps, strict=True)):
        height, width = batch["label_sizes"][index]
        label = batch["label"][index, :height, :width].numpy()
        pairs = np.bincount(6 * label.ravel().astype(int) + predicted.ravel(), minlength=36)
        np.testing.assert_array_equal(counts, pairs.reshape(6, 6))


@pytest.fixture(scope="module")
def metadata() -> CheckpointMetadata:
    spec = UNetSpec("resunet", "test_resnet", 3, len(LUMBAR), "transpose", [32, 16, 16, 8, 8])
    config = {"name": "test", "data": {"channels": "composite", "third_channel": "mean"}}
    return CheckpointMetadata(
        spec, LUMBAR.to_plain(), [0.1, 0.2, 0.3], [1.0, 1.1, 1.2], 0.6875, config, ["00ff"], ["ff00"]
    )


def save(path: Path, metadata: CheckpointMetadata, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    module = SegmentationModule.from_metadata(metadata, metadata.network.build())
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_members_may_differ_in_encoder_and_normalisation(metadata, tmp_path):
    other = replace(metadata, mean=[0.5] * 3, network=replace(metadata.network, encoder="resnet10t"))
    ensemble, all_metadata = load_ensemble([save(tmp_path / "a", metadata), save(tmp_path / "b", other, 1)], "flip")
    assert all_metadata == (metadata, other)
    assert ensemble.member_probabilities(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (4, 1, 6, 32, 32)
    assert not ensemble.members[1].training


def change_other(**changes: Any) -> list[dict[str, Any]]:
    return LabelSet((*LUMBAR.labels[:5], replace(LUMBAR[5], **changes))).to_plain()


def change_data(metadata: CheckpointMetadata, **changes: str) -> dict[str, Any]:
    return {**metadata.config, "data": {**metadata.config["data"], **changes}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metadata: {"labels": change_other(key="rest")}, "classes than .*a.ckpt .without other and with rest.;"),
        (lambda metadata: {"labels": change_other(anatomical=True)}, "aap, other as anatomy, not"),
        (
            lambda metadata: {"config": change_data(metadata, channels="t2")},
            "channels than .*a.ckpt .t2, not composite.;",
        ),
        (
            lambda metadata: {"config": change_data(metadata, third_channel="t1")},
            "third channels than .*a.ckpt .t1, not mean.;",
        ),
        (lambda metadata: {"spacing": 0.5}, "working spacings than .*a.ckpt .0.5 mm, not 0.6875 mm.;"),
        (lambda metadata: {"spacing": None}, "working spacings than .*a.ckpt .that of the image, not 0.6875 mm.;"),
    ],
)
def test_members_that_do_not_match_are_refused(metadata, change, message, tmp_path):
    paths = [save(tmp_path / "a.ckpt", metadata), save(tmp_path / "b.ckpt", replace(metadata, **change(metadata)))]
    pattern = rf"^ckpt_path=.*b\.ckpt: has other {message}" if "than" in message else message
    with pytest.raises(UserError, match=pattern):
        load_ensemble(paths)


def test_classes_that_name_a_side_are_not_mirrored(metadata, tmp_path):
    labels = LabelSet((*LUMBAR.labels[:5], Label("Left facet", "left_facet", "L", 250, "#000000", anatomical=True)))
    path = save(tmp_path / "a.ckpt", replace(metadata, labels=labels.to_plain()))
    with pytest.raises(UserError, match="tta=flip: mirrors the image, but class left_facet names a side"):
        load_ensemble([path], "flip")
    load_ensemble([path])
