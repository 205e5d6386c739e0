"""Runs whose processes somebody else has started: torchrun, or srun on a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lss_lightning.errors import UserError


def shared_arguments(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments for one of several processes that were started from outside.

    Each composes the configuration itself, and at its own second: the run's folder must be given. Only the first
    process writes the configuration into it.

    Args:
        arguments: Overrides and flags of a command.

    Raises:
        UserError: no folder is given, or the command line is a sweep.
    """
    found = launched()
    if found is None:
        return list(arguments)
    starter, rank = found
    if {"-m", "--multirun"} & set(arguments):
        raise UserError(f"-m under {starter}: a sweep starts its jobs' processes itself; leave {starter} out")
    if not any(text.lstrip("+").startswith(("hydra.run.dir=", "ckpt_path=")) for text in arguments):
        raise UserError(
            f"started by {starter}: give hydra.run.dir=…, a new folder that all processes reach; each would take one "
            "of its own, named by its second"
        )
    return [*arguments, "hydra.output_subdir=null"] if rank else list(arguments)


def launched() -> tuple[str, int] | None:
    """What started this process as one of several, ``torchrun`` or ``srun``, and its rank; None if nothing did."""
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        return "torchrun", int(os.environ["RANK"])
    # A script of sbatch knows the number of tasks, too, but only srun starts a step of them.
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "srun", int(os.environ["SLURM_PROCID"])
    return None
