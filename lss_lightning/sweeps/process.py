"""A sweep's job on several devices, in a process of its own.

Lightning starts the other processes of a run by the command line of the first. In a sweep that line is the whole
sweep's, so that each of them would begin a sweep of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lss_lightning.config.overrides import given_overrides, quoted
from lss_lightning.config.sections import TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.jobs import JobProcessError

LAUNCH = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS")
"""What tells Lightning that somebody else has started the processes."""

STOPPED = {number for stop in (signal.SIGINT, signal.SIGTERM) for number in (128 + stop, -stop)}
"""Exit codes of a process that Ctrl-C or SIGTERM ended."""


def takes_processes(trainer: TrainerConfig) -> bool:
    """Whether Lightning starts more processes than one; not where they are started from outside."""
    if external_launcher() is not None:
        return False
    if isinstance(trainer.devices, int) and trainer.devices > 0:
        return trainer.devices > 1
    if trainer.accelerator in ("cpu", "mps"):
        return False
    import torch

    return torch.cuda.device_count() > 1


def run_apart(command: str, hydra: Any, resumed: Path | None = None) -> float | None:
    """Run a sweep's job as a fresh command line in the job's folder.

    Args:
        command: A key of :data:`lss_lightning.cli.check.COMMANDS`.
        hydra: Hydra's configuration of the job.
        resumed: The checkpoint to go on from.

    Returns:
        The validation objective that the job's ``metrics.json`` holds, or None.

    Raises:
        JobProcessError: the job failed; it has said why.
        SystemExit: a signal stopped it, which was meant for the whole sweep.
    """
    folder = hydra.runtime.output_dir
    given = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    if resumed is None:
        line = [*given_overrides(hydra), f'hydra.run.dir="{folder}"', *(f"--config-dir={path}" for path in given)]
    else:
        line = [f"ckpt_path={quoted(resumed)}"]
    code = run_process([command, *line], hydra.runtime.cwd)
    if code in STOPPED:
        raise SystemExit(code if code > 0 else 128 - code)
    if code:
        raise JobProcessError(code)
    metrics = json.loads(RunFolder(Path(folder)).metrics.read_text(encoding="utf-8"))
    return metrics.get("validation", {}).get("objective")


def run_process(arguments: Sequence[str], folder: str | Path) -> int:
    """Run ``lss <arguments>`` as a process of its own, started in a folder, and wait for it.

    Returns:
        Its exit code; negative where a signal ended it that it did not handle.
    """
    package = Path(__file__).parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {key: value for key, value in os.environ.items() if key not in LAUNCH}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    line = [sys.executable, "-m", "lss_lightning", *arguments]
    with subprocess.Popen(line, env=environment, cwd=folder) as job:
        usual = signal.signal(signal.SIGTERM, lambda number, frame: job.send_signal(number))
        try:
            return job.wait()
        except KeyboardInterrupt:  # which the terminal has sent to the job as well
            return job.wait()
        finally:
            signal.signal(signal.SIGTERM, usual)


def shared_arguments(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments for one of several processes that were started from outside.

    Each composes the configuration itself, and at its own second: the run's folder must be given. Only the first
    process writes the configuration into it.

    Args:
        arguments: Overrides and flags of a command.

    Raises:
        UserError: no folder is given, or the command line is a sweep.
    """
    found = external_launcher()
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


def external_launcher() -> tuple[str, int] | None:
    """What started this process as one of several, ``torchrun`` or ``srun``, and its rank; None if nothing did."""
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        return "torchrun", int(os.environ["RANK"])
    # A script of sbatch knows the number of tasks, too, but only srun starts a step of them.
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "srun", int(os.environ["SLURM_PROCID"])
    return None
