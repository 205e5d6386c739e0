"""The ``train.py`` command: train a network, test its best checkpoint, and write the report."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console

from lss_lightning.config.stored import check_stored_arguments, find_untrusted_classes
from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import PARTS, write_split
from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, load_weights, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.user_metrics import make_user_metrics
from lss_lightning.reporting.curves import plot_curves
from lss_lightning.reporting.loggers import make_loggers
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import record_resume
from lss_lightning.runs.trust import trust_further_classes
from lss_lightning.stenosis import find_missing_classes
from lss_lightning.sweeps.trial import is_trial
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext, describe_shared_patients
from lss_lightning.workflows.evaluation.facts import collect_model_facts
from lss_lightning.workflows.evaluation.held_out_errors import write_held_out_errors
from lss_lightning.workflows.evaluation.measurement_callback import MeasurementCallback
from lss_lightning.workflows.evaluation.model_card import write_model_card
from lss_lightning.workflows.evaluation.report import print_files, write_report
from lss_lightning.workflows.evaluation.result import EvaluationResult
from lss_lightning.workflows.evaluation.tester import combine_parts, run_test
from lss_lightning.workflows.evaluation.user_metrics import UserMetricsCallback
from lss_lightning.workflows.recording import ExamplesCallback, describe_training, record_result, record_run
from lss_lightning.workflows.training.callbacks import EpochSeed, MaxTime, make_callbacks
from lss_lightning.workflows.training.checkpoints import BestCheckpoint, LastCheckpoint
from lss_lightning.workflows.training.hardware import Hardware, resolve_precision
from lss_lightning.workflows.training.history import History
from lss_lightning.workflows.training.identity import check_unchanged, make_metadata
from lss_lightning.workflows.training.optim import is_optimizer_fused, make_loss, make_optimizers
from lss_lightning.workflows.training.precision import measure_training_step
from lss_lightning.workflows.training.preflight import check_before_training
from lss_lightning.workflows.training.pruning import PruningCallback
from lss_lightning.workflows.training.trainer import compile_network, fit, make_trainer


@dataclass(frozen=True)
class _Training:
    """The objects of a training run.

    Attributes:
        config: The checked configuration, with the precision resolved.
        run_folder: The run directory.
        data: The data module, already set up.
        metadata: The metadata of the checkpoints.
        module: The network to train and test.
        trainer: The trainer.
        hardware: The devices and precision in use.
        history: The metrics of each epoch.
    """

    config: TrainConfig
    run_folder: RunFolder
    data: SliceDataModule
    metadata: CheckpointMetadata
    module: SegmentationModule
    trainer: pl.Trainer
    hardware: Hardware
    history: History


def run(config: TrainConfig, folder: Path) -> float | None:
    """Train a network, test its best checkpoint, and write the report.

    Args:
        config: The checked configuration.
        folder: The existing run directory.

    Returns:
        The validation objective of the tested checkpoint, which searches maximise, or None if the split has no part
        that selects the epoch.

    Raises:
        UserError: If the data, the checkpoint or the device does not match the configuration.
        PrunedError: If the run is a trial of a search and its pruner stopped it.
    """
    resumed = None if config.ckpt_path is None else Path(config.ckpt_path).expanduser()
    if resumed is not None and (origin := RunFolder.of_checkpoint(resumed.absolute())) and origin.configurations:
        check_stored_arguments(origin.configurations[-1])
    # The report loads the checkpoint of this run, which names the same Python classes as this configuration.
    trust_further_classes(find_untrusted_classes(config.plain))
    stored = None if resumed is None else CheckpointMetadata.from_checkpoint(read_checkpoint(resumed))
    stored_precision = None if stored is None else stored.config["trainer"]["precision"]
    make_optimizers(config)  # reports user errors before the data is read
    callbacks = make_callbacks(config)
    loggers = make_loggers(config.logger, folder)

    data = SliceDataModule(config.data, config.split, config.seed, config.augmentation, config.paths.cache)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    measure = partial(measure_training_step, config, data, folder)
    precision, reason = resolve_precision(config.trainer, stored_precision, measure)
    config = config.at_precision(precision)
    optimizers = make_optimizers(config)
    metadata = make_metadata(config, data)
    if stored is not None:
        check_unchanged(stored, metadata)

    pl.seed_everything(config.seed, workers=True, verbose=False)
    network = metadata.network.build(config.model.pretrained)
    module = SegmentationModule.from_metadata(metadata, network, loss=make_loss(config, data), optimizers=optimizers)
    if config.engine.compile:
        compile_network(network)

    run_folder = RunFolder(folder)
    history = History()
    limits = [] if config.engine.seconds is None else [MaxTime(config.engine.seconds)]
    records = [
        UserMetricsCallback(make_user_metrics(config.metrics, data.source.labels)),
        ExamplesCallback(data, config.examples.count, config.examples.every),
    ]
    pruning = [PruningCallback()] if is_trial() else []
    measuring = [] if find_missing_classes(module.labels) else [MeasurementCallback(module.labels)]
    last = [] if config.trainer.enable_checkpointing is False else [LastCheckpoint()]
    # Lightning calls the callbacks in this order, except that it calls checkpoint callbacks, including the history,
    # last. The examples come after the configured callbacks, one of which may replace the weights by their average.
    callbacks = [EpochSeed(config.seed), history, *callbacks, *limits, *records, *pruning, *measuring, *last]
    shows_progress = any(isinstance(callback, ProgressBar) for callback in callbacks)
    trainer = make_trainer(
        config.trainer,
        folder,
        logger=list(loggers.values()),
        callbacks=callbacks,
        enable_checkpointing=True,  # the history counts as a checkpoint callback
        enable_progress_bar=shows_progress or bool(config.trainer.enable_progress_bar),
        enable_model_summary=bool(config.trainer.enable_model_summary),
        limit_val_batches=config.trainer.limit_val_batches if config.has_objective else 0,
    )
    check_before_training(data, config.trainer, trainer.world_size)
    is_fused = is_optimizer_fused(config, trainer.strategy.root_device.type)
    hardware = Hardware.from_trainer(
        trainer, config.trainer, reason, is_fused=is_fused, is_compiled=config.engine.compile
    )
    training = _Training(config, run_folder, data, metadata, module, trainer, hardware, history)

    with run_folder.locked() if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            if resumed is None:
                run_folder.check_unused()
            else:
                record_resume(folder, config.plain)
            write_split(run_folder.split, [loaded.slice for loaded in data.slices], data.parts)
            Console().print(_describe(training), highlight=False, soft_wrap=True)
        with record_run(trainer, loggers, describe_training(config, data, run_folder)):
            fit(trainer, module, data, run_folder.last_checkpoint, resumed)
            for callback in pruning:
                callback.check()
            checkpoint = _find_checkpoint(trainer)
            objective, result = _test(training, checkpoint)
            record_result(trainer, result, with_images=config.examples.count > 0, checkpoint=checkpoint)
    return objective


def _find_checkpoint(trainer: pl.Trainer) -> Path | None:
    """Return the best checkpoint that was written during training, else the last one, or None if there is none."""
    for kind in (BestCheckpoint, LastCheckpoint):
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, kind) and callback.best_model_path:
                return Path(callback.best_model_path)
    return None


def _describe(training: _Training) -> str:
    """Return a short description of the model, data and hardware of the run."""
    config, data, trainer = training.config, training.data, training.trainer
    sizes = ", ".join(f"{part} {len(data.parts[part])}" for part in PARTS)
    batch_size = config.data.batch_size * trainer.world_size * config.trainer.accumulate_grad_batches
    grid = "native pixels" if data.spacing is None else f"{data.spacing:g} mm pixels"
    return (
        f"{config.name}: {config.data.name} ({config.data.channels}, {grid}), {config.split.description}: {sizes}\n"
        f"{training.hardware}\n"
        f"effective batch size {batch_size}, run directory {shorten_path(training.run_folder.path)}"
    )


def _test(training: _Training, checkpoint: Path | None) -> tuple[float | None, EvaluationResult]:
    """Test a checkpoint of the training run, and write the report and the model card.

    Args:
        training: The finished training run.
        checkpoint: The checkpoint. If None, the weights in memory are tested, and no model card is written.

    Returns:
        The validation objective of the checkpoint, and the result of the test.

    Raises:
        UserError: If nothing was trained.
    """
    config, data, module, trainer = training.config, training.data, training.module, training.trainer
    history, run_folder = training.history, training.run_folder
    if not history.rows:
        raise UserError("the training ended before its first step; raise trainer.max_time or trainer.max_steps")
    epoch = int(history.rows[-1]["epoch"])
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        load_weights(module, content, checkpoint)
        epoch = content["epoch"]
    objective = history.objective(epoch)
    unsaved = "The weights were not saved." if checkpoint is None else None
    is_best = checkpoint is not None and checkpoint.name == run_folder.best_checkpoint.name
    warnings = (data.split.warning, unsaved, *describe_shared_patients(data.split, data.slices, data.parts))
    context = EvaluationContext(
        members=(EnsembleMember(config.name, checkpoint),),
        dataset=config.data.name,
        subset="test",
        protocol=config.split.protocol,
        split_description=config.split.description,
        disclaimer=config.data.disclaimer,
        remarks=tuple(filter(None, warnings)),
        facts=collect_model_facts([training.metadata], [module]),
    )
    extra = {
        "validation": {"objective": objective, "epoch": epoch},
        "hardware": asdict(training.hardware),
        "timing": {"train_seconds": round(history.seconds, 1), "epochs": len(history.rows)},
    }
    if trainer.is_global_zero:
        _draw_curves(run_folder.curves, context, data, history, epoch if is_best else None)
    part = run_test(trainer, module, data, context)
    # predict.py needs only the measurement errors; evaluate.py reports the measurements themselves.
    result = combine_parts(trainer, [replace(part, measurements=None)], data.source, context, run_folder, extra)
    if trainer.is_global_zero:
        write_report(result)
        if checkpoint is not None:
            write_held_out_errors(part, checkpoint, training.metadata, data.source.name)
            write_model_card(result, checkpoint, data)
        print_files(run_folder)
    return objective, result


def _draw_curves(
    path: Path, context: EvaluationContext, data: SliceDataModule, history: History, best_epoch: int | None
) -> None:
    slices = [data.slices[index] for index in sorted({*data.parts["train"], *data.parts["val"]})]
    caption = replace(context, subset="fit").caption(slices, "IoU pooled over the slices of an epoch.")
    path.parent.mkdir(exist_ok=True)
    plot_curves(history.rows, path, caption=caption, best_epoch=best_epoch)
