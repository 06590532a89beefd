"""The order of a benchmark, and what belongs to no single part of it: machine, memory, time.

Here: `run_bench`.
Not here: the parts (`models`, `methods`, `rows`), what the figures mean (`verdict`).
Only one copy of the weights is in memory at a time, so that a pair which fits can also be measured.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil

from blendin_local._version import __version__
from blendin_local.core.methods import METHODS, roles_of
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.engine.machine import affinity, physical_cores, usable_threads
from blendin_local.engine.thread_governor import free_cores, read_cpu_times
from blendin_local.jobs.bench.methods import measure_methods
from blendin_local.jobs.bench.models import measure_model
from blendin_local.jobs.bench.record import Bench, Figure, MethodFigures, ModelFigures, Sizes
from blendin_local.jobs.bench.rows import measure_rows
from blendin_local.jobs.bench.verdict import verdict
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings

SHOWN_METHODS = ("base", "guide", "nudging", "blendin")


@dataclass(frozen=True)
class Wish:
    """What is to be measured.

    Attributes:
        pair: What the pair is called.
        setup: Files and how they are run.
        blend: Threshold, alpha and the rest.
        sizes: How much is measured.
    """

    pair: str
    setup: PairSetup
    blend: BlendSettings
    sizes: Sizes


def run_bench(wish: Wish, tell: Callable[[str], None] = lambda _: None) -> Bench:
    """Measure a pair on this machine.

    Args:
        wish: What is to be measured.
        tell: Is told in a few words what is being measured.
    """
    before = read_cpu_times()
    setup, sizes = wish.setup, wish.sizes
    counts = thread_counts(usable_threads())
    tell("memory")
    memory, first_load_s = _weigh(wish)
    models: dict[str, ModelFigures] = {
        role: measure_model(path, settings, sizes, counts, _round_teller(tell, f"{role} alone", sizes))
        for role, (path, settings) in setup.files().items()
    }
    methods, load_s = _measure_pair(wish, models, tell)
    rows, loads = measure_rows(
        setup, _blend_for(wish), sizes, lambda parallel: tell(f"answers at once: {parallel}")
    )
    after = read_cpu_times()
    bench = Bench(
        pair=wish.pair,
        machine=_machine(setup),
        versions={
            "blendin-local": __version__,
            "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION,
            "python": platform.python_version(),
        },
        sizes=sizes,
        models=models,
        methods=methods,
        rows=rows,
        load_s=Figure((first_load_s, load_s, *loads)),
        memory=memory,
        cores_left=free_cores(before, after),
        seconds=after.at - before.at,
    )
    return replace(bench, verdict=verdict(bench))


def thread_counts(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and the most."""
    return (*(2**i for i in range(most.bit_length()) if 2**i < most), most)


def _round_teller(tell: Callable[[str], None], what: str, sizes: Sizes) -> Callable[[int], None]:
    return lambda i: tell(f"{what}: round {i + 1} of {sizes.rounds}")


def _methods(setup: PairSetup) -> list[str]:
    return [name for name in SHOWN_METHODS if name in METHODS and set(roles_of(name)) <= set(setup.files())]


def _blend_for(wish: Wish) -> BlendSettings:
    """The pair's own method where both models are there, else the one that is left."""
    methods = _methods(wish.setup)
    return wish.blend if len(methods) > 1 else replace(wish.blend, method=methods[0])


def _weigh(wish: Wish) -> tuple[dict[str, int], float]:
    """Bytes, and the seconds of loading, while the process has held nothing else yet.

    `ours` is what it holds beyond llama.cpp's parts.
    """
    blend = replace(_blend_for(wish), threshold=1.0)  # so that both models have worked
    with Pair(wish.setup) as pair:
        pair.respond("Hello", blend=blend, answer=AnswerSettings(max_tokens=4))
        parts = pair.memory_bytes()
        resident = int(psutil.Process().memory_info().rss)
        weight = {**parts, "resident": resident, "ours": max(0, resident - sum(parts.values()))}
        return weight, pair.load_ms / 1000


def _measure_pair(
    wish: Wish, models: Mapping[str, ModelFigures], tell: Callable[[str], None]
) -> tuple[dict[str, MethodFigures], float]:
    """The pair as `run` and `chat` use it, and how long it took to load."""
    teller = _round_teller(tell, "the pair", wish.sizes)
    with Pair(wish.setup) as pair:
        methods = _methods(wish.setup)
        found = measure_methods(pair, wish.blend, methods, models, wish.sizes, tell=teller)
        return found, pair.load_ms / 1000


def _machine(setup: PairSetup) -> dict[str, Any]:
    asked: Sequence[int | None] = [settings.threads for _, settings in setup.files().values()]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": physical_cores(),
        "affinity": affinity(),
        "threads": usable_threads(),
        "threads_asked": list(asked),
    }
