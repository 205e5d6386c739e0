from __future__ import annotations

import pytest

from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.sweeps.process import starts_processes


@pytest.mark.parametrize(("devices", "expected"), [(1, False), (2, True), ("auto", False), (-1, False)])
def test_a_job_on_cpu_starts_the_processes_that_are_set(devices, expected):
    assert starts_processes(TrainerConfig(accelerator="cpu", devices=devices)) is expected


def test_a_job_uses_all_gpus_by_default(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert starts_processes(TrainerConfig())
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert not starts_processes(TrainerConfig())


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_a_job_under_a_launcher_starts_no_processes(launcher, launch):
    launch(launcher)
    assert not starts_processes(TrainerConfig(devices=2))
