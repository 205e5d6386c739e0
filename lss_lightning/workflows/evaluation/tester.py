"""Test networks on the part that tests, and write what the run's folder keeps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from rich.console import Console
from torch.utils.data import DataLoader

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.files import write_json
from lss_lightning.metrics import Records, overlap, summarise_folds, summarise_metrics
from lss_lightning.metrics.measurements import MeasurementTable
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.unet import UNet
from lss_lightning.runs.layout import METRICS_SCHEMA, RunFolder
from lss_lightning.stenosis import Calibration, missing_classes
from lss_lightning.workflows.evaluation.cases import show_cases
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.facts import software
from lss_lightning.workflows.evaluation.measurements import (
    MeasurementCallback,
    measured_values,
    measurement_table,
    report_measurements,
)
from lss_lightning.workflows.evaluation.pages import save_counts, write_report
from lss_lightning.workflows.training.trainer import compile_network, make_trainer


@dataclass(frozen=True)
class EvaluationResult:
    """What a test has found.

    Attributes:
        module: What was tested.
        spacing: The working pixel in mm, or None for each slice's own.
        slices: Those tested.
        records: Theirs, in the same order.
        cut: Slices of the part that were not tested.
        measured: Measures of the slices, if they were taken.
    """

    module: BaseSegmentationModule
    spacing: float | None
    slices: list[LoadedSlice]
    records: Records
    cut: int
    measured: MeasurementTable | None = None


def test_and_report(
    trainer: pl.Trainer,
    module: BaseSegmentationModule,
    data: SliceDataModule,
    context: EvaluationContext,
    folder: Path,
    more: dict[str, Any],
    pictures: Sequence[Path],
) -> EvaluationResult:
    """Test the ``test`` part of the data, print the scores, and write ``metrics.json`` and the report.

    Args:
        trainer: Its devices share the slices.
        module: The network.
        data: Set up; its ``test`` part is what is tested.
        context: What is tested.
        folder: Where ``metrics.json`` and ``report/`` go.
        more: Further parts of ``metrics.json``.
        pictures: Figures that ``report/index.html`` shows besides the test's own.

    Returns:
        What was found.

    Raises:
        UserError: as :func:`test`.
    """
    found = test(trainer, module, data, context)
    report(trainer, [found], data.source.groupings, context, folder, more, pictures=pictures)
    return found


def make_tester(
    config: EvaluateConfig, folder: Path, ensembles: Sequence[EnsembleModule], calibration: Calibration | None = None
) -> pl.Trainer:
    """The trainer that tests predictors, compiled if configured, and reports into a folder.

    Args:
        config: The checked configuration.
        folder: Where the report goes.
        ensembles: Of the same classes, at least one.
        calibration: Whose intervals are tested too; None where there is none.

    Raises:
        UserError: the machine has no such device or no compiler, or the folder holds a run already.
    """
    if config.trainer.compile:
        for ensemble in ensembles:
            for network in filter(lambda module: isinstance(module, UNet), ensemble.modules()):
                compile_network(network)
    labels = ensembles[0].labels
    measuring = (
        [MeasurementCallback(labels, calibration)] if config.measurements and not missing_classes(labels) else []
    )
    settings = {"default_root_dir": folder, "logger": False, "enable_model_summary": False, "callbacks": measuring}
    trainer = make_trainer(config.trainer, **settings)
    if trainer.is_global_zero:
        RunFolder(folder).refuse_used()
    return trainer


def test(
    trainer: pl.Trainer, module: BaseSegmentationModule, data: SliceDataModule, context: EvaluationContext
) -> EvaluationResult:
    """Test the ``test`` part of the data.

    Raises:
        UserError: there is no slice to test, none of them is labelled, or the network's output for one is not finite.
    """
    part, what = data.part("test"), f"{context.dataset}, {context.part}"
    if not part:
        raise UserError(f"{what}: it is empty, so there is nothing to test; give other data, another subset or split")
    if not any(np.isin(piece.label, module.labels.anatomical).any() for piece in part):
        raise UserError(
            f"{what}: no pixel of its {len(part)} labels is of an anatomical class, so nothing can be scored; restore "
            "the labels, or give other data"
        )
    try:
        trainer.test(module, data, verbose=False)
    except pl.utilities.exceptions.MisconfigurationException as error:
        raise UserError(f"{what}: {len(part)} slices cannot be tested as set ({error})") from error
    records = module.records
    assert records is not None
    slices = [part[index] for index in records.indices]
    _refuse_broken(slices, records, context)
    values = measured_values(trainer)
    measured = None if values is None else measurement_table(values, slices, data.source)
    return EvaluationResult(module, data.spacing, slices, records, len(part) - len(slices), measured)


def report(
    trainer: pl.Trainer,
    found: Sequence[EvaluationResult],
    groupings: Mapping[str, Sequence[str]],
    context: EvaluationContext,
    folder: Path,
    more: Mapping[str, Any],
    fold_of: Sequence[int] = (),
    pictures: Sequence[Path] = (),
) -> None:
    """Print the scores of one test, or of several together, and write ``metrics.json`` and the report.

    Args:
        trainer: Of the tests.
        found: By the tests, on different slices.
        groupings: What the data groups slices by, as its source says.
        context: What was tested.
        folder: Where ``metrics.json`` and ``report/`` go.
        more: Further parts of ``metrics.json``.
        fold_of: The fold that each test held out, where they are folds.
        pictures: Figures that ``report/index.html`` shows besides the test's own.
    """
    slices = [piece for one in found for piece in one.slices]
    records = Records.joined([one.records for one in found])
    labels = found[0].module.labels
    if cut := sum(one.cut for one in found):
        remark = f"Only {len(slices)} of {len(slices) + cut} slices tested (trainer.limit_test_batches)."
        context = replace(context, remarks=(*context.remarks, remark))
    tests = [(one, piece) for one in found for piece in one.slices]
    scores = overlap(records.counts, labels)["mean_iou_anatomy"]
    cases = show_cases(slices, scores, lambda places: _segment(trainer, [tests[place] for place in places]))
    if not trainer.is_global_zero:
        return
    spacings = {one.spacing for one in found}
    columns = {name: [piece.slice.groups.get(name) for piece in slices] for name in groupings}
    if fold_of:
        columns["fold"] = [str(fold) for fold, one in zip(fold_of, found, strict=True) for _ in one.slices]
        groupings = {**groupings, "fold": [str(fold) for fold in fold_of]}
    metrics = {
        "schema": METRICS_SCHEMA,
        "model": context.model,
        "data": context.about(slices, spacings.pop() if len(spacings) == 1 else None),
        **summarise_metrics(
            records,
            patients=[piece.slice.patient for piece in slices],
            spacings=[piece.spacing for piece in slices],
            labels=labels,
            columns=columns,
            order=groupings,
        ),
        "software": software(),
        **more,
    }
    if fold_of:
        metrics["folds"] = summarise_folds(metrics["by"]["fold"])
    if measured := [one.measured for one in found if one.measured]:
        metrics["measurements"], drawn = report_measurements(MeasurementTable.joined(measured), slices, context, folder)
        pictures = [*pictures, *drawn]
    write_json(RunFolder(folder).metrics, metrics)
    save_counts(RunFolder(folder).counts, slices, records)
    write_report(folder, metrics, records, slices, columns, cases, labels, context, pictures)


def _refuse_broken(slices: Sequence[LoadedSlice], records: Records, context: EvaluationContext) -> None:
    """Refuse figures where the network's output is not finite.

    Raises:
        UserError: it is not for some slice.
    """
    broken = [piece.slice.name for piece, finite in zip(slices, records.finite, strict=True) if not finite]
    if broken:
        several = f" and {len(broken) - 1} more of {len(slices)} slices" if len(broken) > 1 else ""
        raise UserError(
            f"slice {broken[0]}{several}: {context.files} gives NaN or infinity there, so nothing can be scored; use "
            "an earlier checkpoint, or trainer.precision=32-true if 16-mixed was set"
        )


def _segment(trainer: pl.Trainer, tests: Sequence[tuple[EvaluationResult, LoadedSlice]]) -> list[NDArray[np.uint8]]:
    """The label maps of single slices, each by what tested it; through the trainer, for its precision and device."""
    maps = []
    for _, group in groupby(tests, key=lambda test: id(test[0])):
        (one, *_), pieces = zip(*group, strict=True)
        dataset = SliceDataset(list(pieces), one.spacing, label_on_working_grid=False)
        batches: Any = trainer.predict(one.module, DataLoader(dataset, collate_fn=collate))
        maps += [batch[0] for batch in batches]
    return maps


def show_files(folder: Path) -> None:
    """Print where the results lie."""
    console = Console()
    run = RunFolder(folder)
    for path in [run.metrics, *sorted(run.report.iterdir())]:
        console.print(str(shown_path(path)), highlight=False, soft_wrap=True)
