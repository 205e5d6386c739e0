"""`train.py ckpt_path=…`: going on in the checkpoint's own run folder, with the run's stored configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lss_lightning.config import config_folder
from lss_lightning.errors import UserError
from lss_lightning.settings import shown


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
    run = checkpoint.absolute().parent.parent
    stored = [
        folder / "config.yaml" for folder in (run / ".hydra", *resumes(run)) if (folder / "config.yaml").is_file()
    ]
    if checkpoint.parent.name != "checkpoints" or not stored:
        raise UserError(
            f"ckpt_path={given}: lies in no run's folder; "
            "a resume needs the run's .hydra/config.yaml beside checkpoints/"
        )
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


def resumes(run: Path) -> list[Path]:
    """The folders that hold the configurations of a run's resumes, in their order."""
    return sorted(run.glob(".hydra/resume-[0-9]*"), key=lambda path: int(path.name.rpartition("-")[2]))


def record_resume(run: Path, config: Mapping[str, Any]) -> None:
    """Store the configuration of an allowed resume, ``.hydra/resume-N/config.yaml``, for the next one to start from."""
    folder = run / ".hydra" / f"resume-{len(resumes(run)) + 1}"
    folder.mkdir()
    OmegaConf.save(OmegaConf.create({**config, "ckpt_path": None}), folder / "config.yaml")


def given_value(key: str, arguments: Sequence[str]) -> str | None:
    """The value that a key is given last, or None where it is not given, or null."""
    texts = [text for text in arguments if text.lstrip("+").startswith(f"{key}=")]
    if not texts:
        return None
    try:
        value = OverridesParser.create().parse_override(texts[-1]).value()
    except HydraException:
        return None  # composing the configuration reports it
    return None if value is None else shown(value)


def quoted(path: Path) -> str:
    """A path as an override spells it, whatever characters it holds."""
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"
