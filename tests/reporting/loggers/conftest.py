"""W&B isolated from the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reporting.loggers.wandb_recorder import WandbRecord, record_wandb


@pytest.fixture
def record(tmp_path: Path) -> Iterator[WandbRecord]:
    with record_wandb(tmp_path / "isolated") as record:
        yield record
