"""Gradient clipping with every precision, and together with what else changes an optimizer step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.workflows.training.optim import make_optimizers
from tests.conftest import configure
from tests.workflows.altered import compile_eagerly
from tests.workflows.processes import python
from tests.workflows.quick_runs import QUICK, start
from tests.workflows.training.resuming import content

CLIP = ("trainer.gradient_clip_val=0.01", "trainer.max_epochs=1", "trainer.limit_train_batches=2")
UNIT_STEP = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "optimizer.nesterov=false")
BF16 = "trainer.precision=bf16-mixed"


@pytest.mark.usefixtures("untested")
@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [("32-true", "adam"), ("bf16-mixed", "adam"), ("bf16-mixed", "rmsprop"), ("16-mixed", "adam"), ("64-true", "adam")],
)
def test_gradients_are_clipped_at_every_precision(precision, optimizer, steps, patients, tmp_path):
    start(tmp_path / "run", patients, *CLIP, f"trainer.precision={precision}", f"optimizer={optimizer}")
    assert len(steps) == 2


@pytest.mark.usefixtures("untested")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.accumulate_grad_batches=2",),
        ("callbacks=[ema,quiet]", "callbacks.ema.decay=0.9"),
        ("engine.compile=true",),
    ],
    ids=lambda overrides: overrides[0],
)
def test_a_step_is_as_long_as_the_clipped_gradient(overrides, precision, steps, patients, tmp_path, monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", nn.Module.compile)
    compile_eagerly()
    before: dict[str, torch.Tensor] = {}

    def copy_weights(module, loss):
        before.update({name: weights.detach().clone() for name, weights in module.named_parameters()})
        return loss

    steps.changes = {1: copy_weights}
    settings = ("optimizer.weight_decay=0", f"trainer.precision={precision}", *overrides)
    start(tmp_path / "run", patients, *CLIP, *UNIT_STEP, *settings)
    saved = content(tmp_path / "run")
    updates = saved["global_step"]
    assert updates == (1 if "accumulate" in overrides[0] else 2)
    after = saved["current_model_state"] if "current_model_state" in saved else saved["state_dict"]
    moved = torch.stack([(after[name] - weights).norm() for name, weights in before.items()]).norm()
    assert 0 < float(moved) <= 0.01 * updates * 1.01


@pytest.mark.parametrize(
    ("overrides", "updates"),
    [((), 2), (("trainer.accumulate_grad_batches=2", "callbacks=[ema,quiet]", "engine.compile=true"), 1)],
    ids=("alone", "accumulated, averaged and compiled"),
)
def test_two_devices_clip_with_bf16(overrides, updates, patients, tmp_path):
    line = ["train", "data=alkafri", f"data.root={patients}", *QUICK, *CLIP, BF16, "trainer.devices=2", *overrides]
    changes = "skip_figures+compile_eagerly"
    done = python("-m", "tests.workflows.altered", changes, *line, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    saved = content(tmp_path / "run")
    assert saved["global_step"] == updates
    assert ("current_model_state" in saved) == bool(overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+optimizer.fused=true", BF16], r"optimizer\.fused=true with .*_val=0\.01 and .*precision=bf16-mixed: "),
        (["+optimizer.fused=true", "trainer.precision=16-mixed"], r"remove optimizer\.fused, or set trainer\.prec"),
        (["optimizer=adamw", "+optimizer.fused=true", BF16], r"optimizer\.fused=true"),
        (["trainer.strategy=fsdp"], r"_val=0\.01 with trainer\.strategy=fsdp: .* set trainer\.strategy=ddp"),
    ],
)
def test_clipping_that_is_impossible_is_refused_at_the_start(overrides, message):
    with pytest.raises(UserError, match=message):
        make_optimizers(configure(*CLIP, *overrides))


def test_a_fused_optimizer_that_need_not_clip_in_mixed_precision_is_allowed():
    make_optimizers(configure("+optimizer.fused=true", BF16))
    make_optimizers(configure(*CLIP, "+optimizer.fused=true", "trainer.precision=32-true"))
