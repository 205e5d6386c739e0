"""Short training runs of a small network, in this process."""

from __future__ import annotations

import csv
from pathlib import Path

from lss_lightning.workflows import train
from tests.conftest import configure

QUICK = (
    "encoder=timm",
    "encoder.name=test_resnet",
    "model.decoder_channels=[32,16,16,8,8]",
    "trainer=cpu",
    "data.num_workers=0",
    "data.batch_size=4",
    "callbacks=quiet",
)


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open() as stream:
        return list(csv.DictReader(stream))


def start(folder: Path, tree: Path, *overrides: str) -> float | None:
    """Run a training on a data set in the Al-Kafri layout, and return its objective."""
    folder.mkdir(parents=True, exist_ok=True)
    config = configure("data=alkafri", f"data.root={tree}", *QUICK, *overrides)
    return train.run(config, folder)
