"""Testing networks: the trainer, the test itself, and the combination of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.source import DataSource
from lss_lightning.errors import UserError
from lss_lightning.metrics import Records, overlap_scores
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.user_metrics import make_user_metrics
from lss_lightning.runs.layout import RunFolder
from lss_lightning.stenosis import Calibration, find_missing_classes
from lss_lightning.workflows.evaluation.cases import choose_cases
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.measurement_callback import MeasurementCallback, find_measured_values
from lss_lightning.workflows.evaluation.measurement_report import make_measurement_table
from lss_lightning.workflows.evaluation.result import EvaluationResult, PartialResult
from lss_lightning.workflows.evaluation.user_metrics import UserMetricsCallback, find_user_values
from lss_lightning.workflows.training.hardware import resolve_test_precision
from lss_lightning.workflows.training.trainer import compile_network, make_trainer


def make_tester(
    config: EvaluateConfig,
    run_folder: RunFolder,
    ensembles: Sequence[EnsembleModule],
    loggers: Mapping[str, Logger],
    calibration: Calibration | None = None,
) -> pl.Trainer:
    """Create the trainer that tests ensembles, and compile their networks if configured.

    Args:
        config: The checked configuration.
        run_folder: The run directory.
        ensembles: At least one ensemble. All ensembles have the same classes.
        loggers: The loggers by the name of their configuration entry.
        calibration: The calibration whose intervals are tested, or None.

    Raises:
        UserError: If the configured device or compiler is not available on this machine, or if the directory already
            contains a run.
    """
    if config.engine.compile:
        for ensemble in ensembles:
            for member in ensemble.members:
                assert isinstance(member, SegmentationModule)
                compile_network(member.network)
    labels = ensembles[0].labels
    precision, _ = resolve_test_precision(config.trainer, ensembles[0])
    callbacks: list[pl.Callback] = [UserMetricsCallback(make_user_metrics(config.metrics, labels))]
    if config.measurements and not find_missing_classes(labels):
        callbacks.append(MeasurementCallback(labels, calibration))
    trainer = make_trainer(
        replace(config.trainer, precision=precision),  # type: ignore[arg-type]
        run_folder.path,
        logger=list(loggers.values()),
        enable_model_summary=False,
        callbacks=callbacks,
    )
    if trainer.is_global_zero:
        run_folder.check_unused()
    return trainer


def run_test(
    trainer: pl.Trainer,
    module: BaseSegmentationModule,
    data: SliceDataModule,
    context: EvaluationContext,
    fold: int | None = None,
) -> PartialResult:
    """Test a network on the ``test`` part of the data.

    Args:
        trainer: The trainer. Its devices share the slices.
        module: The network.
        data: The data module, already set up.
        context: The network and the data that it is tested on, for messages.
        fold: The fold that held the slices out, or None outside a cross-validation.

    Raises:
        UserError: If there is no slice, or no slice with an anatomical class, or if the output for a slice is not
            finite.
    """
    part, title = data.part("test"), f"{context.dataset}, {context.subset_title}"
    if not part:
        raise UserError(f"{title}: no slices to test; choose other data, another subset or another split")
    if not any(np.isin(loaded.label, module.labels.anatomical).any() for loaded in part):
        raise UserError(
            f"{title}: none of its {len(part)} labels has a pixel of an anatomical class, so nothing can be scored; "
            "restore the labels, or choose other data"
        )
    try:
        trainer.test(module, data, verbose=False)
    except pl.utilities.exceptions.MisconfigurationException as error:
        raise UserError(f"{title}: Lightning refuses to test these {len(part)} slices: {error}") from error
    records = module.records
    assert records is not None
    slices = [part[index] for index in records.indices]
    _check_finite(slices, records, context)
    values = find_measured_values(trainer)
    measurements = None if values is None else make_measurement_table(values, slices, data.source)
    return PartialResult(module, data.spacing, slices, records, len(part) - len(slices), measurements, fold)


def combine_parts(
    trainer: pl.Trainer,
    parts: Sequence[PartialResult],
    source: DataSource,
    context: EvaluationContext,
    run_folder: RunFolder,
    extra: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    """Combine the results of networks, and segment the slices that the report shows.

    Every process of a distributed test must call this function, because all of them segment slices.

    Args:
        trainer: The trainer of the tests.
        parts: The results on different slices, at least one.
        source: The data source of the slices.
        context: The networks and the data that they were tested on.
        run_folder: The run directory.
        extra: Further sections of ``metrics.json``.
    """
    slices = [loaded for part in parts for loaded in part.slices]
    records = Records.concatenate([part.records for part in parts])
    if skipped := sum(part.skipped for part in parts):
        remark = f"Only {len(slices)} of {len(slices) + skipped} slices tested (trainer.limit_test_batches)."
        context = replace(context, remarks=(*context.remarks, remark))
    tests = [(part, loaded) for part in parts for loaded in part.slices]
    scores = overlap_scores(records.counts, parts[0].module.labels)["mean_iou_anatomy"]
    cases = choose_cases(slices, scores, lambda indices: _segment(trainer, [tests[index] for index in indices]))
    return EvaluationResult(
        context=context,
        parts=tuple(parts),
        slices=slices,
        records=records,
        source=source,
        cases=cases,
        run_folder=run_folder,
        extra={**(extra or {}), **({"metrics": values} if (values := find_user_values(trainer)) else {})},
    )


def _check_finite(slices: Sequence[LoadedSlice], records: Records, context: EvaluationContext) -> None:
    """Check that the network's output is finite for every slice.

    Raises:
        UserError: If the output for a slice contains NaN or infinity.
    """
    broken = [loaded.slice.name for loaded, finite in zip(slices, records.finite, strict=True) if not finite]
    if broken:
        several = f" and {len(broken) - 1} more of {len(slices)} slices" if len(broken) > 1 else ""
        raise UserError(
            f"slice {broken[0]}{several}: {context.checkpoint_paths} gives NaN or infinity, so nothing can be scored; "
            "use an earlier checkpoint, or trainer.precision=32-true if 16-mixed was set"
        )


def _segment(trainer: pl.Trainer, tests: Sequence[tuple[PartialResult, LoadedSlice]]) -> list[NDArray[np.uint8]]:
    """Return the label maps of slices, each segmented by the network that tested it.

    The trainer computes the predictions, so that the precision and device are those of the test.
    """
    maps = []
    for _, group in groupby(tests, key=lambda test: id(test[0])):
        (part, *_), slices = zip(*group, strict=True)
        dataset = SliceDataset(list(slices), part.spacing, label_on_working_grid=False)
        batches: Any = trainer.predict(part.module, DataLoader(dataset, collate_fn=collate))
        maps += [batch[0] for batch in batches]
    return maps
