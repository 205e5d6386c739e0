"""Ours: the data module, module and trainer that ``train.py`` puts together, with ``augmentation=default``."""

from __future__ import annotations

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from torch import Tensor

from bench.contenders.lightning_watch import TimedLoader, Watch, without_closure
from bench.contenders.setting import Clock, Measured, Setting, answer, bare_steps, count_flops, files, peak_memory
from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import train_config
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.workflows.training.identity import describe
from lss_lightning.workflows.training.optim import make_loss, make_optimizers
from lss_lightning.workflows.training.trainer import make_trainer


def run(setting: Setting) -> Measured:
    """Train an epoch."""
    overrides = [
        "data=alkafri",
        f"data.root={setting.folder}",
        f"data.batch_size={setting.batch}",
        f"data.num_workers={setting.workers}",
        "split=resubstitution",
        "augmentation=default",
        "encoder=timm",
        f"encoder.name={setting.encoder}",
        "model.upsampling=nearest",  # as in the others' U-Net
        f"trainer.accelerator={'gpu' if setting.device == 'cuda' else 'cpu'}",
        "trainer.devices=1",
        "trainer.max_epochs=1",
    ]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = train_config(compose("train", overrides=overrides), {})
    data = SliceDataModule(config.data, config.split, config.seed, config.augmentation)
    data.prepare_data()
    data.setup()
    data.choose_spacing()
    data.parts["train"] = [index % len(data.slices) for index in range(len(files(setting)))]
    metadata = describe(config, data)
    module = metadata.module(metadata.network.build(), loss=make_loss(config, data), optimizers=make_optimizers(config))

    clock = Clock(setting.device)
    watch = Watch(clock, setting)
    loader = data.train_dataloader
    data.train_dataloader = lambda: TimedLoader(loader(), clock)
    augment = clock.timed("augmentation", data.on_after_batch_transfer)
    data.on_after_batch_transfer = augment
    scores = module.train_scores
    scores.update = clock.timed("metrics", scores.update)
    scores.update_loss = clock.timed("metrics", scores.update_loss)
    trainer = make_trainer(
        config.trainer,
        logger=False,
        callbacks=[watch],
        limit_train_batches=setting.batches,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module.forward = clock.timed("network", module.forward)
    assert module.loss is not None
    module.loss.forward = clock.timed("network", module.loss.forward)
    trainer.strategy.backward = clock.timed("network", trainer.strategy.backward)
    original = trainer.strategy.setup_optimizers

    def setup_optimizers(running: pl.Trainer) -> None:
        original(running)
        for optimizer in trainer.strategy.optimizers:
            optimizer.step = without_closure(optimizer.step, clock)

    trainer.strategy.setup_optimizers = setup_optimizers
    trainer.fit(module, data)

    batch = next(iter(loader()))
    batch = module.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
    module.to(trainer.strategy.root_device)
    (optimizer,) = trainer.optimizers

    def step() -> Tensor:
        with trainer.precision_plugin.forward_context():
            loss: Tensor = module.loss(module(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step_seconds = bare_steps(step, setting, clock)
    return Measured(
        seconds=watch.seconds,
        step_seconds=step_seconds,
        shares={name: spent / watch.seconds for name, spent in watch.spent.items()},
        memory=peak_memory(setting.device),
        flops=count_flops(module.network, batch["image"]),
        loss=watch.loss,
    )


if __name__ == "__main__":
    answer(run)
