"""The choice of the precision by timed steps, with fake times, and the measurement itself."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch import nn

from lss_lightning.workflows.training import precision
from lss_lightning.workflows.training.precision import REPEATS, StepTimes, describe_step, measure_once, time_steps


@pytest.mark.parametrize(
    ("bf16", "fp32", "expected"),
    [(1.0, 2.0, "bf16-mixed"), (1.0, 1.15, "bf16-mixed"), (1.0, 1.1, "32-true"), (0.71, 0.52, "32-true")],
)
def test_bf16_is_chosen_if_it_is_clearly_faster(bf16, fp32, expected):
    assert StepTimes(bf16, fp32).precision == expected
    assert str(StepTimes(0.7101, 0.5201)) == "a step takes 0.71 s in bf16 and 0.52 s in fp32"


def test_a_step_is_measured_once(tmp_path):
    store = tmp_path / "cache" / "steps.json"
    assert measure_once(store, "a", lambda: StepTimes(1.0, 2.0)) == StepTimes(1.0, 2.0)
    assert measure_once(store, "a", lambda: pytest.fail("measured again")) == StepTimes(1.0, 2.0)
    assert measure_once(store, "b", lambda: StepTimes(3.0, 2.0)) == StepTimes(3.0, 2.0)
    assert json.loads(store.read_text()) == {"a": {"bf16": 1.0, "fp32": 2.0}, "b": {"bf16": 3.0, "fp32": 2.0}}


def test_processes_side_by_side_take_the_first_measurement(tmp_path):
    def measure(seconds: float) -> StepTimes:
        time.sleep(0.05)
        return StepTimes(seconds, 1.0)

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(measure_once, tmp_path / "steps.json", "a", partial(measure, float(n))) for n in range(1, 5)
        ]
    assert len({job.result() for job in jobs}) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"bf16": "x", "fp32": 1}}', '{"a": {"fp32": 1}}'])
def test_a_damaged_store_is_written_again(tmp_path, content):
    store = tmp_path / "steps.json"
    store.write_text(content)
    assert measure_once(store, "a", lambda: StepTimes(1.0, 2.0)) == StepTimes(1.0, 2.0)
    assert json.loads(store.read_text())["a"] == {"bf16": 1.0, "fp32": 2.0}


def test_the_key_names_all_that_the_times_depend_on(monkeypatch):
    base = describe_step("resunet", (2, 3, 64, 64), frozenset({"avx512_bf16"}))
    others = [
        describe_step("vgg16_unet", (2, 3, 64, 64), frozenset({"avx512_bf16"})),
        describe_step("resunet", (2, 3, 96, 64), frozenset({"avx512_bf16"})),
        describe_step("resunet", (2, 3, 64, 64), frozenset({"avx512_bf16", "amx_bf16"})),
    ]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    others.append(describe_step("resunet", (2, 3, 64, 64), frozenset({"avx512_bf16"})))
    monkeypatch.setattr(torch, "__version__", "9.9")
    others.append(describe_step("resunet", (2, 3, 64, 64), frozenset({"avx512_bf16"})))
    assert len({base, *others}) == 6


@pytest.mark.parametrize("heads", [1, 2])
def test_steps_are_timed_in_both_precisions(monkeypatch, heads):
    """The clock of this test says that bf16 takes 2 s and float32 1 s. The first of each is slow and does not count."""
    seen, clock = [], [0.0]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x):
            seen.append((torch.is_autocast_enabled("cpu"), self.training, torch.is_grad_enabled()))
            clock[0] += (2.0 if torch.is_autocast_enabled("cpu") else 1.0) + (10.0 if len(seen) <= 2 else 0.0)
            logits = self.conv(self.dropout(x))
            return [logits] * heads if heads > 1 else logits

    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    network = Network()
    before = [weights.clone() for weights in network.parameters()]
    state = torch.random.get_rng_state()
    assert time_steps(network, torch.ones(2, 1, 8, 8)) == StepTimes(2.0, 1.0)
    assert seen == [(True, True, True), (False, True, True)] * (REPEATS + 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True))
