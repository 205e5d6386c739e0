from __future__ import annotations

import pytest

from lss_lightning.errors import UserError
from lss_lightning.sweeps.launcher import adapt_to_launcher, external_launcher


@pytest.mark.parametrize("kind", ["none", "sbatch", "srun_of_one", "torchrun_of_one"])
def test_a_single_process_is_left_alone(kind, launch):
    launch(kind)
    assert external_launcher() is None
    for line in (["seed=1"], ["-m", "seed=1,2"]):
        assert adapt_to_launcher(line) == line


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_only_rank_0_writes_the_configuration(launcher, launch):
    launch(launcher, rank=0)
    for line in (["hydra.run.dir=here"], ["ckpt_path=run/checkpoints/last.ckpt"]):
        assert adapt_to_launcher(line) == line
    launch(launcher, rank=3)
    assert external_launcher() == (launcher, 3)
    assert adapt_to_launcher(["hydra.run.dir=here"]) == ["hydra.run.dir=here", "hydra.output_subdir=null"]


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_the_run_directory_must_be_given(launcher, launch):
    launch(launcher, rank=1)
    with pytest.raises(UserError, match=f"started by {launcher}: set hydra.run.dir="):
        adapt_to_launcher(["seed=1"])


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_a_sweep_is_refused(flag, launcher, launch):
    launch(launcher, rank=0)
    with pytest.raises(UserError, match=f"-m under {launcher}: a sweep starts the processes of its jobs itself"):
        adapt_to_launcher([flag, "seed=1,2", "hydra.run.dir=here"])
