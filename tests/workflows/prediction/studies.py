"""Phantom studies as DICOM, checkpoints, and whole runs of ``predict.py`` to try on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import torch

from lss_lightning.config.predict import predict_config
from lss_lightning.data.dicom.archive import RAW
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.models.checkpoint import CheckpointMetadata, NetworkSpec
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_phantom_study
from lss_lightning.workflows import predict
from tests.conftest import compose_command, configure

SIZE = 64
SAGITTAL, LOCALISER = "T2_TSE_SAG_384_0002", "LOCALIZER_0001"
CHANNELS = {"composite": 3, "t1_t2": 2, "t1": 1, "t2": 1, "grey": 1, "rgb": 3}


def write_checkpoint(path: Path, channels: str = "composite", labels: LabelSet = LUMBAR, seed: int = 0) -> Path:
    """An untrained network of the lightest encoder."""
    torch.manual_seed(seed)
    data = ["data=phantom"]
    if channels in ("grey", "rgb"):
        data = ["data=folder", "data.classes={other: 0, disc: 1}"]
    plain = configure(*data, f"data.root={path.parent}", f"data.channels={channels}").plain
    inputs = CHANNELS[channels]
    spec = NetworkSpec("resunet", "test_resnet", inputs, len(labels), "nearest", [16, 16, 8, 8, 8])
    metadata = CheckpointMetadata(spec, labels.to_plain(), [0.2] * inputs, [0.2] * inputs, None, plain, [], [])
    module = metadata.module(metadata.network.build())
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def write_dicom(root: Path, patient: int = 1) -> Path:
    """A phantom study's folder, of four series."""
    write_phantom_study(root, seed=8, patient=patient, image_size=SIZE)
    (study,) = (root / RAW / f"{patient:04d}").iterdir()
    return study


def files(study: Path, *series: str) -> list[Path]:
    """The files of some series, or of all."""
    folders = [study / name for name in series] or sorted(study.iterdir())
    return [path for folder in folders for path in sorted(folder.iterdir())]


def edit(paths: list[Path], change: Callable[[pydicom.FileDataset], None]) -> None:
    """Change what files say."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def keep(study: Path, *series: str) -> None:
    """Remove all other series."""
    for folder in study.iterdir():
        if folder.name not in series:
            shutil.rmtree(folder)


def run(checkpoint: Path, place: Path, output: Path, *overrides: str) -> Path:
    """Predict in this process, without the DICOM objects and the page, which have tests of their own."""
    light = ("output.seg=false", "output.sr=false", "output.html=false")
    named = (f"ckpt_path={checkpoint}", f"input={place}", f"output.folder={output}")
    cfg, _ = compose_command("predict", *named, "trainer=cpu", *light, *overrides)
    predict.run(predict_config(cfg), output.parent)
    return output


__all__ = ["LOCALISER", "SAGITTAL", "T1_SERIES", "T2_SERIES", "edit", "files", "keep", "run", "write_checkpoint"]
