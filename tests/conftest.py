"""Fixtures and helpers that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, open_dict
from PIL import Image

from lss_lightning.config.reproduce import ReproduceConfig, build_reproduce_config
from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import TrainConfig, build_train_config
from lss_lightning.data.alkafri_layout import IMAGES, LABELS
from lss_lightning.data.processors import count_processors
from lss_lightning.labels import LUMBAR
from lss_lightning.runs.trust import trust_classes

pytest_plugins = ["tests.browser"]

# The processes of pytest-xdist and those that tests start share the cores.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_xdist_auto_num_workers() -> int:
    """Start as many test processes as there are processors for this process, not as the machine has."""
    return count_processors()


@pytest.fixture(scope="session", autouse=True)
def work_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Change to a temporary working directory, into which relative paths such as the pixel cache are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # for processes that tests start there
        yield


@pytest.fixture(autouse=True)
def _first_rank() -> Iterator[None]:
    """Make the process rank 0 again after a test that gave it another rank, because other ranks print no warnings."""
    yield
    rank_zero_only.rank = 0  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _trust_nothing() -> Iterator[None]:
    """Forget the classes that a test trusts."""
    yield
    trust_classes([])


@pytest.fixture
def sample() -> Path:
    """Return the folder of the real slices, which are not part of the project."""
    folder = os.environ.get("LSS_SAMPLE")
    if not folder:
        pytest.skip("LSS_SAMPLE is not set to the folder of the real sample slices")
    return Path(folder)


def write_slice(root: Path, patient: str, level: str, size: tuple[int, int] = (64, 64), seed: int = 0) -> None:
    """Write a slice in the Al-Kafri layout: noise images, and a label map with all six classes in stripes."""
    rng = np.random.default_rng((seed, int(patient), int(level[1])))
    t1, t2 = rng.integers(0, 256, (2, *size), dtype=np.uint8)
    third = np.maximum(t1.astype(int) - t2, 0).astype(np.uint8)
    stripes = np.arange(size[0])[:, None] * len(LUMBAR) // size[0]
    label = LUMBAR.to_codes(np.broadcast_to(stripes, size).astype(np.uint8))
    pixels = {"t1": t1, "t2": t2, "composite": np.dstack((t1, t2, third))}
    for (folder, prefix), image in [*((IMAGES[kind], pixels[kind]) for kind in pixels), (LABELS, label)]:
        path = root / folder / f"{prefix}_{patient}_{level}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def write_patients(root: Path, count: int = 10, levels: Sequence[str] = ("D3", "D4", "D5")) -> Path:
    """Write the slices of patients 0001, 0002, … with :func:`write_slice` and return the folder."""
    for patient in range(1, count + 1):
        for level in levels:
            write_slice(root, f"{patient:04d}", level)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder of ten patients of three slices each, 64 × 64 pixels, in the Al-Kafri layout."""
    return write_patients(tmp_path / "tree")


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like :func:`tree` that is shared by the tests that do not change it."""
    return write_patients(tmp_path_factory.mktemp("patients") / "tree")


def compose_command(command: str, *overrides: str) -> tuple[DictConfig, DictConfig]:
    """Compose the configuration of a command line. Return it and Hydra's own part of it."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose(command, overrides=list(overrides), return_hydra_config=True)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return cfg, hydra


def configure(*overrides: str) -> TrainConfig:
    """Return the checked configuration of a `train.py` command line."""
    cfg, hydra = compose_command("train", *overrides)
    return build_train_config(cfg, hydra.runtime.choices)


def plan_reproduction(*overrides: str) -> ReproduceConfig:
    """Return the checked configuration of a `reproduce.py` command line, before its first training is composed."""
    cfg, hydra = compose_command("reproduce", *overrides)
    return build_reproduce_config(cfg, hydra.runtime.choices, hydra.overrides.task)
