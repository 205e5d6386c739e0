"""Support for runs whose processes are started by an external launcher, ``torchrun`` or ``srun``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lss_lightning.errors import UserError

MULTIRUN_FLAGS = frozenset({"-m", "--multirun"})
"""Hydra's flags that make a command line a sweep."""


def external_launcher() -> tuple[str, int] | None:
    """Return the external launcher that started this process as one of several, and the rank of this process.

    Returns:
        ``torchrun`` or ``srun``, and the global rank of this process. None if there is no external launcher.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        return "torchrun", int(os.environ["RANK"])
    # Slurm also tells an sbatch script the number of tasks, but only srun starts a step with several tasks.
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "srun", int(os.environ["SLURM_PROCID"])
    return None


def adapt_to_launcher(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's arguments for this process, which may be one of several started by an external launcher.

    Each process composes the configuration itself. Because the default run directory contains the time in seconds,
    which may differ between processes, the run directory must be given. Only rank 0 writes the configuration to it.

    Args:
        arguments: Overrides and flags of a command.

    Raises:
        UserError: If no run directory is given, or the command line is a sweep.
    """
    launcher_and_rank = external_launcher()
    if launcher_and_rank is None:
        return list(arguments)
    launcher, rank = launcher_and_rank
    if MULTIRUN_FLAGS & set(arguments):
        raise UserError(f"-m under {launcher}: a sweep starts the processes of its jobs itself; remove {launcher}")
    if not any(text.lstrip("+").startswith(("hydra.run.dir=", "ckpt_path=")) for text in arguments):
        raise UserError(
            f"started by {launcher}: set hydra.run.dir=… to a new directory that all processes can access; otherwise "
            "each process would create its own, named after the second in which it starts"
        )
    return [*arguments, "hydra.output_subdir=null"] if rank else list(arguments)
