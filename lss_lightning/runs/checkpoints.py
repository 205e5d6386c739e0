"""Search for the checkpoint files that a setting refers to: files, run directories and sweep directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder


def find_checkpoint_files(names: Sequence[str], key: str = "ckpt_path") -> tuple[Path, ...]:
    """Return the checkpoint files that a setting refers to, in the order of the setting.

    Args:
        names: Paths of checkpoint files; of run directories, for the best checkpoint of the run, or the last one if no
            best checkpoint exists; or of sweep directories, for the checkpoints of all runs in the order of their
            numbers.
        key: The setting, for messages.

    Raises:
        UserError: If a path does not exist, a run has no checkpoint yet, or a file is given twice.
    """
    files = [file for name in names for file in _find_files(Path(name).expanduser(), f"{key}={name}")]
    if not files:
        raise UserError(f"{key}=[]: no checkpoint given; give checkpoints/best.ckpt of a run, or its directory")
    for index, file in enumerate(files):
        if file in files[:index]:
            raise UserError(f"{key}: {file} is given twice; each checkpoint counts once: remove one of the two")
    return tuple(files)


def _find_files(path: Path, setting: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(
            f"{setting}: no such file; give checkpoints/best.ckpt or last.ckpt of a run, or the run directory"
        )
    if RunFolder(path).is_run:
        runs = [path]
    else:
        runs = sorted((folder for folder in path.iterdir() if RunFolder(folder).is_run), key=_job_number)
    if not runs:
        raise UserError(
            f"{setting}: neither a run directory nor a sweep directory; give one that train.py wrote, or a checkpoint"
        )
    return [_select_checkpoint(run, setting) for run in runs]


def _job_number(folder: Path) -> tuple[int, str]:
    """Return a sort key that puts job 10 after job 9."""
    return (int(folder.name), "") if folder.name.isdecimal() else (0, folder.name)


def _select_checkpoint(run: Path, setting: str) -> Path:
    checkpoint = RunFolder(run).selected_checkpoint
    if checkpoint is None:
        raise UserError(
            f"{setting}: the run {run} has no checkpoint; let it finish its first epoch, or give the other runs only"
        )
    return checkpoint
