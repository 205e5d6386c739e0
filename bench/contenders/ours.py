"""Training with the data module, LightningModule and trainer of ``train.py``, and ``augmentation=default``."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from torch import Tensor

from bench.contenders.lightning_timing import StepTimer, TimedLoader, time_without_closure
from bench.contenders.setting import (
    Clock,
    Result,
    Setting,
    count_flops,
    list_files,
    read_peak_memory,
    run_from_command_line,
    time_isolated_steps,
)
from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import build_train_config
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.identity import make_metadata
from lss_lightning.workflows.training.optim import make_loss, make_optimizers
from lss_lightning.workflows.training.trainer import make_trainer


def run(setting: Setting) -> Result:
    """Train one epoch."""
    overrides = [
        "data=alkafri",
        f"data.root={setting.folder}",
        f"data.batch_size={setting.batch}",
        f"data.num_workers={setting.workers}",
        "split=resubstitution",
        "augmentation=default",
        "encoder=timm",
        f"encoder.name={setting.encoder}",
        "model.upsampling=nearest",  # as in the U-Net of segmentation_models.pytorch
        f"trainer.accelerator={'gpu' if setting.device == 'cuda' else 'cpu'}",
        "trainer.devices=1",
        "trainer.max_epochs=1",
    ]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = build_train_config(compose("train", overrides=overrides), {})
    data = SliceDataModule(config.data, config.split, config.seed, config.augmentation)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    data.parts["train"] = [index % len(data.slices) for index in range(len(list_files(setting)))]
    metadata = make_metadata(config, data)
    loss, optimizers = make_loss(config, data), make_optimizers(config)
    module = SegmentationModule.from_metadata(metadata, metadata.network.build(), loss=loss, optimizers=optimizers)

    clock = Clock(setting.device)
    timer = StepTimer(clock, setting)
    make_loader = data.train_dataloader
    setattr(data, "train_dataloader", lambda: TimedLoader(make_loader(), clock))  # noqa: B010
    clock.time_method("augmentation", data, "on_after_batch_transfer")
    clock.time_method("metrics", module.train_scores, "update")
    clock.time_method("metrics", module.train_scores, "update_loss")
    trainer = make_trainer(
        config.trainer,
        logger=False,
        callbacks=[timer],
        limit_train_batches=setting.batches,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loss_function = module.loss
    assert loss_function is not None
    clock.time_method("network", module, "forward_heads")
    clock.time_method("network", loss_function, "forward")
    clock.time_method("network", trainer.strategy, "backward")
    original = trainer.strategy.setup_optimizers

    def setup_optimizers(running: pl.Trainer) -> None:
        original(running)
        optimizers: list[Any] = trainer.strategy.optimizers
        for optimizer in optimizers:
            optimizer.step = time_without_closure(optimizer.step, clock)

    setattr(trainer.strategy, "setup_optimizers", setup_optimizers)  # noqa: B010
    trainer.fit(module, data)

    batch: Any = next(iter(make_loader()))
    batch = module.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
    module.to(trainer.strategy.root_device)
    (optimizer,) = trainer.optimizers

    def step() -> Tensor:
        with trainer.precision_plugin.forward_context():
            loss: Tensor = loss_function(module(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step_seconds = time_isolated_steps(step, setting, clock)
    return Result(
        seconds=timer.seconds,
        step_seconds=step_seconds,
        shares={name: spent / timer.seconds for name, spent in timer.spent.items()},
        memory=read_peak_memory(setting.device),
        flops=count_flops(module.network, batch["image"]),
        loss=timer.loss,
    )


if __name__ == "__main__":
    run_from_command_line(run)
