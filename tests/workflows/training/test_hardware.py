from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.workflows import train
from lss_lightning.workflows.training import trainer as hardware
from lss_lightning.workflows.training.optim import fuses, make_optimizers
from lss_lightning.workflows.training.trainer import (
    Hardware,
    can_keep_freed_memory,
    compile_network,
    make_trainer,
    resolve_precision,
)
from tests.conftest import configure
from tests.workflows.test_train import start
from tests.workflows.training.test_exactness import content, resume

BF16_CPU = frozenset({"fma", "avx512_bf16", "amx_bf16"})


def on_machine(patch, *, gpu=None, flags=frozenset()):
    """A machine with a GPU of that compute capability, or with a CPU of those instruction sets."""
    patch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    patch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    patch.setattr(hardware, "cpu_flags", lambda: flags)


@pytest.mark.parametrize(
    ("machine", "override", "expected"),
    [
        ({"gpu": (9, 0)}, "trainer=default", ("bf16-mixed", "GPU of compute capability 9.0")),
        ({"gpu": (8, 0)}, "trainer=gpu", ("bf16-mixed", "GPU of compute capability 8.0")),
        ({"gpu": (7, 5)}, "trainer=gpu", ("32-true", "GPU of compute capability 7.5")),
        ({"gpu": (9, 0), "flags": BF16_CPU}, "trainer=cpu", ("bf16-mixed", "CPU with amx_bf16 and avx512_bf16")),
        ({"flags": frozenset({"avx512_bf16"})}, "trainer=default", ("bf16-mixed", "CPU with avx512_bf16")),
        ({"flags": frozenset({"avx512f"})}, "trainer=default", ("32-true", "CPU without native bf16")),
        ({"flags": BF16_CPU}, "trainer.precision=32-true", ("32-true", "as set")),
    ],
)
def test_precision_is_what_the_hardware_multiplies_natively(machine, override, expected, monkeypatch):
    on_machine(monkeypatch, **machine)
    assert resolve_precision(configure(override).trainer) == expected


def test_flags_are_those_of_the_machine(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu amx_bf16 sse\nprocessor : 1\n")
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    assert hardware.cpu_flags() == {"fpu", "amx_bf16", "sse"}
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "none")
    assert hardware.cpu_flags() == frozenset()


def test_auto_is_resolved_once_a_run_and_what_was_chosen_is_said_and_stored(tree, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    on_machine(monkeypatch, flags=frozenset())
    start(run, tree, "trainer.max_epochs=1")
    fast = ["channels last", "fused optimizer", *(["freed memory kept"] if can_keep_freed_memory() else [])]
    line = f"1 × cpu, precision 32-true (CPU without native bf16), {', '.join(fast)}\n"
    assert line in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text())["hardware"] == {
        "device": "cpu",
        "processes": 1,
        "precision": "32-true",
        "reason": "CPU without native bf16",
        "fast": fast,
    }
    monkeypatch.setattr(train, "_test", lambda *_: (None, None))
    on_machine(monkeypatch, flags=BF16_CPU)
    resume(run, tree, "trainer.precision=auto", "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    assert "precision 32-true (as before)" in capsys.readouterr().out
    assert CheckpointMetadata.of(content(run)).config["trainer"]["precision"] == "32-true"


@pytest.mark.parametrize(
    ("overrides", "fused"),
    [
        ([], True),
        (["optimizer=adamw"], True),
        (["optimizer=sgd"], True),
        (["optimizer=rmsprop"], False),
        (["+optimizer.foreach=true"], False),
        (["trainer.precision=16-mixed"], True),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], False),
    ],
)
def test_optimizers_are_fused_where_they_can_be(overrides, fused):
    config = configure(*overrides)
    optimizer = make_optimizers(config)(nn.Linear(1, 1))["optimizer"]
    assert bool(optimizer.defaults.get("fused")) is fused
    assert fuses(config, "cpu") is fused
    assert not fuses(config, "mps")


@pytest.mark.parametrize("deterministic", [False, True])
def test_cudnn_tries_its_algorithms_unless_bits_must_not_change(deterministic, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", deterministic)
    settings = configure("trainer=cpu", f"trainer.deterministic={str(deterministic).lower()}").trainer
    make_trainer(settings, logger=False)
    torch.use_deterministic_algorithms(False)
    assert torch.backends.cudnn.benchmark is not deterministic


def test_a_gpu_s_choices_are_named():
    class Strategy:
        root_device = torch.device("cuda", 0)

    class Trainer:
        strategy, world_size = Strategy(), 4

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
        settings = configure("trainer.precision=32-true", "trainer.compile=true").trainer
        found = Hardware.of(Trainer(), settings, "as set", fused=True)
    fast = "channels last, TF32, cuDNN benchmark, fused optimizer, compiled"
    assert str(found) == f"4 × Some GPU, precision 32-true (as set), {fast}"


def test_a_compiled_network_trains_the_same_weights_under_the_same_names(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_test", lambda *_: (None, None))
    traced = []
    usual = nn.Module.compile

    def backend(graph, inputs):
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", lambda self: usual(self, backend=backend))
    for name in ("false", "true"):
        start(tmp_path / name, tree, f"trainer.compile={name}", "trainer.precision=32-true", "trainer.max_epochs=1")
    assert traced
    plain, compiled = (content(tmp_path / name)["state_dict"] for name in ("false", "true"))
    assert plain.keys() == compiled.keys()
    for name, weights in plain.items():
        torch.testing.assert_close(compiled[name], weights)


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(UserError, match=r"trainer\.compile=true: needs a C\+\+ compiler"):
        compile_network(nn.Linear(1, 1))
