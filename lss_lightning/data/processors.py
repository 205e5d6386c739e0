"""The number of processors that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_PROCESS_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def count_processors() -> int:
    """Return the number of processors that this process may use, at least 1.

    It is the smallest of three numbers: the processors of the machine, the processors that the process may run on
    (``taskset``, SLURM), and the quota of its control groups, rounded down (Docker's ``--cpus``, Kubernetes' limits,
    systemd's ``CPUQuota``). Additional threads would wait for each other at every step.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *map(int, _read_quotas())]))


def _read_quotas() -> list[float]:
    """Return the quota, in processors, of each limited control group to which the process belongs."""
    if not _PROCESS_CGROUP.is_file():
        return []
    quotas = []
    for line in _PROCESS_CGROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _find_root(controllers)
        group = root / path.lstrip("/")
        # A limit applies to all groups below it. In a container, the path may be the one on the host, which is not
        # visible.
        for folder in (group, *group.parents):
            quotas += _read_version_2(folder) if not controllers else _read_version_1(folder)
            if folder == root:
                break
    return quotas


def _find_root(controllers: str) -> Path:
    """Return the mount point of the hierarchy of some controllers (an empty string for version 2)."""
    names = [controllers, "cpu"] if controllers else ["unified"]
    return next((_CGROUPS / name for name in names if (_CGROUPS / name).is_dir()), _CGROUPS)


def _read_version_2(folder: Path) -> list[float]:
    file = folder / "cpu.max"
    quota, period = file.read_text().split() if file.is_file() else ("max", "1")
    return [] if quota == "max" else [int(quota) / int(period)]


def _read_version_1(folder: Path) -> list[float]:
    files = [folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"]
    if not all(file.is_file() for file in files):
        return []
    quota, period = (int(file.read_text()) for file in files)
    return [] if quota < 0 else [quota / period]
