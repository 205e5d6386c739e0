"""Train a network, test its best checkpoint, and write the report."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
from rich.console import Console

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import PARTS, write_split
from lss_lightning.display import shorten_path
from lss_lightning.models.checkpoint import CheckpointMetadata, load_weights, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.reporting.curves import plot_curves
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import record_resume
from lss_lightning.stenosis import find_missing_classes
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext, describe_shared_patients
from lss_lightning.workflows.evaluation.facts import collect_model_facts
from lss_lightning.workflows.evaluation.held_out_errors import write_held_out_errors
from lss_lightning.workflows.evaluation.measurement_callback import MeasurementCallback
from lss_lightning.workflows.evaluation.model_card import write_model_card
from lss_lightning.workflows.evaluation.report import print_files, write_report
from lss_lightning.workflows.evaluation.result import EvaluationResult
from lss_lightning.workflows.evaluation.tester import combine_parts, run_test
from lss_lightning.workflows.tracking import TrackingCallback, describe_training, track_result, track_run
from lss_lightning.workflows.training.callbacks import ThroughputMonitor, make_callbacks, make_checkpoints
from lss_lightning.workflows.training.hardware import Hardware, resolve_precision
from lss_lightning.workflows.training.history import History
from lss_lightning.workflows.training.identity import check_unchanged, make_metadata
from lss_lightning.workflows.training.optim import is_optimizer_fused, make_loss, make_optimizers
from lss_lightning.workflows.training.preflight import check_before_training
from lss_lightning.workflows.training.progress import print_model
from lss_lightning.workflows.training.trainer import compile_network, fit, make_trainer


@dataclass(frozen=True)
class _Training:
    """The objects of a training run.

    Attributes:
        config: The checked configuration, with the precision resolved.
        run_folder: The run directory.
        data: The data, set up.
        module: The network to train and test.
        trainer: The trainer.
        hardware: The devices and precision in use.
        history: The metrics of each epoch.
    """

    config: TrainConfig
    run_folder: RunFolder
    data: SliceDataModule
    module: SegmentationModule
    trainer: pl.Trainer
    hardware: Hardware
    history: History


def run(config: TrainConfig, folder: Path) -> float | None:
    """Train, test the best checkpoint, and write the report.

    Args:
        config: The checked configuration.
        folder: The existing run directory.

    Returns:
        The validation objective of the tested checkpoint, which sweeps maximise, or None if the split has no part that
        selects the epoch.

    Raises:
        UserError: If the data, the checkpoint or the device does not fit the configuration.
    """
    resumed = None if config.ckpt_path is None else Path(config.ckpt_path).expanduser()
    stored = None if resumed is None else CheckpointMetadata.from_checkpoint(read_checkpoint(resumed))
    stored_precision = None if stored is None else stored.config["trainer"]["precision"]
    precision, reason = resolve_precision(config.trainer, stored_precision)
    config = config.at_precision(precision)
    optimizers = make_optimizers(config)

    data = SliceDataModule(config.data, config.split, config.seed, config.augmentation, config.paths.cache)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    metadata = make_metadata(config, data)
    if stored is not None:
        check_unchanged(stored, metadata)

    pl.seed_everything(config.seed, workers=True, verbose=False)
    network = metadata.network.build(config.model.pretrained)
    module = metadata.build_module(network, loss=make_loss(config, data), optimizers=optimizers)
    if config.trainer.compile:
        compile_network(network)

    run_folder = RunFolder(folder)
    has_objective = data.split.selection_part is not None
    throughput = ThroughputMonitor()
    history = History(folder if config.logger.csv else None, throughput)
    tracking = TrackingCallback(config.logger, data, history)
    callbacks = make_callbacks(config, data, has_objective=has_objective)
    checkpoints = make_checkpoints(folder, has_objective=has_objective)
    measuring = [] if find_missing_classes(module.labels) else [MeasurementCallback(module.labels)]
    trainer = make_trainer(
        config.trainer,
        default_root_dir=folder,
        logger=False,
        callbacks=[*callbacks, throughput, history, tracking, *measuring, *checkpoints],
        enable_progress_bar=config.callbacks.progress_bar,
        enable_model_summary=False,
        limit_val_batches=config.trainer.limit_val_batches if has_objective else 0,
    )
    check_before_training(data, config.trainer, trainer.world_size)
    is_fused = is_optimizer_fused(config, trainer.strategy.root_device.type)
    hardware = Hardware.from_trainer(trainer, config.trainer, reason, is_fused=is_fused)
    training = _Training(config, run_folder, data, module, trainer, hardware, history)

    with run_folder.locked() if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            if resumed is None:
                run_folder.check_unused()
            else:
                record_resume(folder, config.plain)
            write_split(run_folder.split, [loaded.slice for loaded in data.slices], data.parts)
            Console().print(_describe(training), highlight=False, soft_wrap=True)
            if config.callbacks.model_summary:
                print_model(network, metadata.network)
        with track_run(trainer, config.logger, describe_training(config, data, run_folder)) as tracking.trackers:
            fit(trainer, module, data, run_folder.last_checkpoint, resumed)
            checkpoint = Path(checkpoints[0].best_model_path)
            objective, result = _test(training, checkpoint)
            track_result(tracking.trackers, config.logger, trainer, result, checkpoint)
    return objective


def _describe(training: _Training) -> str:
    """Return a few lines that describe the model, data and hardware of the run."""
    config, data, trainer = training.config, training.data, training.trainer
    sizes = ", ".join(f"{part} {len(data.parts[part])}" for part in PARTS)
    batch_size = config.data.batch_size * trainer.world_size * config.trainer.accumulate_grad_batches
    grid = "native pixels" if data.spacing is None else f"{data.spacing:g} mm pixels"
    return (
        f"{config.name}: {config.data.name} ({config.data.channels}, {grid}), {config.split.description}: {sizes}\n"
        f"{training.hardware}\n"
        f"effective batch size {batch_size}, run directory {shorten_path(training.run_folder.path)}"
    )


def _test(training: _Training, checkpoint: Path) -> tuple[float | None, EvaluationResult]:
    """Test a checkpoint of the training, and write the report and the model card.

    Args:
        training: The finished training.
        checkpoint: The checkpoint.

    Returns:
        The validation objective of the checkpoint, and the result of the test.
    """
    config, data, module, trainer = training.config, training.data, training.module, training.trainer
    history, run_folder = training.history, training.run_folder
    content = read_checkpoint(checkpoint)
    load_weights(module, content, checkpoint)
    epoch = content["epoch"]
    objective = history.objective(epoch)
    warnings = (data.split.warning, *describe_shared_patients(data.split, data.slices, data.parts))
    context = EvaluationContext(
        members=(EnsembleMember(config.name, checkpoint),),
        dataset=config.data.name,
        subset="test",
        protocol=config.split.protocol,
        split_description=config.split.description,
        disclaimer=config.data.disclaimer,
        remarks=tuple(filter(None, warnings)),
        facts=collect_model_facts([CheckpointMetadata.from_checkpoint(content)], [module]),
    )
    extra = {
        "validation": {"objective": objective, "epoch": epoch},
        "hardware": asdict(training.hardware),
        "timing": {"train_seconds": round(history.seconds, 1), "epochs": len(history.rows)},
    }
    if trainer.is_global_zero:
        _draw_curves(run_folder.curves, context, data, history, epoch)
    part = run_test(trainer, module, data, context)
    # The errors are all that predict.py needs; evaluate.py reports the measurements.
    result = combine_parts(trainer, [replace(part, measurements=None)], data.source, context, run_folder, extra)
    if trainer.is_global_zero:
        write_held_out_errors(part, checkpoint, CheckpointMetadata.from_checkpoint(content), data.source.name)
        write_report(result)
        write_model_card(result, checkpoint, data)
        print_files(run_folder)
    return objective, result


def _draw_curves(path: Path, context: EvaluationContext, data: SliceDataModule, history: History, epoch: int) -> None:
    slices = [data.slices[index] for index in sorted({*data.parts["train"], *data.parts["val"]})]
    caption = replace(context, subset="fit").caption(slices, "IoU pooled over the slices of an epoch.")
    best_epoch = None if data.split.selection_part is None else epoch
    path.parent.mkdir(exist_ok=True)
    plot_curves(history.rows, path, caption=caption, best_epoch=best_epoch)
