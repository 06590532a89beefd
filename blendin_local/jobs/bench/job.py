"""How fast a pair is on this machine: the benchmark as a function.

Here: `BenchSpec` and `run_bench`: the order of the parts, and what belongs to none of them (machine, memory,
time).
Not here: the parts (`models`, `methods`, `drafts`, `parallel`), what the measurements mean (`verdict`), the
command line (`cli.bench`).
Only one copy of the weights is in memory at a time, so that a pair which fits can also be measured.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from blendin_local.core.methods import METHODS, roles_of
from blendin_local.engine.context import StoppedError
from blendin_local.engine.machine import affinity, physical_cores, usable_threads
from blendin_local.engine.thread_governor import free_cores, read_cpu_times
from blendin_local.jobs.bench.drafts import draft_measurements
from blendin_local.jobs.bench.methods import answer_in_turns, method_measurements
from blendin_local.jobs.bench.models import measure_model
from blendin_local.jobs.bench.parallel import measure_parallel
from blendin_local.jobs.bench.report import (
    BenchReport,
    DraftMeasurements,
    Measurement,
    MethodMeasurements,
    ModelMeasurements,
    Workload,
)
from blendin_local.jobs.bench.verdict import verdict
from blendin_local.jobs.preparation import refuse_several_guides, settle, versions
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import NO_INTERACTION, Interaction, PairSpec, locate_files
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, Draft

OFF: Draft = "off"
AUTO: Draft = "auto"
SHOWN_METHODS = ("base", "guide", "nudging", "blendin")


@dataclass(frozen=True)
class BenchSpec:
    """What to measure.

    Attributes:
        pair: The pair and its settings. One model alone is measured with method `base` or `guide`.
        workload: How much is measured.
    """

    pair: PairSpec = field(default_factory=PairSpec)
    workload: Workload = field(default_factory=Workload)


@dataclass(frozen=True)
class BenchProgress:
    """What is measured now.

    Attributes:
        part: `memory`, `base alone`, `the pair`, `answers at once: 4`, ...
        round: The number of the round, from 1; 0 for a part that has none.
        rounds: How many rounds there are.
    """

    part: str
    round: int = 0
    rounds: int = 0

    def __str__(self) -> str:
        return f"{self.part}: round {self.round} of {self.rounds}" if self.round else self.part


OnProgress = Callable[[BenchProgress], None]


@dataclass(frozen=True)
class ResolvedBench:
    """What is measured, with its files.

    Attributes:
        pair: What the pair is called.
        setup: Files and how they are run.
        blend: Threshold, alpha and the rest.
        workload: How much is measured.
    """

    pair: str
    setup: PairSetup
    blend: BlendSettings
    workload: Workload


def run_bench(
    spec: BenchSpec,
    *,
    on_progress: OnProgress = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    interaction: Interaction = NO_INTERACTION,
) -> BenchReport | None:
    """Measure a pair on this machine.

    Args:
        spec: What to measure.
        on_progress: Called when a part or a round of it begins.
        on_note: Called with each notice for the user, a sentence.
        should_stop: Polled when a part or a round of it begins.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Returns:
        The measurements; None if it was stopped: half a benchmark means nothing.

    Raises:
        UsageError: The pair or its settings are not right.
        ModelNotFoundError: A model is not here and was not to be downloaded.
        LoadError: A model cannot be loaded.
    """
    resolved = settle(spec.pair, interaction, on_note)
    refuse_several_guides(resolved, "a benchmark")
    paths = locate_files(resolved, None, interaction)
    name = resolved.pair_name or " guided by ".join(path.name for path in paths.values())
    bench = ResolvedBench(name, resolved.setup.with_files(paths), resolved.blend, spec.workload)

    def begin(now: BenchProgress) -> None:
        if should_stop():
            raise StoppedError
        on_progress(now)

    try:
        return measure(bench, begin)
    except StoppedError:
        return None


def measure(bench: ResolvedBench, begin: OnProgress = lambda _: None) -> BenchReport:
    """Measure all parts; `begin` is called before each of them and each of their rounds."""
    before = read_cpu_times()
    setup, workload = bench.setup, bench.workload
    counts = thread_counts(usable_threads())
    begin(BenchProgress("memory"))
    memory, first_load_s = _memory(bench)
    models: dict[str, ModelMeasurements] = {
        role: measure_model(path, settings, workload, counts, _rounds(begin, f"{role} alone", workload))
        for role, (path, settings) in setup.files().items()
    }
    methods, drafts, load_s = _measure_pair(bench, models, begin)
    rows, loads = measure_parallel(
        setup, _blend_for(bench), workload, lambda n: begin(BenchProgress(f"answers at once: {n}"))
    )
    after = read_cpu_times()
    report = BenchReport(
        pair=bench.pair,
        machine=_machine(setup),
        versions={**versions(), "python": platform.python_version()},
        workload=workload,
        models=models,
        methods=methods,
        rows=rows,
        load_s=Measurement((first_load_s, load_s, *loads)),
        memory=memory,
        cores_left=free_cores(before, after),
        seconds=after.at - before.at,
        drafts=drafts,
    )
    return replace(report, verdict=verdict(report))


def thread_counts(max_threads: int) -> tuple[int, ...]:
    """The powers of 2 below `max_threads`, and `max_threads`."""
    return (*(2**i for i in range(max_threads.bit_length()) if 2**i < max_threads), max_threads)


def _rounds(begin: OnProgress, part: str, workload: Workload) -> Callable[[int], None]:
    return lambda i: begin(BenchProgress(part, i + 1, workload.rounds))


def _methods(setup: PairSetup) -> list[str]:
    return [name for name in SHOWN_METHODS if name in METHODS and set(roles_of(name)) <= set(setup.files())]


def _blend_for(bench: ResolvedBench) -> BlendSettings:
    """The pair's own method where both models are there, else the one that is left."""
    methods = _methods(bench.setup)
    return bench.blend if len(methods) > 1 else replace(bench.blend, method=methods[0])


def _memory(bench: ResolvedBench) -> tuple[dict[str, int], float]:
    """Bytes of memory, and the seconds of loading, before the process has held anything else.

    `ours` is what it holds beyond llama.cpp's parts.
    """
    blend = replace(_blend_for(bench), threshold=1.0)  # so that both models are evaluated
    with Pair(bench.setup) as pair:
        pair.respond("Hello", blend=blend, answer=AnswerSettings(max_tokens=4))
        parts = pair.memory_bytes()
        resident = int(psutil.Process().memory_info().rss)
        memory = {**parts, "resident": resident, "ours": max(0, resident - sum(parts.values()))}
        return memory, pair.load_ms / 1000


def _measure_pair(
    bench: ResolvedBench, models: Mapping[str, ModelMeasurements], begin: OnProgress
) -> tuple[dict[str, MethodMeasurements], DraftMeasurements | None, float]:
    """The methods without drafts, what drafts bring, and how long the pair took to load."""
    on_round = _rounds(begin, "the pair", bench.workload)
    off = _drafting_method(bench)
    variants = {name: (replace(bench.blend, method=name), OFF) for name in (*_methods(bench.setup), *off)}
    if off:
        variants[AUTO] = variants[off[0]][0], AUTO
    with Pair(bench.setup) as pair:
        rounds = answer_in_turns(pair, variants, bench.workload, on_round=on_round)
        measured = method_measurements(rounds, models)
        drafts = None
        if off:
            costs = models["base"].draft_cost
            drafts = draft_measurements(pair, rounds, measured, costs, off=off[0], auto=AUTO)
            del measured[AUTO]
        return measured, drafts, pair.load_ms / 1000


def _drafting_method(bench: ResolvedBench) -> tuple[str, ...]:
    """The method that is measured with drafts too: the pair's own, if the guide can guess in it."""
    own = bench.blend.method
    if set(bench.setup.files()) < {"base", "guide"}:
        return ()
    return (own if {"base", "guide"} <= set(roles_of(own)) else "blendin",)


def _machine(setup: PairSetup) -> dict[str, Any]:
    asked: Sequence[int | None] = [settings.threads for _, settings in setup.files().values()]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": physical_cores(),
        "affinity": affinity(),
        "threads": usable_threads(),
        "threads_asked": list(asked),
    }
