"""Phantom studies in DICOM, untrained checkpoints, and runs of ``predict.py``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

from lss_lightning.config.predict import PredictConfig
from lss_lightning.config.validation import build_config
from lss_lightning.data.dicom.archive import RAW_FOLDER
from lss_lightning.errors import IncompleteError
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.phantom import render_slice
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_study
from lss_lightning.workflows import predict
from lss_lightning.workflows.prediction.engine import InferenceEngine
from tests.conftest import compose_command, configure

SIZE = 64
SAGITTAL, LOCALISER = "T2_TSE_SAG_384_0002", "LOCALIZER_0001"
CHANNELS = {"composite": 3, "t1_t2": 2, "t1": 1, "t2": 1, "grey": 1, "rgb": 3}


def write_checkpoint(path: Path, channels: str = "composite", labels: LabelSet = LUMBAR, seed: int = 0) -> Path:
    """Write the checkpoint of an untrained network with the smallest encoder."""
    torch.manual_seed(seed)
    data = ["data=phantom"]
    if channels in ("grey", "rgb"):
        data = ["data=folder", "data.classes={other: 0, disc: 1}"]
    plain = configure(*data, f"data.root={path.parent}", f"data.channels={channels}").plain
    inputs = CHANNELS[channels]
    spec = UNetSpec("resunet", "test_resnet", inputs, len(labels), "nearest", [16, 16, 8, 8, 8])
    metadata = CheckpointMetadata(spec, labels.to_plain(), [0.2] * inputs, [0.2] * inputs, None, plain, [], [])
    module = SegmentationModule.from_metadata(metadata, metadata.network.build())
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def write_dicom(root: Path, patient: int = 1) -> Path:
    """Write a phantom study with four series and return its folder."""
    write_study(root, seed=8, patient=patient, image_size=SIZE)
    (study,) = (root / RAW_FOLDER / f"{patient:04d}").iterdir()
    return study


def files(study: Path, *series: str) -> list[Path]:
    """Return the files of some series, or of all."""
    folders = [study / name for name in series] or sorted(study.iterdir())
    return [path for folder in folders for path in sorted(folder.iterdir())]


def edit(paths: list[Path], change: Callable[[pydicom.FileDataset], None]) -> None:
    """Change the data sets of DICOM files."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def keep(study: Path, *series: str) -> None:
    """Remove all series except these."""
    for folder in study.iterdir():
        if folder.name not in series:
            shutil.rmtree(folder)


def draw_anatomy(patch: pytest.MonkeyPatch) -> None:
    """Let networks find the anatomy of one phantom disc in every slice, because untrained ones find none."""
    label = render_slice(8, 1, "D4", SIZE).label
    exact = np.stack([label == index for index in range(len(LUMBAR))]).astype(np.float32)
    patch.setattr(InferenceEngine, "segment", lambda _, inputs: iter([exact[None]] * len(inputs)))


def run(checkpoint: Path, source: Path, output: Path, *overrides: str) -> Path:
    """Predict in this process, without the DICOM objects and the HTML report, which have tests of their own."""
    light = ("output.seg=false", "output.sr=false", "output.html=false")
    paths = (f"ckpt_path={checkpoint}", f"input={source}", f"output.folder={output}")
    cfg, _ = compose_command("predict", *paths, "trainer=cpu", *light, *overrides)
    try:
        predict.run(build_config(PredictConfig, cfg), output.parent)
    except IncompleteError as error:
        # An untrained network gives nothing to measure, which is tested elsewhere.
        if "nothing is measured" not in str(error) and "studies without measurements" not in str(error):
            raise
    return output


__all__ = ["LOCALISER", "SAGITTAL", "T1_SERIES", "T2_SERIES", "edit", "files", "keep", "run", "write_checkpoint"]
