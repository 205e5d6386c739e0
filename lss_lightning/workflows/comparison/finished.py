"""Finished runs, read from their folders: what was tested, by what, and with which result."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.config.data import data_source
from lss_lightning.config.reproduce import PlannedTraining
from lss_lightning.data.source import DataSource
from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import ImageCounts
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.reporting.comparison import RunResult
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_metrics, stored_configuration, working_directory

FOLDS = "folds"
"""``data.subset`` of a test whose members were each tested on the fold that they had not seen."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run of ``train.py`` or ``evaluate.py``.

    Attributes:
        folder: Its folder.
        result: What tables and figures say of it.
        tested: The images that it was tested on.
        checkpoints: The files that were tested.
        all_metadata: What those of them say that are still there.
        tta: Test-time augmentation, a key of :data:`~lss_lightning.models.views.VIEWS`.
        data: Of an evaluation, the data section that its user gave; empty where the data is the checkpoint's own.
    """

    folder: Path
    result: RunResult
    tested: ImageCounts
    checkpoints: tuple[Path, ...]
    all_metadata: tuple[CheckpointMetadata, ...]
    tta: str
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """Heading of its columns."""
        return self.result.name

    def source(self) -> DataSource:
        """The data that it was tested on, read as its checkpoint demands.

        Raises:
            UserError: its checkpoint is gone, or the section cannot be read.
        """
        if len(self.all_metadata) < len(self.checkpoints):
            raise UserError(f"{', '.join(map(str, self.checkpoints))}: no longer there")
        metadata = self.all_metadata[0]
        trained = metadata.config["data"]
        section = self.data if self.data.get("_target_") else {**trained, **self.data}
        return data_source(
            {**section, "channels": metadata.channels, "third": trained["third"], "spacing": metadata.spacing}
        )


def read_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Read several runs, and give each a name of its own.

    Raises:
        UserError: one of them is no finished run.
    """
    runs = [_read(folder) for folder in folders]
    names = _distinct([run.name for run in runs], [_marks(run) for run in runs])
    return [replace(run, result=replace(run.result, name=name)) for run, name in zip(runs, names, strict=True)]


def common_labels(runs: Sequence[FinishedRun]) -> LabelSet:
    """The classes of runs that share them.

    Raises:
        UserError: no checkpoint is left to name them, and they are not the paper's.
    """
    for run in runs:
        for metadata in run.all_metadata:
            return metadata.label_set
    if tuple(runs[0].result.metrics["iou"]) == LUMBAR.keys:
        return LUMBAR
    raise UserError(
        f"runs: none of the checkpoints is there any more, so that nothing says how the classes "
        f"{', '.join(runs[0].result.metrics['iou'])} are called; restore one, e.g. {runs[0].checkpoints[0]}"
    )


def _read(folder: Path) -> FinishedRun:
    metrics = read_metrics(folder)
    run = RunFolder(folder)
    trained = run.checkpoints.is_dir()
    stored = stored_configuration(folder) or {}
    checkpoints = _trained_checkpoint(folder) if trained else _evaluated_checkpoints(folder, metrics, stored)
    # One after the other: several checkpoints at once would fill the memory.
    read = [_card_and_parameters(path) for path in checkpoints if path.is_file()]
    all_metadata = tuple(metadata for metadata, _ in read)
    settings = all_metadata[0].config if all_metadata else (stored or None) if trained else None
    name = metrics.get("model", {}).get("name") or (settings or {}).get("name") or folder.name
    data = {} if trained else {key: value for key, value in stored.get("data", {}).items() if value is not None}
    if data.get("name") == "checkpoint":
        del data["name"]
    result = RunResult(
        name=str(name),
        metrics=metrics,
        settings=settings,
        parameters=sum(parameters for _, parameters in read) if len(read) == len(checkpoints) else None,
        checkpoint=", ".join(str(shown_path(path)) for path in checkpoints),
        rows=_rows(run.epochs),
    )
    return FinishedRun(
        folder=folder,
        result=result,
        tested=_tested(run.counts, all_metadata[0].channels if all_metadata else ""),
        checkpoints=checkpoints,
        all_metadata=all_metadata,
        tta=str(stored.get("tta", "none")),
        data=data,
    )


def _trained_checkpoint(run: Path) -> tuple[Path, ...]:
    layout = RunFolder(run)
    return (layout.selected_checkpoint or layout.last_checkpoint,)


def _evaluated_checkpoints(run: Path, metrics: dict[str, Any], stored: dict[str, Any]) -> tuple[Path, ...]:
    given = [member["checkpoint"] for member in metrics.get("model", {}).get("members", [])]
    if not given:
        named = stored.get("ckpt_path") or []
        given = [named] if isinstance(named, str) else named
    here = working_directory(run)
    return tuple(here / Path(path).expanduser() for path in given)


def _card_and_parameters(path: Path) -> tuple[CheckpointMetadata, int]:
    content = read_checkpoint(path)
    metadata = CheckpointMetadata.of(content)
    weights = {name for name, _ in metadata.network.build().named_parameters()}
    state = content["state_dict"]
    return metadata, sum(state[f"network.{name}"].numel() for name in weights)


def _tested(path: Path, channels: str) -> ImageCounts:
    with np.load(path) as kept:
        digests, patients, levels = (tuple(kept[name].tolist()) for name in ("digest", "patient", "level"))
        return ImageCounts(digests, patients, levels, kept["counts"], channels)


def _rows(path: Path) -> list[dict[str, float]]:
    """The epochs of ``metrics.csv``; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]


def _marks(run: FinishedRun) -> list[str]:
    """What may tell a run from others of its name, the most telling first."""
    data, settings = run.result.metrics["data"], run.result.settings or {}
    return [
        data["name"],
        data["protocol"],
        data["subset"],
        f"tta={run.tta}",
        f"seed {settings.get('seed')}",
        run.folder.name,
        str(shown_path(run.folder)),
    ]


def _distinct(names: Sequence[str], marks: Sequence[Sequence[str]]) -> list[str]:
    """The names; where several are the same, each with as many of its marks as tell them apart."""
    distinct = list(names)
    for name in set(names):
        places = [place for place, other in enumerate(names) if other == name]
        told = [name] * len(places)
        for kind in zip(*(marks[place] for place in places), strict=True):
            if len(set(told)) == len(places):
                break
            if len(set(kind)) > 1:
                told = [f"{text}, {mark}" for text, mark in zip(told, kind, strict=True)]
        for place, text in zip(places, told, strict=True):
            distinct[place] = text
    return distinct


@dataclass(frozen=True)
class TrainedRun:
    """A training of the plan, and the run it became."""

    training: PlannedTraining
    run: FinishedRun


def runs_of(trained: Sequence[TrainedRun], model: str, protocol: str) -> list[FinishedRun]:
    """The runs of a model under a protocol, a seed each."""
    return [each.run for each in trained if (each.training.model, each.training.protocol) == (model, protocol)]
