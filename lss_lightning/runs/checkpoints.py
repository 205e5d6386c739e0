"""Which checkpoint files a setting names: files, and what stands for the folders of runs and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder


def checkpoint_files(named: Sequence[str], key: str = "ckpt_path") -> tuple[Path, ...]:
    """The checkpoints that a setting names, in its order.

    Args:
        named: Each a file, which stands for itself; a run's folder, which stands for its best checkpoint, or for its
            last where none was selected; or a sweep's folder, which stands for all its runs in their order.
        key: The setting, for messages.

    Raises:
        UserError: nothing is there, a run holds no checkpoint yet, or a file is named twice.
    """
    files = [file for name in named for file in _files(Path(name).expanduser(), f"{key}={name}")]
    if not files:
        raise UserError(f"{key}=[]: names no checkpoint; give a run's checkpoints/best.ckpt, or its folder")
    for place, file in enumerate(files):
        if file in files[:place]:
            raise UserError(f"{key}: names {file} twice; each member counts once: leave one out")
    return tuple(files)


def _files(path: Path, given: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{given}: no such file; give a run's checkpoints/best.ckpt or last.ckpt, or its folder")
    runs = (
        [path]
        if RunFolder(path).is_run
        else sorted((folder for folder in path.iterdir() if RunFolder(folder).is_run), key=_place)
    )
    if not runs:
        raise UserError(f"{given}: neither a run's folder nor a sweep's; give one that train.py wrote, or a checkpoint")
    return [_chosen(run, given) for run in runs]


def _place(folder: Path) -> tuple[int, str]:
    """Sorts a sweep's jobs by their number, and so 10 behind 9."""
    return (int(folder.name), "") if folder.name.isdecimal() else (0, folder.name)


def _chosen(run: Path, given: str) -> Path:
    found = RunFolder(run).selected_checkpoint
    if found is None:
        raise UserError(
            f"{given}: the run {run} holds no checkpoint; let it end its first epoch, or name the others alone"
        )
    return found
