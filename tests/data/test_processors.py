"""The processors that this process may use: affinity and control groups of both versions."""

from __future__ import annotations

import os

import pytest

from lss_lightning.data import processors
from lss_lightning.data.processors import count_processors


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that sets up a machine of eight processors with control groups."""

    def make(cgroup: str, files: dict[str, str], affinity: int = 8):
        (tmp_path / "self").write_text(cgroup)
        for name, text in files.items():
            path = tmp_path / "cgroups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(processors, "_PROCESS_CGROUP", tmp_path / "self")
        monkeypatch.setattr(processors, "_CGROUPS", tmp_path / "cgroups")
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)), raising=False)

    return make


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/user/job\n", {"user/job/cpu.max": "400000 100000", "user/cpu.max": "300000 100000"}, 3),
        ("0::/docker/not/visible\n", {"cpu.max": "400000 100000"}, 4),
        ("3:cpu,cpuacct:/\n1:name=systemd:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "-1"}, 8),
        (
            "3:cpu,cpuacct:/box\n2:cpuset:/\n",
            {"cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/box/cpu.cfs_period_us": "50000\n"},
            5,
        ),
    ],
)
def test_a_quota_limits_the_processors(machine, cgroup, files, expected):
    machine(cgroup, files)
    assert count_processors() == expected


def test_the_affinity_limits_the_processors(machine):
    machine("0::/\n", {"cpu.max": "400000 100000"}, affinity=3)
    assert count_processors() == 3


def test_a_system_without_control_groups(machine, monkeypatch):
    machine("0::/\n", {})
    monkeypatch.setattr(processors, "_PROCESS_CGROUP", processors._PROCESS_CGROUP / "none")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert count_processors() == 6
