"""Functions that read the results and stored configuration of a run directory, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.errors import UserError
from lss_lightning.runs.layout import METRICS_SCHEMA, RunFolder


def read_metrics(folder: Path, key: str = "runs") -> dict[str, Any]:
    """Return the ``metrics.json`` of a finished run.

    Args:
        folder: The run directory.
        key: The setting that names the directory, for messages.

    Raises:
        UserError: If the directory does not exist or is not a run directory, or if the run is unfinished or was
            written by another version.
    """
    if not folder.is_dir():
        raise UserError(f"{key}: {folder}: no such folder; give run directories of train.py or evaluate.py")
    run = RunFolder(folder)
    if not run.is_finished:
        raise UserError(f"{key}: {folder}: {_describe_unfinished(run)}")
    try:
        metrics = run.load_metrics()
    except ValueError as error:
        raise UserError(f"{key}: {folder}: {run.metrics.name} is damaged ({error}); run it again") from error
    if not isinstance(metrics, dict) or metrics.get("schema") != METRICS_SCHEMA or not run.counts.is_file():
        raise UserError(
            f"{key}: {folder}: not written by this version, which needs {run.metrics.name} of schema {METRICS_SCHEMA} "
            f"and {run.counts.name}; evaluate its checkpoint again with evaluate.py and give that directory"
        )
    return metrics


def find_calibration(name: str | None) -> Path | None:
    """Return the evaluation directory that the setting ``calibration`` refers to, or None if the setting is None.

    Args:
        name: The directory of an evaluation, or a file in it.

    Raises:
        UserError: If the evaluation does not exist or contains no measurements.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    folder = path.parent if path.is_file() else path
    read_metrics(folder, "calibration")
    table = RunFolder(folder).measurements
    if not table.is_file():
        raise UserError(
            f"calibration: {folder}: has no {table.name}; give the directory of python evaluate.py ckpt_path=… "
            "subset=val, or of other labelled data, with measurements=true"
        )
    return folder


def read_configuration(folder: Path) -> dict[str, Any] | None:
    """Return the configuration with which a run was started or last resumed, or None if none is stored.

    Raises:
        UserError: If the configuration cannot be read.
    """
    files = RunFolder(folder).configurations
    if not files:
        return None
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.load(files[-1]), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{files[-1]}: cannot be read ({str(error).splitlines()[0]}); restore it") from error
    return {str(key): value for key, value in plain.items()}


def record_resume(folder: Path, config: Mapping[str, Any]) -> None:
    """Store the configuration of a resumed run as ``.hydra/resume-N/config.yaml``, from which the next resume starts.

    The working directory, to which relative paths in the configuration refer, is stored beside this file.
    """
    run = RunFolder(folder)
    resume = run.hydra / f"resume-{len(run.resumes) + 1}"
    resume.mkdir()
    OmegaConf.save(OmegaConf.create({**config, "ckpt_path": None}), resume / run.configuration.name)
    runtime = {"hydra": {"runtime": {"cwd": str(Path.cwd())}}}
    OmegaConf.save(OmegaConf.create(runtime), resume / run.hydra_configuration.name)


def read_working_directory(folder: Path) -> Path:
    """Return the directory in which a run was started or last resumed, to which its relative paths refer."""
    run = RunFolder(folder)
    names = [file.with_name(run.hydra_configuration.name) for file in reversed(run.configurations)]
    stored = next((file for file in names if file.is_file()), None)
    if stored is None:
        return Path.cwd()
    return Path(OmegaConf.select(OmegaConf.load(stored), "hydra.runtime.cwd", default="."))


def check_comparable(folders: Sequence[Path]) -> None:
    """Check that runs can be compared with each other.

    Args:
        folders: The run directories.

    Raises:
        UserError: If there are fewer than two runs, a run is given twice or is not finished, or the classes differ.
    """
    if len(folders) < 2:
        number = f"only {folders[0]} is given" if folders else "empty"
        raise UserError(f"runs: {number}; a comparison needs two or more, e.g. runs=[logs/a,logs/b]")
    seen: dict[Path, Path] = {}
    for folder in folders:
        resolved = folder.resolve()
        if resolved in seen:
            alias = "" if seen[resolved] == folder else f" (as {seen[resolved]})"
            raise UserError(f"runs: {folder}: given twice{alias}; give each run once")
        seen[resolved] = folder
    classes = {folder: list(read_metrics(folder)["iou"]) for folder in folders}
    first = folders[0]
    for folder in folders[1:]:
        if classes[folder] != classes[first]:
            raise UserError(
                f"runs: {folder}: its classes are {', '.join(classes[folder])}, but those of {first} are "
                f"{', '.join(classes[first])}; compare runs with the same classes"
            )


def _describe_unfinished(run: RunFolder) -> str:
    """Describe a directory without a test result, and the remedy."""
    if run.last_checkpoint.is_file():
        return f"unfinished; resume it with python train.py ckpt_path={run.last_checkpoint}"
    if run.hydra.is_dir():
        return "ended before its test, so it has no result; run it again"
    runs = sorted(path.parent for path in run.path.glob(f"*/{run.metrics.name}"))
    if runs:
        return f"holds {len(runs)} runs but is not one itself; give those, e.g. {', '.join(map(str, runs[:3]))}"
    return f"not a run directory (no {run.metrics.name}); give run directories of train.py or evaluate.py"
