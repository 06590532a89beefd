"""Longer work as functions: each takes a frozen spec, reports progress to a callback, and returns a record.

Here: the functions and their specs, by name. Names are imported where they are first used.
Not here: the work itself (the packages beside this file), the command line (`cli`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blendin_local.jobs.batch.job import BatchResult, BatchSpec, run_batch
    from blendin_local.jobs.evaluation.job import EvalResult, run_eval
    from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec

_EXPORTS: dict[str, tuple[str, ...]] = {
    "batch.job": ("BatchResult", "BatchSpec", "run_batch"),
    "evaluation.job": ("EvalResult", "run_eval"),
    "evaluation.spec.eval_spec": ("EvalSpec",),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "BatchResult",
    "BatchSpec",
    "EvalResult",
    "EvalSpec",
    "run_batch",
    "run_eval",
]


def __getattr__(name: str) -> object:
    """Import a public name where it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
