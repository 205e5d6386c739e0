from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.batches import EpochSampler, SliceDataset, collate
from lss_lightning.data.loading import LoadedSlice, compute_digest
from lss_lightning.data.slices import Slice
from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.phantom import render_slice
from tests.data.augmenting import EVERYTHING, augment, make_draws, make_texture, make_uniform


def preset(name):
    with initialize_config_dir(str(config_folder()), version_base=None):
        config: Any = OmegaConf.to_container(compose(overrides=[f"+augmentation={name}"]))
    return build(AugmentationConfig, config["augmentation"], "augmentation")


def make_slices():
    """Return slices of several sizes, two of them with unknown spacing."""
    slices = []
    for index, (height, width) in enumerate([(96, 96), (96, 80), (64, 100), (96, 96), (72, 72), (64, 100), (96, 96)]):
        rng = np.random.default_rng(index)
        image = make_texture(1, 3, (height, width), index)[0].numpy()
        label = np.repeat(np.repeat(rng.integers(0, 6, (height // 4, width // 4), dtype=np.uint8), 4, 0), 4, 1)
        spacing = None if index % 3 == 2 else 0.7
        slice_ = Slice("0001", str(index), {}, Path(), None)
        slices.append(LoadedSlice(slice_, image, label, spacing, compute_digest(image)))
    return slices


def augment_epoch(slices, config, epoch, *, batch_size, workers=0, ranks=1, earlier=()):
    """Return the augmented image and label of each slice in an epoch, after augmenting earlier epochs."""
    dataset = SliceDataset(slices, None, label_on_working_grid=True)
    augmented = {}
    for rank in range(ranks):
        sampler = EpochSampler(len(slices), shuffle=True, seed=ranks, rank=rank, ranks=ranks)
        loader = DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers, collate_fn=collate)
        augmenter = Augmenter(config, 0, "composite")
        for current in (*earlier, epoch):
            sampler.set_epoch(current)
            for batch in loader:
                indices = batch["index"].tolist()
                images, labels = augmenter(
                    batch["image"], batch["label"], sizes=batch["image_sizes"], epoch=current,
                    spacings=[slices[index].spacing for index in indices],
                    digests=[slices[index].digest for index in indices],
                )  # fmt: skip
                for index, image, label, (height, width) in zip(
                    indices, images, labels, batch["image_sizes"], strict=True
                ):
                    assert not image[:, height:].any()
                    assert not image[:, :, width:].any()
                    assert (label[height:] == IGNORE_INDEX).all()
                    assert (label[:, width:] == IGNORE_INDEX).all()
                    if current == epoch:
                        augmented[index] = image[:, :height, :width], label[:height, :width]
    return augmented


@pytest.mark.parametrize(
    "batching",
    [
        {"batch_size": 7},
        {"batch_size": 3},
        {"batch_size": 2, "workers": 2},
        {"batch_size": 2, "ranks": 2},
        {"batch_size": 3, "earlier": (0, 1)},
    ],
    ids=["one_batch", "batch_size", "workers", "ranks", "no_resume"],
)
def test_augmentation_does_not_depend_on_the_batch(batching):
    slices = make_slices()
    alone = augment_epoch(slices, EVERYTHING, 2, batch_size=1)
    batched = augment_epoch(slices, EVERYTHING, 2, **batching)
    assert len(batched) >= len(slices) - 1  # with several ranks, the last slices are dropped
    for index, (image, label) in batched.items():
        assert torch.equal(label, alone[index][1])
        torch.testing.assert_close(image / 255, alone[index][0] / 255, rtol=0, atol=1e-5)


def test_augmentation_depends_on_seed_epoch_and_content():
    images, labels = make_texture(1, 3, (64, 64)), make_uniform(1, 1, (64, 64))[1]
    results = [
        augment(EVERYTHING, images, labels, seed=seed, epoch=epoch, digests=[digest])[0]
        for seed in (0, 1) for epoch in (0, 1) for digest in ("a", "b")
    ]  # fmt: skip
    assert all(not torch.equal(first, second) for first, second in combinations(results, 2))


def test_a_range_of_0_does_not_change_other_parameters():
    full = make_draws(EVERYTHING, 20)
    ranges = {"rotation": "angle", "scale": "zoom", "translation": "shift", "elastic": "bend", "noise": "noise",
              "misregistration": "offset", "bias_field": "bias", "blur": "blur", "gamma": "gamma"}  # fmt: skip
    for name, attribute in ranges.items():
        reduced = make_draws(replace(EVERYTHING, **{name: 0.0}), 20)
        changed = {
            field.name
            for before, after in zip(full, reduced, strict=True)
            for field in fields(before)
            if not np.array_equal(getattr(before, field.name), getattr(after, field.name))
        }
        assert changed == {attribute}


def test_draws_follow_ranges_and_probabilities():
    config, many = EVERYTHING, make_draws(EVERYTHING, 2000)
    bounds: list[tuple[Any, float]] = [
        ([draw.angle for draw in many], config.rotation),
        ([math.log(draw.zoom) for draw in many], math.log(1 + config.scale)),
        ([draw.shift for draw in many], config.translation),
        ([draw.offset for draw in many], config.misregistration),
        ([draw.bend for draw in many], config.elastic),
        ([draw.bias for draw in many], config.bias_field),
        (np.log([draw.gamma for draw in many]), math.log(1 + config.gamma)),
    ]
    for values, limit in bounds:
        assert 0.95 * limit < np.max(values) <= limit + 1e-12
        assert -0.95 * limit > np.min(values) >= -limit - 1e-12
    for values, limit in [([d.blur for d in many], config.blur), ([d.noise for d in many], config.noise)]:
        assert 0.95 * limit < np.max(values) <= limit
        assert np.mean(np.array(values) > 0) == pytest.approx(config.intensity_probability, abs=0.03)
        assert np.min(values) == 0
    assert np.mean([draw.flip for draw in many]) == pytest.approx(config.flip, abs=0.04)
    assert np.mean([draw.angle != 0 for draw in many]) == pytest.approx(config.warp_probability, abs=0.04)
    dropped = 1 - np.array([draw.kept for draw in many])
    assert dropped.mean(0) == pytest.approx([config.channel_dropout / 2] * 2, abs=0.03)
    assert dropped.sum(1).max() == 1
    assert len({int(key) for draw in many for key in draw.noise_key}) == 4000


@pytest.mark.parametrize("channels", ["composite", "t1_t2", "t1"])
def test_ranges_of_0_change_nothing(channels):
    images = torch.randint(0, 256, (4, {"composite": 3, "t1_t2": 2, "t1": 1}[channels], 40, 56), dtype=torch.uint8)
    labels = torch.randint(0, 6, (4, 40, 56), dtype=torch.uint8)
    for config in (AugmentationConfig(), preset("none")):
        augmented = augment(config, images, labels, channels=channels)
        assert augmented[0].dtype == augmented[1].dtype == torch.uint8
        assert torch.equal(augmented[0], images)
        assert torch.equal(augmented[1], labels)


def test_mirroring_is_exact_about_each_image_s_centre():
    slices = make_slices()
    mirrored = augment_epoch(slices, AugmentationConfig(flip=1.0), 0, batch_size=7)
    for index, (image, label) in mirrored.items():
        np.testing.assert_array_equal(image, slices[index].image[:, :, ::-1])
        np.testing.assert_array_equal(label, slices[index].label[:, ::-1])


def test_presets_grow_in_strength():
    phantom = [render_slice(0, patient, "D4", 128) for patient in (1, 2)]
    pairs = np.stack([np.stack([rendered.t1, rendered.t2]) for rendered in phantom])
    images, labels = torch.from_numpy(pairs).repeat(8, 1, 1, 1), make_uniform(16, 1, (128, 128))[1]
    change = []
    for name in ("none", "light", "default", "strong"):
        augmented, _ = augment(preset(name), images, labels, channels="t1_t2", spacing=220 / 128)
        change.append((augmented.float() - images.float()).abs().mean().item())
    assert change[0] == 0
    assert 2 < change[1] < 0.9 * change[2] < 0.7 * change[3]
    assert preset("default").flip == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 1.5}, "augmentation.flip=1.5: out of range"),
        ({"rotation": -3.0}, "augmentation.rotation=-3.0: out of range"),
        ({"bias_field": 1.0}, "augmentation.bias_field=1.0: out of range"),
        ({"noise": "much"}, "augmentation.noise=much: not of the allowed type"),
        ({"rotate": 3.0}, "augmentation.rotate: no such setting; did you mean 'augmentation.rotation'"),
        ({"elastic": 20.0}, "augmentation.elastic=20.0: with augmentation.elastic_spacing=40.0 more than 19.5 mm"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        build(AugmentationConfig, settings, "augmentation")


def test_settings_are_checked_without_slow_imports():
    code = "import sys; import lss_lightning.data.augment; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"
