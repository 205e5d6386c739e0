from __future__ import annotations

from collections.abc import Callable

import pytest

SBATCH = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
ENVIRONMENTS = {
    "none": {},
    "sbatch": SBATCH,
    "srun_of_one": {"SLURM_STEP_NUM_TASKS": "1", **SBATCH},
    "torchrun_of_one": {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "1", "RANK": "0"},
    "torchrun": {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "RANK": "{rank}"},
    "srun": {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "WORLD_SIZE": "4", "SLURM_PROCID": "{rank}"},
}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the environment variables that a launcher sets for a rank."""

    def start(launcher: str, rank: int = 0) -> None:
        for name, value in ENVIRONMENTS[launcher].items():
            monkeypatch.setenv(name, value.format(rank=rank))

    return start
