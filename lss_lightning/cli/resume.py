"""Resuming a run with ``train.py ckpt_path=…`` in its own directory and with its stored configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from lss_lightning.config.overrides import find_override, quote_path
from lss_lightning.config.stored import load_stored_config
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_working_directory
from lss_lightning.sweeps.launcher import MULTIRUN_FLAGS

_PATHS = (("data", "root"), ("data", "reports"), ("split", "file"), ("model", "pretrained"))
"""Settings that are paths. They may change when a run is resumed."""

RESUMED_CONFIG = "resumed_run"
"""The name under which the stored configuration is registered with Hydra."""


def expand_checkpoint_argument(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's arguments for a command line that may resume a run.

    With ``ckpt_path=``, Hydra starts from the last configuration that the run stored, applies only the overrides on
    this command line, and writes to the directory of the run. The stored file is read as data. Hydra never uses it as
    a configuration file, because such a file can make Hydra call any function.

    Args:
        arguments: Overrides and flags of ``train.py``.

    Raises:
        UserError: If the checkpoint does not exist or is not in a run directory, its stored configuration is not
            allowed, another directory is given, or the command line is a sweep.
    """
    value = find_override("ckpt_path", arguments)
    if value is None:
        return list(arguments)
    checkpoint = Path(value).expanduser()
    if MULTIRUN_FLAGS & set(arguments):
        raise UserError(f"ckpt_path={value} in a sweep: only one run can be resumed at a time; leave out -m")
    if not checkpoint.is_file():
        raise UserError(f"ckpt_path={value}: no such file; give checkpoints/last.ckpt of a run")
    run = RunFolder.of_checkpoint(checkpoint.absolute())
    configurations = run.configurations if run else []
    if run is None or not configurations:
        raise UserError(
            f"ckpt_path={value}: not in a run directory; resuming needs .hydra/{RunFolder(Path()).configuration.name} "
            "of the run beside checkpoints/"
        )
    run_dir = find_override("hydra.run.dir", arguments)
    if run_dir is not None and Path(run_dir).absolute() != run.path:
        raise UserError(
            f"hydra.run.dir={run_dir}: a resumed run continues in its own directory, {run.path}; leave it out"
        )
    stored = load_stored_config(configurations[-1])
    _relocate_paths(stored, read_working_directory(run.path))
    ConfigStore.instance().store(RESUMED_CONFIG, stored)
    return [
        f"--config-name={RESUMED_CONFIG}",
        "hydra/job_logging=plain",
        f"hydra.run.dir={quote_path(run.path)}",
        "hydra.output_subdir=null",  # the workflow records the resume once it has checked that it is allowed
        "hydra.job.name=train",
        *arguments,
    ]


def _relocate_paths(stored: dict[str, Any], origin: Path) -> None:
    """Make relative paths in a stored configuration absolute if they exist in the folder where the run was started."""
    if origin == Path.cwd():
        return
    for section, key in _PATHS:
        values = stored.get(section)
        text = values.get(key) if isinstance(values, dict) else None
        if isinstance(text, str) and "${" not in text and (path := origin / Path(text).expanduser()).exists():
            stored[section][key] = str(path)
