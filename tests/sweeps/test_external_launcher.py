from __future__ import annotations

import pytest

from lss_lightning.config.sections import TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.sweeps.process import external_launcher, shared_arguments, takes_processes

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "WORLD_SIZE": "4"}
SBATCH = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=[({**TORCHRUN, "RANK": "{}"}, "torchrun"), ({**SRUN, "SLURM_PROCID": "{}"}, "srun")])
def started(request, monkeypatch):
    """Makes this process a rank of a run that something started; what did so."""
    environment, starter = request.param

    def start(rank):
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(rank))
        return starter

    return start


@pytest.mark.parametrize(
    "environment", [{}, SBATCH, {"SLURM_STEP_NUM_TASKS": "1", **SBATCH}, {**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}]
)
def test_single_processes_go_their_way(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert external_launcher() is None
    for line in (["seed=1"], ["-m", "seed=1,2"]):
        assert shared_arguments(line) == line


def test_first_process_alone_writes_the_configuration(started):
    starter = started(0)
    for line in (["hydra.run.dir=here"], ["ckpt_path=run/checkpoints/last.ckpt"]):
        assert shared_arguments(line) == line
    started(3)
    assert external_launcher() == (starter, 3)
    assert shared_arguments(["hydra.run.dir=here"]) == ["hydra.run.dir=here", "hydra.output_subdir=null"]


def test_folder_must_be_given(started):
    starter = started(1)
    with pytest.raises(UserError, match=f"started by {starter}: give hydra.run.dir="):
        shared_arguments(["seed=1"])


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_sweep_is_refused(started, flag):
    starter = started(0)
    with pytest.raises(UserError, match=f"-m under {starter}: a sweep starts its jobs' processes itself"):
        shared_arguments([flag, "seed=1,2", "hydra.run.dir=here"])


@pytest.mark.parametrize(("devices", "several"), [(1, False), (2, True), ("auto", False), (-1, False)])
def test_processes_of_a_job_on_cpu(devices, several, monkeypatch):
    assert takes_processes(TrainerConfig(accelerator="cpu", devices=devices)) is several


def test_a_job_takes_all_gpus_unless_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert takes_processes(TrainerConfig())
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert not takes_processes(TrainerConfig())


def test_a_job_of_several_tasks_starts_no_processes(started):
    started(0)
    assert not takes_processes(TrainerConfig(devices=2))
