from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, SequentialLR

from lss_lightning.errors import UserError
from lss_lightning.workflows.training.optim import is_optimizer_fused, make_optimizers
from tests.conftest import configure

HERE = "tests.workflows.training.test_optim"


class SignDescent(Optimizer):
    """An optimizer without a learning rate, with a nested argument."""

    def __init__(self, parameters: list[Tensor], inner: nn.Module) -> None:
        super().__init__(parameters, {"inner": inner})

    def step(self, closure: Any = None) -> Any:
        """Move each weight by the sign of its gradient."""
        loss = closure() if closure else None
        with torch.no_grad():
            for weights in self.param_groups[0]["params"]:
                weights -= 1e-4 * weights.grad.sign()
        return loss


def make(*overrides: str, epochs: int = 4, steps: int = 40) -> dict[str, Any]:
    """Return the optimizer and scheduler of a training of some length."""
    trainer: Any = SimpleNamespace(max_epochs=epochs, estimated_stepping_batches=steps)
    return make_optimizers(configure(*overrides))(nn.Linear(1, 1), trainer)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["optimizer=adamw"], True),
        (["optimizer=sgd"], True),
        (["optimizer=rmsprop"], False),
        (["+optimizer.foreach=true"], False),
        (["trainer.precision=16-mixed"], True),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], False),
        (["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"], False),
        (["trainer.precision=32-true", "trainer.gradient_clip_val=1"], True),
    ],
)
def test_optimizers_are_fused_if_possible(overrides, expected):
    config = configure(*overrides)
    optimizer = make_optimizers(config)(nn.Linear(1, 1), None)["optimizer"]
    assert bool(optimizer.defaults.get("fused")) is expected
    assert is_optimizer_fused(config, "cpu") is expected
    assert not is_optimizer_fused(config, "mps")


def test_any_optimizer_is_made_with_nested_arguments_and_without_a_learning_rate():
    inner = "{_target_: torch.nn.Linear, in_features: 2, out_features: 3}"
    optimizer = make("~optimizer", f"+optimizer={{_target_: {HERE}.SignDescent, inner: {inner}}}")["optimizer"]
    assert isinstance(optimizer, SignDescent)
    assert optimizer.defaults["inner"].out_features == 3


def test_schedulers_take_a_step_per_epoch_unless_set_otherwise():
    schedule = make("scheduler=cosine", "trainer.max_epochs=4")["lr_scheduler"]
    assert (schedule["interval"], schedule["scheduler"].T_max, schedule["monitor"]) == ("epoch", 4, None)
    schedule = make("scheduler=cosine", "scheduler.interval=step", "scheduler.T_max=50%")["lr_scheduler"]
    assert (schedule["interval"], schedule["scheduler"].T_max) == ("step", 20)
    assert make("scheduler=cosine", "scheduler.T_max=50%")["lr_scheduler"]["scheduler"].T_max == 2


def test_one_cycle_takes_all_steps_of_the_training():
    schedule = make("scheduler=one_cycle", "optimizer.lr=0.5")["lr_scheduler"]
    assert isinstance(schedule["scheduler"], OneCycleLR)
    assert (schedule["scheduler"].total_steps, schedule["interval"]) == (40, "step")
    assert schedule["scheduler"].optimizer.param_groups[0]["max_lr"] == 0.5


def test_warm_up_is_a_share_of_the_training():
    scheduler = make("scheduler=warmup_cosine", "scheduler.warmup=10%")["lr_scheduler"]["scheduler"]
    assert scheduler._milestones == [4]
    assert make("scheduler=warmup_cosine", steps=1)["lr_scheduler"]["scheduler"]._milestones == [1]


def test_schedulers_are_composed_in_yaml():
    parts = "{_target_: torch.optim.lr_scheduler.LinearLR, total_iters: 25%}, "
    parts += "{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 75%}"
    sequence = f"_target_: torch.optim.lr_scheduler.SequentialLR, milestones: [25%], schedulers: [{parts}]"
    made = make("~scheduler", f"+scheduler={{{sequence}, interval: step}}")
    scheduler = made["lr_scheduler"]["scheduler"]
    assert isinstance(scheduler, SequentialLR)
    warm_up, cosine = scheduler._schedulers
    assert scheduler._milestones == [10]
    assert isinstance(cosine, CosineAnnealingLR)
    assert cosine.T_max == 30
    assert warm_up.optimizer is cosine.optimizer is made["optimizer"]


def test_plateau_monitors_the_objective_by_default():
    shipped = make("scheduler=plateau")["lr_scheduler"]
    bare = make("~scheduler", "+scheduler={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau}")["lr_scheduler"]
    for schedule in (shipped, bare):
        assert isinstance(schedule["scheduler"], ReduceLROnPlateau)
        assert (schedule["monitor"], schedule["scheduler"].mode) == ("val/mean_iou_anatomy", "max")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["scheduler=plateau", "split=image"],
            r"scheduler\.monitor=val/mean_iou_anatomy: split=image, as set here",
        ),
        (["scheduler=plateau", "+scheduler.interval=step"], r"scheduler\.interval=step with scheduler\.monitor=val/me"),
        (["~optimizer.lr"], r"^optimizer\.lr is not set: give optimizer\.lr=…$"),
        (["scheduler=cosine", "+scheduler.foo=1"], r"scheduler: torch.* unexpected keyword argument 'foo'"),
        (["optimizer._target_=torch.optim.Nope"], r"optimizer: torch\.optim\.Nope cannot be instantiated"),
    ],
)
def test_mistakes_are_explained_before_the_data_is_read(overrides, message):
    with pytest.raises(UserError, match=message):
        make_optimizers(configure(*overrides))


def test_a_share_needs_a_training_of_known_length():
    with pytest.raises(UserError, match=r"a share such as 5 % needs a training of known length; set trainer\.max_ep"):
        make("scheduler=cosine", "scheduler.T_max=100%", epochs=-1)
