"""What `train.py` and `evaluate.py` leave in a run's folder, as far as it can be read without anything heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.errors import UserError
from lss_lightning.runs.layout import METRICS_SCHEMA, RunFolder


def read_metrics(run: Path, key: str = "runs") -> dict[str, Any]:
    """A finished run's ``metrics.json``.

    Args:
        run: Its folder.
        key: The setting that names it, for messages.

    Raises:
        UserError: no such folder, no run's folder, an unfinished run, or one of another version.
    """
    if not run.is_dir():
        raise UserError(f"{key}: {run}: no such folder; give folders of train.py or evaluate.py")
    layout = RunFolder(run)
    if not layout.is_finished:
        raise UserError(f"{key}: {run}: {_unfinished(layout)}")
    try:
        metrics = json.loads(layout.metrics.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{key}: {run}: {layout.metrics.name} is damaged ({error}); run it again") from error
    if not isinstance(metrics, dict) or metrics.get("schema") != METRICS_SCHEMA or not layout.counts.is_file():
        raise UserError(
            f"{key}: {run}: not as this version writes it ({layout.metrics.name} of schema {METRICS_SCHEMA}, "
            f"{layout.counts.name}); test its "
            "checkpoint anew with evaluate.py and give that folder"
        )
    return metrics


def find_calibration(given: str | None) -> Path | None:
    """The folder of the evaluation that ``calibration`` names, itself or a file in it; None where none is given.

    Raises:
        UserError: there is none, or it has not measured.
    """
    if given is None:
        return None
    path = Path(given).expanduser()
    folder = path.parent if path.is_file() else path
    read_metrics(folder, "calibration")
    table = RunFolder(folder).measurements
    if not table.is_file():
        raise UserError(
            f"calibration: {folder}: holds no {table.name}; give the folder of python evaluate.py ckpt_path=… "
            "subset=val, or of other labelled data, with measurements=true"
        )
    return folder


def stored_configuration(run: Path) -> dict[str, Any] | None:
    """The configuration that a run was started or last resumed with, as plain data; None where there is none."""
    stored = RunFolder(run).configurations
    if not stored:
        return None
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.load(stored[-1]), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{stored[-1]}: cannot be read ({str(error).splitlines()[0]}); restore it") from error
    return {str(key): value for key, value in plain.items()}


def record_resume(run: Path, config: Mapping[str, Any]) -> None:
    """Store the configuration of an allowed resume, ``.hydra/resume-N/config.yaml``, for the next one to start from."""
    layout = RunFolder(run)
    folder = layout.hydra / f"resume-{len(layout.resumes) + 1}"
    folder.mkdir()
    OmegaConf.save(OmegaConf.create({**config, "ckpt_path": None}), folder / "config.yaml")


def working_directory(run: Path) -> Path:
    """Where the run was started: what relative paths in its configuration start from."""
    stored = RunFolder(run).hydra / "hydra.yaml"
    if not stored.is_file():
        return Path.cwd()
    return Path(OmegaConf.select(OmegaConf.load(stored), "hydra.runtime.cwd", default="."))


def refuse_incomparable(runs: Sequence[Path]) -> None:
    """Refuse runs between which nothing can be compared.

    Raises:
        UserError: fewer than two, one twice, one that is no finished run, or runs of other classes than the first.
    """
    if len(runs) < 2:
        given = f"only {runs[0]} is given" if runs else "empty"
        raise UserError(f"runs: {given}; a comparison needs two or more, e.g. runs=[logs/a,logs/b]")
    seen: dict[Path, Path] = {}
    for run in runs:
        whole = run.resolve()
        if whole in seen:
            also = "" if seen[whole] == run else f" (as {seen[whole]})"
            raise UserError(f"runs: {run}: given twice{also}; give each run once")
        seen[whole] = run
    classes = {run: list(read_metrics(run)["iou"]) for run in runs}
    first = runs[0]
    for run in runs[1:]:
        if classes[run] != classes[first]:
            raise UserError(
                f"runs: {run}: its classes, {', '.join(classes[run])}, are not those of {first}, "
                f"{', '.join(classes[first])}; compare runs of the same classes"
            )


def _unfinished(run: RunFolder) -> str:
    """What to say of a folder without a test result."""
    if run.last_checkpoint.is_file():
        return f"unfinished; resume it: python train.py ckpt_path={run.last_checkpoint}"
    if run.hydra.is_dir():
        return "it ended before its test, and left no result; run it again"
    within = sorted(path.parent for path in run.path.glob(f"*/{run.metrics.name}"))
    if within:
        return f"it holds {len(within)} runs, but is none; give those, e.g. {', '.join(map(str, within[:3]))}"
    return f"no run's folder (no {run.metrics.name}); give folders of train.py or evaluate.py"
