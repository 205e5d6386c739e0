"""Finished runs, loaded from their run directories."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.config.data import build_data_source
from lss_lightning.data.source import DataSource
from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import ImageCounts
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.reporting.comparison import RunResult
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_configuration, read_metrics, read_working_directory


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A finished run of ``train.py`` or ``evaluate.py``.

    Attributes:
        run_folder: The run directory.
        result: The values for tables and figures.
        images: The tested images and their confusion counts.
        checkpoints: The checkpoint files that were tested.
        all_metadata: The metadata of the checkpoint files that still exist.
        tta: The test-time augmentation, a key of :data:`~lss_lightning.models.views.TTA_VIEWS`.
        data: The data settings of an evaluation, empty if it used the checkpoint's own data.
    """

    run_folder: RunFolder
    result: RunResult
    images: ImageCounts
    checkpoints: tuple[Path, ...]
    all_metadata: tuple[CheckpointMetadata, ...]
    tta: str
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """The column heading of the run in tables."""
        return self.result.name

    @property
    def is_cross_validation(self) -> bool:
        """Whether each checkpoint of the run was tested on its own fold."""
        return bool(self.result.metrics["data"]["subset"] == "folds")

    def make_source(self) -> DataSource:
        """Create the data source that the run was tested on, with the channels and the spacing of its checkpoint.

        Raises:
            UserError: If a checkpoint no longer exists, or the data settings cannot be read.
        """
        if len(self.all_metadata) < len(self.checkpoints):
            raise UserError(f"{', '.join(map(str, self.checkpoints))}: no such file; restore it")
        metadata = self.all_metadata[0]
        trained = metadata.data_section
        section = self.data if self.data.get("_target_") else {**trained, **self.data}
        fixed = {
            "channels": metadata.channels,
            "third_channel": trained["third_channel"],
            "spacing": metadata.spacing,
        }
        return build_data_source({**section, **fixed}, stored_by=self.name)


def read_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Read runs, and give each run a distinct name.

    Args:
        folders: The run directories.

    Raises:
        UserError: If one of the directories does not contain a finished run.
    """
    runs = [_read_run(RunFolder(folder)) for folder in folders]
    names = _make_distinct([run.name for run in runs], [_list_qualifiers(run) for run in runs])
    return [replace(run, result=replace(run.result, name=name)) for run, name in zip(runs, names, strict=True)]


def find_common_labels(runs: Sequence[FinishedRun]) -> LabelSet:
    """Return the classes that runs have in common.

    Args:
        runs: At least one run. All runs have the same classes.

    Raises:
        UserError: If no checkpoint exists any more to name the classes, and they are not the classes of the paper.
    """
    for run in runs:
        for metadata in run.all_metadata:
            return metadata.label_set
    if tuple(runs[0].result.metrics["iou"]) == LUMBAR.keys:
        return LUMBAR
    raise UserError(
        f"runs: none of the checkpoints exists any more, so the names of the classes "
        f"{', '.join(runs[0].result.metrics['iou'])} are unknown; restore one, e.g. {runs[0].checkpoints[0]}"
    )


def _read_run(run_folder: RunFolder) -> FinishedRun:
    folder = run_folder.path
    metrics = read_metrics(folder)
    is_training = run_folder.checkpoints.is_dir()
    config = read_configuration(folder) or {}
    checkpoints = _list_checkpoints(run_folder, metrics, config)
    # Checkpoints are read one at a time, because several of them at once could exhaust the memory.
    loaded = [_read_metadata(path) for path in checkpoints if path.is_file()]
    all_metadata = tuple(metadata for metadata, _ in loaded)
    settings = all_metadata[0].config if all_metadata else (config or None) if is_training else None
    name = metrics.get("model", {}).get("name") or (settings or {}).get("name") or folder.name
    data = {} if is_training else {key: value for key, value in config.get("data", {}).items() if value is not None}
    if data.get("name") == "checkpoint":
        del data["name"]
    result = RunResult(
        name=str(name),
        metrics=metrics,
        settings=settings,
        parameters=sum(count for _, count in loaded) if len(loaded) == len(checkpoints) else None,
        checkpoint=", ".join(str(shorten_path(path)) for path in checkpoints),
        rows=_read_epochs(run_folder.epochs),
    )
    return FinishedRun(
        run_folder=run_folder,
        result=result,
        images=_read_images(run_folder.counts, all_metadata[0].channels if all_metadata else ""),
        checkpoints=checkpoints,
        all_metadata=all_metadata,
        tta=str(config.get("tta", "none")),
        data=data,
    )


def _list_checkpoints(run_folder: RunFolder, metrics: dict[str, Any], config: dict[str, Any]) -> tuple[Path, ...]:
    """Return the checkpoint of a training run, or the checkpoints that an evaluation tested."""
    if run_folder.checkpoints.is_dir():
        return (run_folder.selected_checkpoint or run_folder.last_checkpoint,)
    paths = [member["checkpoint"] for member in metrics.get("model", {}).get("members", [])]
    if not paths:
        setting = config.get("ckpt_path") or []
        paths = [setting] if isinstance(setting, str) else setting
    working_directory = read_working_directory(run_folder.path)
    return tuple(working_directory / Path(path).expanduser() for path in paths)


def _read_metadata(path: Path) -> tuple[CheckpointMetadata, int]:
    """Return the metadata of a checkpoint and the number of parameters of its network."""
    content = read_checkpoint(path)
    metadata = CheckpointMetadata.from_checkpoint(content)
    names = {name for name, _ in metadata.network.build().named_parameters()}
    state = content["state_dict"]
    return metadata, sum(state[f"network.{name}"].numel() for name in names)


def _read_images(path: Path, channels: str) -> ImageCounts:
    try:
        with np.load(path) as arrays:
            digests, patients, levels = (tuple(arrays[name].tolist()) for name in ("digest", "patient", "level"))
            return ImageCounts(digests, patients, levels, arrays["counts"], channels)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged, or not written by this program ({error}); test the run again") from error


def _read_epochs(path: Path) -> list[dict[str, float]]:
    """Return the rows of ``metrics.csv``, or an empty list if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]


def _list_qualifiers(run: FinishedRun) -> list[str]:
    """Return the qualifiers that may distinguish a run from others of the same name, most informative first."""
    data, settings = run.result.metrics["data"], run.result.settings or {}
    return [
        data["name"],
        data["protocol"],
        data["subset"],
        f"tta={run.tta}",
        f"seed {settings.get('seed')}",
        run.run_folder.path.name,
        str(shorten_path(run.run_folder.path)),
    ]


def _make_distinct(names: Sequence[str], qualifiers: Sequence[Sequence[str]]) -> list[str]:
    """Append qualifiers to identical names until all names differ."""
    distinct = list(names)
    for name in set(names):
        indices = [index for index, other in enumerate(names) if other == name]
        qualified = [name] * len(indices)
        for values in zip(*(qualifiers[index] for index in indices), strict=True):
            if len(set(qualified)) == len(indices):
                break
            if len(set(values)) > 1:
                qualified = [f"{text}, {value}" for text, value in zip(qualified, values, strict=True)]
        for index, text in zip(indices, qualified, strict=True):
            distinct[index] = text
    return distinct
