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
from blendin_local.jobs.bench.report import VERSION, Measurement, measurements_in
from blendin_local.paths import read_bytes

ChangeKind = Literal["better", "worse", "noise"]
LESS_IS_BETTER = {
    *("first_token_ms", "list_ms", "at_once", "draft_cost", "guide_cost"),
    *("load_s", "guide_tokens", "in_python", "in_lists"),
}
NOT_RATED = {"asked", "in_llama", "guide_tokens", "drafted", "accepted", "came_true", "length"}


@dataclass(frozen=True)
class MeasurementChange:
    """One measurement, in both records.

    Attributes:
        path: The keys that lead to it in the record.
        old: The earlier measurement.
        new: The later one.
    """

    path: tuple[str, ...]
    old: Measurement
    new: Measurement

    @property
    def factor(self) -> float:
        """New over old."""
        return self.new.median / self.old.median if self.old.median else 1.0

    @property
    def kind(self) -> ChangeKind:
        """Better or worse if the trials of the two do not overlap, else noise."""
        apart = max(self.old.trials) < min(self.new.trials) or max(self.new.trials) < min(self.old.trials)
        if not apart or NOT_RATED & set(self.path):
            return "noise"
        less = bool(LESS_IS_BETTER & set(self.path))
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


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[MeasurementChange]:
    """Every measurement that both records have, in the order of the new one."""
    before, after = measurements_in(old), measurements_in(new)
    return [
        MeasurementChange(path, before[path], measurement)
        for path, measurement in after.items()
        if path in before and before[path].trials and measurement.trials
    ]


def mismatches(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What else differs, so that a comparison may be one of something else."""
    old, new = ({**record, "workload": record.get("workload", record.get("sizes"))} for record in (old, new))
    found = [
        f"{name} was {old.get(name)}, now {new.get(name)}"
        for name in ("pair", "workload")
        if old.get(name) != new.get(name)
    ]
    machines = old.get("machine", {}), new.get("machine", {})
    found += [
        f"{key} was {machines[0].get(key)}, now {value}"
        for key, value in machines[1].items()
        if machines[0].get(key) != value
    ]
    return found
