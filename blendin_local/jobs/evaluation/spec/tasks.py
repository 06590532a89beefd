"""The questions of an evaluation: which benchmarks, which of their questions, how long an answer may be.

Here: `Task` and `make_tasks`.
Not here: the benchmarks themselves (`benchmarks`), who answers (`entrants`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.jobs.scoring.items import Benchmark, Item, subset

SHIPPED = 100  # questions per benchmark in the package


@dataclass(frozen=True)
class Task:
    """A benchmark's questions as they are asked here.

    Attributes:
        benchmark: How answers are scored.
        items: The questions.
        max_tokens: Most tokens of an answer.
    """

    benchmark: Benchmark
    items: tuple[Item, ...]
    max_tokens: int


def make_tasks(spec: EvalSpec) -> tuple[Task, ...]:
    """The questions of each benchmark.

    Raises:
        UsageError: A benchmark is unknown, its data cannot be read, or holds too few questions.
    """
    limit = _limit(spec)
    tasks = []
    for benchmark in _benchmarks(spec.benchmarks):
        items = benchmark.load(spec.data, spec.seed)
        chosen = items if limit is None else subset(items, limit, spec.seed)
        max_tokens = min(spec.max_tokens or benchmark.max_tokens, benchmark.max_tokens)
        tasks.append(Task(benchmark, tuple(chosen), max_tokens))
    return tuple(tasks)


def _limit(spec: EvalSpec) -> int | None:
    """Number of questions per benchmark; None for all."""
    if spec.full and spec.limit is not None:
        raise UsageError(f"--full contradicts --limit {spec.limit}", "leave one of them out")
    limit = None if spec.full else spec.limit or SHIPPED
    if spec.data is None and (limit is None or limit > SHIPPED):
        asked = "--full" if limit is None else f"--limit {limit}"
        raise UsageError(
            f"{asked}: only {SHIPPED} questions per benchmark are shipped",
            "name a folder with the complete benchmarks with --data",
        )
    return limit


def _benchmarks(names: Sequence[str]) -> list[Benchmark]:
    for name in names:
        if name not in BENCHMARKS:
            raise UsageError(f"there is no benchmark {name!r}", f"choose from {', '.join(BENCHMARKS)}")
    return [BENCHMARKS[name] for name in names or BENCHMARKS]
