"""Two benchmarks side by side: what became faster, what slower, and what is noise.

Here: `read_record` and `compare`.
Not here: how it looks (`views.bench`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blendin_local.errors import UsageError
from blendin_local.jobs.bench.report import VERSION, Figure, figures_in
from blendin_local.paths import read_bytes

Change = Literal["better", "worse", "noise"]
LESS_IS_BETTER = {"first_token_ms", "list_ms", "at_once", "load_s", "guide_tokens", "in_python", "in_lists"}
NOT_RATED = {"asked", "in_llama", "guide_tokens"}


@dataclass(frozen=True)
class Difference:
    """One figure of both.

    Attributes:
        place: Its place in the record.
        old: The earlier figure.
        new: The later one.
    """

    place: tuple[str, ...]
    old: Figure
    new: Figure

    @property
    def factor(self) -> float:
        """New over old."""
        return self.new.median / self.old.median if self.old.median else 1.0

    @property
    def change(self) -> Change:
        """Better or worse where no trial of one lies among those of the other, else noise."""
        apart = max(self.old.trials) < min(self.new.trials) or max(self.new.trials) < min(self.old.trials)
        if not apart or NOT_RATED & set(self.place):
            return "noise"
        less = bool(LESS_IS_BETTER & set(self.place))
        return "better" if (self.factor < 1) == less else "worse"


def read_record(path: Path) -> Mapping[str, Any]:
    """A benchmark's JSON.

    Raises:
        UsageError: The file is something else.
    """
    try:
        record = json.loads(read_bytes(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("version") != VERSION or "models" not in record:
        raise UsageError(f"{path} is no benchmark of this version", "make one with: blendin bench --json")
    return record


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Every figure that both records have, in the order of the new one."""
    before, after = figures_in(old), figures_in(new)
    return [
        Difference(place, before[place], figure)
        for place, figure in after.items()
        if place in before and before[place].trials and figure.trials
    ]


def mismatches(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What else differs, so that a comparison may be one of something else."""
    found = [
        f"{name} was {old.get(name)}, now {new.get(name)}"
        for name in ("pair", "sizes")
        if old.get(name) != new.get(name)
    ]
    machines = old.get("machine", {}), new.get("machine", {})
    found += [
        f"{key} was {machines[0].get(key)}, now {value}"
        for key, value in machines[1].items()
        if machines[0].get(key) != value
    ]
    return found
