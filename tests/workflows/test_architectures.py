"""The shipped networks of other libraries, from training to prediction."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows import train
from lss_lightning.workflows.evaluation import report
from tests.conftest import configure, write_slice
from tests.workflows.prediction import studies
from tests.workflows.test_evaluate import score
from tests.workflows.training.resuming import assert_same_run

SMALL = {
    "unet_plus_plus": ("encoder=timm", "encoder.name=test_resnet", "model.decoder_channels=[16,16,8,8,8]"),
    "deeplabv3plus": ("encoder=timm", "encoder.name=test_resnet", "model.decoder_channels=16"),
    "segformer": ("model.decoder_segmentation_channels=16",),
    "dynunet": ("model.filters=[4,8,8,8,8,8]", "model.deep_supr_num=2"),
    "swin_unetr": ("model.feature_size=12", "model.depths=[1,1,1,1]"),
}
"""Settings that make each network small. Dropout and stochastic depth stay, because a resume must draw them again."""

COMMON = ("trainer=cpu", "data.num_workers=0", "data.batch_size=2", "callbacks=quiet", "trainer.precision=32-true")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six patients with a slice each, of a size that no network supports without padding."""
    root = tmp_path_factory.mktemp("slices")
    for patient in range(1, 7):
        write_slice(root, f"{patient:04d}", "D4", size=(60, 68))
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.write_dicom(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module", params=SMALL)
def runs(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `whole`, a training of two epochs, and `parts`, which was resumed after the first."""
    root: Path = tmp_path_factory.mktemp(request.param)
    line = (f"model={request.param}", *SMALL[request.param], "data=alkafri", f"data.root={tree}", *COMMON)
    for name, *overrides in (
        ("whole", "trainer.max_epochs=2"),
        ("parts", "trainer.max_epochs=1"),
        ("parts", "trainer.max_epochs=2", f"ckpt_path={root}/parts/checkpoints/last.ckpt"),
    ):
        (root / name / ".hydra").mkdir(parents=True, exist_ok=True)
        with patch.object(report, "draw_figures"), patch.object(report, "write_overview"):
            train.run(configure(*line, *overrides), root / name)
    return root


def test_a_resumed_run_equals_an_uninterrupted_one(runs: Path) -> None:
    assert_same_run(runs / "whole", runs / "parts")


def test_evaluation_from_the_checkpoint_alone_gives_the_metrics_of_the_run(runs: Path, tmp_path: Path) -> None:
    run = RunFolder(runs / "whole")
    with patch.object(report, "draw_figures"), patch.object(report, "write_overview"):
        metrics = score(tmp_path / "out", run.best_checkpoint, "trainer.precision=32-true")
    before = json.loads(run.metrics.read_text())
    assert metrics["iou"] == before["iou"]
    assert metrics["boundary"] == before["boundary"]


def test_prediction_segments_every_slice_of_a_study(runs: Path, study: Path, tmp_path: Path) -> None:
    output = studies.run(RunFolder(runs / "whole").best_checkpoint, study, tmp_path / "out")
    slices = json.loads((output / "study_1/measurements.json").read_text())["slices"]
    assert len(slices) == len(studies.files(study, studies.T1_SERIES))
    assert len(list((output / "study_1/label_maps").iterdir())) == len(slices)


def test_an_image_gives_the_same_logits_alone_and_in_a_padded_batch(runs: Path) -> None:
    ensemble, _ = load_ensemble([RunFolder(runs / "whole").best_checkpoint])
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 60, 68), dtype=np.uint8))
    with torch.inference_mode():
        both, alone = ensemble(images), ensemble(images[:1])
    assert both.shape == (2, 6, 60, 68)
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_facts_name_the_network_and_its_settings(runs: Path) -> None:
    facts = RunFolder(runs / "whole").model_card.read_text()
    _, (metadata,) = load_ensemble([RunFolder(runs / "whole").best_checkpoint])
    assert f"Network: {metadata.network.describe()}" in facts
    assert "6" in metadata.network.describe()
    assert "auto_" not in facts
