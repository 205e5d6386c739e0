"""`train.py ckpt_path=…`: going on in the checkpoint's own run folder, with the run's stored configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.config.overrides import given_value, quoted
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments for a command line that may name a checkpoint to go on with.

    With ``ckpt_path=`` Hydra is pointed at the configuration that the run stored last, so that only this line's
    overrides change it, and at the run's folder.

    Args:
        arguments: Overrides and flags of ``train.py``.

    Raises:
        UserError: no such checkpoint, one that lies in no run's folder, another folder to go on in, or a sweep.
    """
    given = given_value("ckpt_path", arguments)
    if given is None:
        return list(arguments)
    checkpoint = Path(given).expanduser()
    if {"-m", "--multirun"} & set(arguments):
        raise UserError(f"ckpt_path={given} in a sweep: one run is resumed at a time; leave out -m")
    if not checkpoint.is_file():
        raise UserError(f"ckpt_path={given}: no such file; give a run's checkpoints/last.ckpt")
    layout = RunFolder.of_checkpoint(checkpoint.absolute())
    stored = layout.configurations if layout else []
    if layout is None or not stored:
        raise UserError(
            f"ckpt_path={given}: lies in no run's folder; "
            "a resume needs the run's .hydra/config.yaml beside checkpoints/"
        )
    run = layout.path
    elsewhere = given_value("hydra.run.dir", arguments)
    if elsewhere is not None and Path(elsewhere).absolute() != run:
        raise UserError(f"hydra.run.dir={elsewhere}: a resumed run goes on in its own folder, {run}; leave it out")
    return [
        f"--config-path={stored[-1].parent}",
        "--config-name=config",
        f"--config-dir={config_folder()}",
        "hydra/job_logging=plain",
        f"hydra.run.dir={quoted(run)}",
        "hydra.output_subdir=null",  # the workflow records the resume once it has been found allowed
        "hydra.job.name=train",
        *arguments,
    ]
