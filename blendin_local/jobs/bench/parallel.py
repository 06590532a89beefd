"""Several answers made together: what a batch gains from sharing evaluations.

Here: `measure_parallel`.
Not here: one answer at a time (`methods`), the cost of several tokens in one model (`models`).
Each number of answers at once has a pair of its own: in a context with room for many, one answer alone would
pay for the cells of the others. That also gives the time to load the pair several times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from blendin_local.core.prompts import Message
from blendin_local.errors import BlendinError
from blendin_local.jobs.bench.report import Measurement, ParallelMeasurements, Workload, ratio
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings

SUBJECTS = (
    *("rain", "bread", "the moon", "a bicycle", "honey", "a lighthouse", "chess", "a river"),
    *("winter", "a violin", "sleep", "salt", "an engine", "a garden", "trade", "glass"),
)
MIN_ROWS = 2
CTX_SIZE = 256


def measure_parallel(
    setup: PairSetup, blend: BlendSettings, workload: Workload, on_round: Callable[[int], None]
) -> tuple[dict[int, ParallelMeasurements], list[float]]:
    """Answer as many questions as there are answers at once, for each number of answers at once.

    Args:
        setup: The pair; `n_parallel` and contexts are replaced.
        blend: Method, threshold, alpha.
        workload: How much is measured.
        on_round: Called with each number of answers at once that begins.

    Returns:
        The measurements by number of answers at once, and the seconds of every loading.
    """
    speeds: dict[int, Measurement] = {}
    loads = []
    for parallel in workload.parallel:
        on_round(parallel)
        with Pair(_with_parallel(setup, parallel)) as pair:
            loads.append(pair.load_ms / 1000)
            _answer_all(pair, _requests(parallel, 2, blend))  # warm up
            rows = _requests(max(parallel, MIN_ROWS), workload.row_tokens, blend)
            speeds[parallel] = Measurement(tuple(_answer_all(pair, rows) for _ in range(workload.rounds)))
    one = speeds[workload.parallel[0]]
    return {n: ParallelMeasurements(speed, ratio(speed, one)) for n, speed in speeds.items()}, loads


def _with_parallel(setup: PairSetup, parallel: int) -> PairSetup:
    return replace(
        setup,
        n_parallel=parallel,
        base_settings=replace(setup.base_settings, ctx_size=CTX_SIZE),
        guide_settings=replace(setup.guide_settings, ctx_size=CTX_SIZE),
    )


def _requests(n: int, length: int, blend: BlendSettings) -> list[Request]:
    limits = AnswerSettings(max_tokens=length, loop_guard=False)
    questions = [f"Why do people care about {SUBJECTS[i % len(SUBJECTS)]}?" for i in range(n)]
    return [
        Request(str(i), [Message("user", question)], blend=blend, answer=limits)
        for i, question in enumerate(questions)
    ]


def _answer_all(pair: Pair, requests: list[Request]) -> float:
    """Steps per second."""
    started = perf_counter()
    n_steps = 0
    for _, result in pair.answer_all(requests):
        if isinstance(result, BlendinError):
            raise result
        n_steps += len(result.steps)
    return n_steps / (perf_counter() - started)
