"""What this process may use of the machine: processor cores and memory.

Here: `usable_threads` and `available_memory`, within the process's CPU affinity and control groups
(containers, services).
Not here: what a model needs (`engine.memory`), what llama.cpp was built for (`engine.build`).
Source: the Linux manual page cgroups(7). llama.cpp's threads spin while they wait, so more threads than real
cores can be a hundred times slower; llama.cpp's own default ignores affinity and containers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNKNOWN_MEMORY = 2**60  # bytes


def physical_cores() -> int:
    """Physical cores of the machine, or its logical processors where the system does not report cores."""
    try:
        cores = psutil.cpu_count(logical=False)
    except (OSError, RuntimeError, psutil.Error):  # Linux without /proc
        cores = None
    return cores or os.cpu_count() or 1


def affinity() -> int | None:
    """Number of processors this process may run on; None if the system has no CPU affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return None


def cpu_quota(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> float | None:
    """CPU limit of this process's control groups, in processors; None without a limit."""
    quotas = [
        quota for group in control_groups("cpu", cgroup, membership) if (quota := _quota(group)) is not None
    ]
    return min(quotas, default=None)


@dataclass(frozen=True, slots=True)
class Readers:
    """Functions that read the three numbers; tests pass their own."""

    cores: Callable[[], int] = physical_cores
    affinity: Callable[[], int | None] = affinity
    quota: Callable[[], float | None] = cpu_quota


def usable_threads(readers: Readers | None = None) -> int:
    """The number of threads for llama.cpp: physical cores, limited by affinity and CPU quota, at least 1."""
    read = readers or Readers()
    limits = [read.cores()]
    if (allowed := read.affinity()) is not None:
        limits.append(allowed)
    if (quota := read.quota()) is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def _quota(group: Path) -> float | None:
    """Quota divided by period: one file `cpu.max` in cgroups version 2, two files in version 1."""
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


def available_memory(
    *, system: Callable[[], int] | None = None, cgroup: Path = CGROUP, membership: Path = MEMBERSHIP
) -> int:
    """Bytes this process may still use: the free memory of the system, within its control groups' limits.

    Args:
        system: Returns the free memory of the machine in bytes.
        cgroup: Where the control groups are mounted.
        membership: The file that lists the groups of this process.
    """
    free = system() if system else _system_memory("available", "SC_AVPHYS_PAGES")
    for group in control_groups("memory", cgroup, membership):
        left = _memory_left(group, "memory.max", "memory.current")
        if left is None:
            left = _memory_left(group, "memory.limit_in_bytes", "memory.usage_in_bytes")
        if left is not None:
            free = min(free, left)
    return free


def total_memory() -> int:
    """Total memory of the machine in bytes."""
    return _system_memory("total", "SC_PHYS_PAGES")


def _system_memory(name: str, pages: str) -> int:
    """A figure of the machine's memory in bytes; huge where unknown, so that nothing is refused for it."""
    try:
        return int(getattr(psutil.virtual_memory(), name))
    except (OSError, RuntimeError, psutil.Error):  # Linux without /proc
        pass
    try:
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return UNKNOWN_MEMORY


def _memory_left(group: Path, limit_name: str, usage_name: str) -> int | None:
    """Bytes a control group has left; reclaimable page cache does not count as used."""
    limit, usage = _read_int(group / limit_name), _read_int(group / usage_name)
    if limit is None or usage is None:
        return None
    reclaimable = _reclaimable(group / "memory.stat")
    return max(0, limit - max(0, usage - reclaimable))


def _reclaimable(stat: Path) -> int:
    """Bytes of page cache the system can drop at once, such as files mapped by an earlier run."""
    try:
        pairs = dict(line.split()[:2] for line in stat.read_text().splitlines() if " " in line)
    except (OSError, ValueError):
        return 0
    total = "total_" if "total_inactive_file" in pairs else ""  # version 1 counts child groups separately

    def size(*names: str) -> int:
        return sum(int(pairs.get(f"{total}{name}", 0)) for name in names)

    return max(
        0, size("active_file", "inactive_file") - size("file_dirty", "dirty", "file_writeback", "writeback")
    )


def _read_int(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or the word "max"
        return None


def control_groups(controller: str, cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> list[Path]:
    """Control group directories that may limit this process, the roots first; some may not exist.

    Args:
        controller: `memory` or `cpu`, the name in version 1.
        cgroup: Where the control groups are mounted.
        membership: The file that lists the groups of this process.
    """
    found = [cgroup, cgroup / controller]
    try:
        lines = membership.read_text().splitlines()
    except (OSError, ValueError):  # not Linux
        return found
    for line in lines:
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        directory = cgroup / controllers / name.lstrip("/")
        found += [directory, *(parent for parent in directory.parents if cgroup in parent.parents)]
    return found
