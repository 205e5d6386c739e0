"""Train a network, test its best checkpoint, write the report."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import pytorch_lightning as pl
from rich.console import Console

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import PARTS, write_split
from lss_lightning.display import shown_path
from lss_lightning.models.checkpoint import CheckpointMetadata, load_weights, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.reporting.curves import plot_curves
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import record_resume
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext, crossing_remarks
from lss_lightning.workflows.evaluation.facts import model_facts
from lss_lightning.workflows.evaluation.tester import EvaluationResult, show_files, test_and_report
from lss_lightning.workflows.tracking import Tracking, about_training, hand_over, recording
from lss_lightning.workflows.training.callbacks import ThroughputMonitor
from lss_lightning.workflows.training.history import History
from lss_lightning.workflows.training.identity import describe, refuse_changed
from lss_lightning.workflows.training.model_card import write_model_card
from lss_lightning.workflows.training.optim import fuses, make_loss, make_optimizers
from lss_lightning.workflows.training.progress import make_callbacks, make_checkpoints, print_model
from lss_lightning.workflows.training.trainer import Hardware, compile_network, fit, make_trainer, resolve_precision


def run(config: TrainConfig, folder: Path) -> float | None:
    """Train as configured, test, and report.

    Args:
        config: The checked configuration.
        folder: The run's folder, existing.

    Returns:
        The validation objective of the tested checkpoint, which sweeps raise; None where no part of the split selects.

    Raises:
        UserError: data, checkpoint or device do not allow what is configured.
    """
    resumed = None if config.ckpt_path is None else Path(config.ckpt_path).expanduser()
    before = None if resumed is None else CheckpointMetadata.of(read_checkpoint(resumed))
    used = None if before is None else before.config["trainer"]["precision"]
    precision, reason = resolve_precision(config.trainer, used)
    config = config.at_precision(precision)
    optimizers = make_optimizers(config)
    data = SliceDataModule(config.data, config.split, config.seed, config.augmentation, config.paths.cache)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    metadata = describe(config, data)
    if before is not None:
        refuse_changed(before, metadata)

    pl.seed_everything(config.seed, workers=True, verbose=False)
    network = metadata.network.build(config.model.pretrained)
    module = metadata.module(network, loss=make_loss(config, data), optimizers=optimizers)
    if config.trainer.compile:
        compile_network(network)

    run_folder = RunFolder(folder)
    selects = data.split.selecting_part is not None
    pace = ThroughputMonitor()
    history = History(folder if config.logger.csv else None, pace)
    tracking = Tracking(config.logger, data, history)
    checkpoints = make_checkpoints(folder, selects=selects)
    trainer = make_trainer(
        config.trainer,
        default_root_dir=folder,
        logger=False,
        callbacks=[*make_callbacks(config, data, selects=selects), pace, history, tracking, *checkpoints],
        enable_progress_bar=config.callbacks.progress_bar,
        enable_model_summary=False,
        limit_val_batches=config.trainer.limit_val_batches if selects else 0,
    )
    hardware = Hardware.of(trainer, config.trainer, reason, fuses(config, trainer.strategy.root_device.type))
    with run_folder.locked() if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            if resumed is None:
                run_folder.refuse_used()
            else:
                record_resume(folder, config.plain)
            write_split(run_folder.split, [piece.slice for piece in data.slices], data.parts)
            Console().print(_plan(config, data, trainer, hardware, folder), highlight=False, soft_wrap=True)
            if config.callbacks.model_summary:
                print_model(network, metadata.network)
        with recording(trainer, config.logger, about_training(config, data, folder)) as tracking.trackers:
            fit(trainer, module, data, run_folder.last_checkpoint, resumed)
            chosen = Path(checkpoints[0].best_model_path)
            objective, tested = _test(config, trainer, module, data, folder, chosen, history, hardware)
            hand_over(tracking.trackers, config.logger, trainer, [tested], config.data.batch_size, folder, chosen)
        return objective


def _test(
    config: TrainConfig,
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: SliceDataModule,
    folder: Path,
    chosen: Path,
    history: History,
    hardware: Hardware,
) -> tuple[float | None, EvaluationResult]:
    """Test the chosen checkpoint and write the report; the checkpoint's objective, and what was found."""
    content = read_checkpoint(chosen)
    load_weights(module, content, chosen)
    epoch = content["epoch"]
    objective = history.objective(epoch)
    context = EvaluationContext(
        members=(EnsembleMember(config.name, chosen),),
        dataset=config.data.name,
        subset="test",
        protocol=config.split.protocol,
        division=config.split.in_words,
        disclaimer=config.data.disclaimer,
        remarks=tuple(filter(None, (data.split.stamp, *crossing_remarks(data.split, data.slices, data.parts)))),
        facts=model_facts([CheckpointMetadata.of(content)], [module]),
    )
    more = {
        "validation": {"objective": objective, "epoch": epoch},
        "hardware": asdict(hardware),
        "timing": {"train_seconds": round(history.seconds, 1), "epochs": len(history.rows)},
    }
    curves = RunFolder(folder).report / "curves.png"
    if trainer.is_global_zero:
        _draw_curves(curves, context, data, history, epoch)
    tested = test_and_report(trainer, module, data, context, folder, more, [curves])
    if trainer.is_global_zero:
        metrics = json.loads(RunFolder(folder).metrics.read_text(encoding="utf-8"))
        write_model_card(chosen.with_name("model-card.md"), chosen, metrics, config.data.labels, data, context)
        show_files(folder)
    return objective, tested


def _draw_curves(path: Path, context: EvaluationContext, data: SliceDataModule, history: History, epoch: int) -> None:
    slices = [data.slices[index] for index in sorted({*data.parts["train"], *data.parts["val"]})]
    caption = replace(context, subset="fit").caption(slices, "IoU pooled over the slices of an epoch.")
    best_epoch = None if data.split.selecting_part is None else epoch
    path.parent.mkdir(exist_ok=True)
    plot_curves(history.rows, path, caption=caption, best_epoch=best_epoch)


def _plan(config: TrainConfig, data: SliceDataModule, trainer: pl.Trainer, hardware: Hardware, folder: Path) -> str:
    """What is about to happen, in a few lines."""
    sizes = ", ".join(f"{part} {len(data.parts[part])}" for part in PARTS)
    batch = config.data.batch_size * trainer.world_size * config.trainer.accumulate_grad_batches
    grid = "native pixels" if data.spacing is None else f"{data.spacing:g} mm pixels"
    return (
        f"{config.name}: {config.data.name} ({config.data.channels}, {grid}), {config.split.in_words}: {sizes}\n"
        f"{hardware}\n"
        f"effective batch size {batch}, run folder {shown_path(folder)}"
    )
