"""Longer work as functions: each takes a frozen spec, reports progress to a callback, and returns a record.

Here: the functions and their specs, by name. Names are imported where they are first used.
Not here: the work itself (the packages beside this file), the command line (`cli`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blendin_local.jobs.batch.job import BatchResult, BatchSpec, run_batch
    from blendin_local.jobs.bench.job import BenchProgress, BenchSpec, run_bench
    from blendin_local.jobs.bench.report import BenchReport, Workload
    from blendin_local.jobs.check.job import CheckSpec, run_check
    from blendin_local.jobs.check.report import CheckReport, keep_temperatures
    from blendin_local.jobs.evaluation.job import EvalResult, run_eval
    from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
    from blendin_local.jobs.replay.job import ReplayProgress, ReplaySpec, run_replay
    from blendin_local.jobs.replay.report import ReplayReport
    from blendin_local.jobs.steer.job import SteerProgress, SteerSpec, run_steer
    from blendin_local.jobs.steer.report import SteerReport
    from blendin_local.jobs.tune.job import TuneProgress, TuneSpec, run_tune
    from blendin_local.jobs.tune.report import TuneReport, keep_settings

_EXPORTS: dict[str, tuple[str, ...]] = {
    "batch.job": ("BatchResult", "BatchSpec", "run_batch"),
    "bench.job": ("BenchProgress", "BenchSpec", "run_bench"),
    "bench.report": ("BenchReport", "Workload"),
    "check.job": ("CheckSpec", "run_check"),
    "check.report": ("CheckReport", "keep_temperatures"),
    "evaluation.job": ("EvalResult", "run_eval"),
    "evaluation.spec.eval_spec": ("EvalSpec",),
    "replay.job": ("ReplayProgress", "ReplaySpec", "run_replay"),
    "replay.report": ("ReplayReport",),
    "steer.job": ("SteerProgress", "SteerSpec", "run_steer"),
    "steer.report": ("SteerReport",),
    "tune.job": ("TuneProgress", "TuneSpec", "run_tune"),
    "tune.report": ("TuneReport", "keep_settings"),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "BatchResult",
    "BatchSpec",
    "BenchProgress",
    "BenchReport",
    "BenchSpec",
    "CheckReport",
    "CheckSpec",
    "EvalResult",
    "EvalSpec",
    "ReplayProgress",
    "ReplayReport",
    "ReplaySpec",
    "SteerProgress",
    "SteerReport",
    "SteerSpec",
    "TuneProgress",
    "TuneReport",
    "TuneSpec",
    "Workload",
    "keep_settings",
    "keep_temperatures",
    "run_batch",
    "run_bench",
    "run_check",
    "run_eval",
    "run_replay",
    "run_steer",
    "run_tune",
]


def __getattr__(name: str) -> object:
    """Import a public name where it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
