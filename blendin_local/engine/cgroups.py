"""The control groups (containers, services) whose limits this process lives under.

Here: `groups`, the directories of a controller in version 1 and 2, with all parents.
Not here: what the limits are (`engine.memory`, `engine.machine`).
Source: the Linux manual page cgroups(7).
"""

from __future__ import annotations

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def groups(controller: str, cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> list[Path]:
    """Directories that may limit this process, the mount's own roots first; some may not exist.

    Args:
        controller: `memory` or `cpu`, the name in version 1.
        cgroup: Where the control groups are mounted.
        membership: The file that names this process's groups.
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
