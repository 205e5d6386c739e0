"""Running a command, such as a sweep's job on several devices, in a separate process.

Lightning starts the further processes of a run with the command line of the first. In a sweep, this is the command line
of the whole sweep, so each of these processes would start the sweep again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lss_lightning.config.overrides import get_task_overrides, quote_path
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.errors import PrunedError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import PRUNED, read_record
from lss_lightning.sweeps.jobs import JobProcessError
from lss_lightning.sweeps.launcher import external_launcher

LAUNCHER_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS")
"""Environment variables from which Lightning concludes that an external launcher has started the processes."""

STOP_CODES = {number for stop in (signal.SIGINT, signal.SIGTERM) for number in (128 + stop, -stop)}
"""Exit codes of a process that was ended by Ctrl-C or SIGTERM."""


def starts_processes(trainer: TrainerConfig) -> bool:
    """Return whether Lightning starts several processes. Under an external launcher, which starts them, it does not."""
    if external_launcher() is not None:
        return False
    if trainer.device_count is not None:
        return trainer.device_count > 1
    if trainer.accelerator in ("cpu", "mps"):
        return False
    import torch

    return torch.cuda.device_count() > 1


def run_job_process(command: str, hydra: Any, resumed: Path | None = None, trusted: Sequence[str] = ()) -> float | None:
    """Run a sweep's job in a new process that writes to the directory of the job.

    Args:
        command: A key of :data:`lss_lightning.cli.check.COMMANDS`.
        hydra: Hydra's configuration of the job.
        resumed: The checkpoint to resume from.
        trusted: The classes that the job's configuration names but this project does not list as trusted.

    Returns:
        The validation objective in the ``metrics.json`` of the job, or None.

    Raises:
        JobProcessError: If the job failed. Its process has printed the reason.
        PrunedError: If the pruner of a search stopped the job.
        SystemExit: If a signal stopped the job. The whole sweep then stops as well.
    """
    folder = Path(hydra.runtime.output_dir)
    config_dirs = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    if resumed is None:
        flags = [f"--config-dir={path}" for path in config_dirs]
        line = [*get_task_overrides(hydra), f'hydra.run.dir="{folder}"', *flags]
    else:
        line = [f"ckpt_path={quote_path(resumed)}", *([f"trust=[{','.join(trusted)}]"] if trusted else [])]
    code = run_process([command, *line], hydra.runtime.cwd)
    if code in STOP_CODES:
        raise SystemExit(code if code > 0 else 128 - code)
    if code:
        raise JobProcessError(code)
    record = read_record(folder)
    if record is not None and record.state == PRUNED:
        raise PrunedError(record.reason)
    return RunFolder(folder).load_objective()


def run_process(arguments: Sequence[str], folder: str | Path) -> int:
    """Run ``lss <arguments>`` in a new process and wait for it.

    SIGTERM is forwarded to the process.

    Args:
        arguments: The command and its overrides.
        folder: The working directory of the process.

    Returns:
        The exit code, which is negative if the process was ended by a signal that it did not handle.
    """
    package = Path(__file__).parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    line = [sys.executable, "-m", "lss_lightning", *arguments]
    with subprocess.Popen(line, env=environment, cwd=folder) as process:
        handler = signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has sent the interrupt to the process as well
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, handler)
