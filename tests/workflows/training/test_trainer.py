from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.workflows.training.trainer import compile_network, make_trainer
from tests.conftest import configure
from tests.workflows.quick_runs import start
from tests.workflows.training.resuming import content

FP32 = "trainer.precision=32-true"
SGD = ("optimizer=sgd", "optimizer.lr=0.01", FP32)

pytestmark = pytest.mark.usefixtures("untested")


@pytest.mark.parametrize("deterministic", [False, True])
def test_cudnn_benchmark_is_used_unless_results_must_be_deterministic(deterministic, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", deterministic)
    settings = configure("trainer=cpu", f"trainer.deterministic={str(deterministic).lower()}").trainer
    make_trainer(settings, logger=False)
    torch.use_deterministic_algorithms(False)
    assert torch.backends.cudnn.benchmark is not deterministic


def test_sync_batchnorm_is_refused_on_a_cpu(tree, tmp_path):
    message = r"trainer\.sync_batchnorm=true: supported on NVIDIA GPUs only, and this run is on cpu"
    with pytest.raises(UserError, match=message):
        start(tmp_path / "run", tree, "trainer.sync_batchnorm=true")


def test_two_accumulated_batches_of_four_train_as_one_of_eight(frozen_batch_norm, tree, tmp_path):
    start(tmp_path / "eight", tree, *SGD, "data.batch_size=8", "trainer.max_epochs=2")
    start(tmp_path / "four", tree, *SGD, "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2")
    eight, four = content(tmp_path / "eight"), content(tmp_path / "four")
    assert eight["global_step"] == four["global_step"] == 6
    for name, weights in eight["state_dict"].items():
        torch.testing.assert_close(four["state_dict"][name], weights, rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped_to_a_norm(steps, tree, tmp_path):
    distances = []
    for number, clip in enumerate((None, 0.01)):
        before: dict[str, torch.Tensor] = {}
        steps.clear()
        steps.changes = {1: lambda self, loss, before=before: before.update(copy_weights(self.state_dict())) or loss}
        overrides = [
            "optimizer=sgd",
            "optimizer.lr=1",
            "optimizer.momentum=0",
            "optimizer.nesterov=false",
            "optimizer.weight_decay=0",
            FP32,
        ]
        if clip is not None:
            overrides.append(f"trainer.gradient_clip_val={clip}")
        run = tmp_path / str(number)
        start(run, tree, *overrides, "trainer.max_epochs=1", "trainer.limit_train_batches=1")
        after = content(run)["state_dict"]
        squares = [float((after[key] - before[key]).square().sum()) for key in before]
        distances.append(math.sqrt(sum(squares)))
    assert distances[0] > 0.1
    assert distances[1] == pytest.approx(0.01, rel=1e-3)


def copy_weights(state: dict) -> dict:
    return {key: tensor.clone() for key, tensor in state.items() if "running" not in key and "num_batches" not in key}


def test_a_compiled_network_trains_the_same_weights_under_the_same_names(tree, tmp_path, monkeypatch):
    graphs = []
    original = nn.Module.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", lambda self: original(self, backend=backend))
    for name in ("false", "true"):
        start(tmp_path / name, tree, f"engine.compile={name}", FP32, "trainer.max_epochs=1")
    assert graphs
    plain, compiled = (content(tmp_path / name)["state_dict"] for name in ("false", "true"))
    assert plain.keys() == compiled.keys()
    for name, weights in plain.items():
        torch.testing.assert_close(compiled[name], weights)


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(UserError, match=r"engine\.compile=true: needs a C\+\+ compiler"):
        compile_network(nn.Linear(1, 1))
