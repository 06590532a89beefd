"""How many threads llama.cpp should use on this machine, as this process sees it.

Here: `usable_threads` and its readers.
Not here: memory (`engine.memory`), what llama.cpp was built for (`jobs.doctor`).
Source: llama.cpp's threads spin while they wait, so more threads than real cores can be slower by a hundred
times; its own default counts the machine's processors and overlooks affinity and containers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from blendin_local.engine.cgroups import CGROUP, MEMBERSHIP, groups


def physical_cores() -> int:
    """Real cores of the machine; its logical processors where the system does not tell."""
    try:
        cores = psutil.cpu_count(logical=False)
    except (OSError, RuntimeError, psutil.Error):  # Linux without /proc
        cores = None
    return cores or os.cpu_count() or 1


def affinity() -> int | None:
    """Processors this process may run on; None where the system has no such notion."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return None


def cpu_quota(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> float | None:
    """Processors' worth of time that the control groups of this process grant; None without a limit."""
    quotas = [quota for group in groups("cpu", cgroup, membership) if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


@dataclass(frozen=True, slots=True)
class Readers:
    """Where the three numbers come from; tests put their own in."""

    cores: Callable[[], int] = physical_cores
    affinity: Callable[[], int | None] = affinity
    quota: Callable[[], float | None] = cpu_quota


def usable_threads(readers: Readers | None = None) -> int:
    """The number of threads to decode with: real cores, within affinity and container quota, at least 1."""
    read = readers or Readers()
    limits = [read.cores()]
    if (allowed := read.affinity()) is not None:
        limits.append(allowed)
    if (quota := read.quota()) is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def _quota(group: Path) -> float | None:
    """Quota over period; version 2 keeps both in `cpu.max`, version 1 in a file each."""
    try:
        quota, period = (group / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        except (OSError, ValueError):
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except ValueError:  # the word "max"
        return None
