from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.views import TTAView
from lss_lightning.workflows import train
from lss_lightning.workflows.training import hardware, precision
from lss_lightning.workflows.training.hardware import Hardware, resolve_precision, resolve_test_precision
from lss_lightning.workflows.training.memory import can_keep_freed_memory
from lss_lightning.workflows.training.precision import StepTimes
from tests.conftest import configure
from tests.workflows.quick_runs import start
from tests.workflows.training.resuming import content, resume

BF16_CPU = frozenset({"fma", "avx512_bf16", "amx_bf16"})


def set_machine(patch, *, gpu=None, flags=frozenset()):
    """Pretend that the machine has a GPU of a compute capability, or a CPU with some instruction sets."""
    patch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    patch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    patch.setattr(hardware, "read_cpu_flags", lambda: flags)


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
def test_auto_precision_is_what_the_hardware_multiplies_natively(machine, override, expected, monkeypatch):
    set_machine(monkeypatch, **machine)
    assert resolve_precision(configure(override).trainer) == expected


def test_cpu_flags_are_read_from_the_system(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu amx_bf16 sse\nprocessor : 1\n")
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    assert hardware.read_cpu_flags() == {"fpu", "amx_bf16", "sse"}
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "none")
    assert hardware.read_cpu_flags() == frozenset()


def test_auto_precision_is_printed_stored_and_kept_by_a_resume(tree, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    set_machine(monkeypatch, flags=frozenset())
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
    set_machine(monkeypatch, flags=BF16_CPU)
    resume(run, tree, "trainer.precision=auto", "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    assert "precision 32-true (as before)" in capsys.readouterr().out
    assert CheckpointMetadata.from_checkpoint(content(run)).config["trainer"]["precision"] == "32-true"


def test_hardware_lists_the_optimisations_of_a_gpu():
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cuda", 0)), world_size=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
        settings = configure("trainer.precision=32-true").trainer
        description = Hardware.from_trainer(trainer, settings, "as set", is_fused=True, is_compiled=True)
    fast = "channels last, TF32, cuDNN benchmark, fused optimizer, compiled"
    assert str(description) == f"4 × Some GPU, precision 32-true (as set), {fast}"


SLOW_BF16 = StepTimes(bf16=0.71, fp32=0.52)


@pytest.mark.parametrize(
    ("flags", "times", "expected"),
    [
        (BF16_CPU, StepTimes(1.0, 2.0), "bf16-mixed"),
        (BF16_CPU, SLOW_BF16, "32-true"),
        (frozenset(), None, "32-true"),
    ],
)
def test_a_measured_step_decides_on_a_cpu_with_bf16(flags, times, expected, monkeypatch):
    set_machine(monkeypatch, flags=flags)
    measure = (lambda: times) if times else (lambda: pytest.fail("measured without bf16"))
    precision, reason = resolve_precision(configure("trainer=cpu").trainer, None, measure)
    assert precision == expected
    assert times is None or reason == f"CPU with amx_bf16 and avx512_bf16: {times}"


def test_the_measured_precision_is_stored_and_kept_by_every_command(tree, tmp_path, monkeypatch):
    """All jobs of a sweep use the first measurement, and an evaluation and a resume the precision of the training."""
    set_machine(monkeypatch, flags=BF16_CPU)
    measured = []

    def time_steps(network, images):
        measured.append(tuple(images.shape))
        return SLOW_BF16

    monkeypatch.setattr(precision, "time_steps", time_steps)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.yaml").write_text("")
    line = ("trainer.max_epochs=1", "trainer.precision=auto")
    for job, encoder in (("0", "test_resnet"), ("1", "test_efficientnet")):
        start(tmp_path / "sweep" / job, tree, *line, f"encoder.name={encoder}")
        metrics = json.loads((tmp_path / "sweep" / job / "metrics.json").read_text())
        assert metrics["hardware"]["precision"] == "32-true"
        assert "a step takes 0.71 s in bf16 and 0.52 s in fp32" in metrics["hardware"]["reason"]
    assert measured == [(2, 3, 64, 64)]
    module = SegmentationModule.load_from_checkpoint(tmp_path / "sweep/0/checkpoints/best.ckpt")
    ensemble = EnsembleModule([module], [TTAView()])
    assert resolve_test_precision(configure("trainer=cpu").trainer, ensemble) == ("32-true", "as in training")
    settings = configure("trainer=cpu", "trainer.precision=bf16-mixed").trainer
    assert resolve_test_precision(settings, ensemble) == ("bf16-mixed", "as set")


@pytest.mark.parametrize(("processors", "setting", "expected"), [(3, None, 3), (9, None, 6), (3, "6", 6)])
def test_torch_uses_the_processors_of_this_process(monkeypatch, processors, setting, expected):
    """A quota lowers the number of threads, and OMP_NUM_THREADS takes precedence."""
    threads = [6]
    monkeypatch.delenv("OMP_NUM_THREADS")
    if setting is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", setting)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(hardware, "count_processors", lambda: processors)
    hardware.limit_threads()
    assert threads[-1] == expected
