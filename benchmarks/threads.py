"""Threads on the demo pair: `auto` beside every fixed count, on an idle machine and beside a busy program.

Run: python benchmarks/threads.py [--json]

In each round every count answers the same questions twice: on the machine as it is, and beside a process that
keeps a core busy (it has been there for a second). Then answers are written beside such a process from its
beginning: `first second` is the speed of that second. It is ended on the way: the benchmark prints how many
seconds later the speed is back (0.9 of what it was before, kept for a second; one thread alone has less).
Medians over rounds. It needs a machine on which nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

from blendin_local.engine.machine import usable_threads
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings, BlendSettings

QUESTIONS = (
    "Why is the sky blue?",
    "Give me three tips for a job interview.",
    "Write a short story about a lighthouse keeper.",
)
AUTO = "auto"
SETTLING_TOKENS = 12
BUSY_S, AFTERWARDS_S = 4.0, 6.0
BACK = 0.9


@contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that uses a whole core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process
        finally:
            process.kill()


def opened(threads: str) -> Pair:
    """The demo pair on so many threads."""
    given: Mapping[str, Any] = {} if threads == AUTO else {"threads": int(threads)}
    return open_pair("demo", pull=True, base_settings=given, guide_settings=given)


def tokens_per_s(pair: Pair, length: int) -> float:
    """All questions once; prompts are counted in."""
    limits = AnswerSettings(max_tokens=length, loop_guard=False)
    started = perf_counter()
    n_steps = sum(len(pair.respond(question, answer=limits).steps) for question in QUESTIONS)
    return n_steps / (perf_counter() - started)


def measure(counts: list[str], length: int) -> dict[str, dict[str, float]]:
    """One round: every count, idle and busy."""
    figures = {}
    for threads in counts:
        with opened(threads) as pair:
            tokens_per_s(pair, 4)  # warm up
            idle = tokens_per_s(pair, length)
            with busy_process():
                tokens_per_s(pair, SETTLING_TOKENS)
                figures[threads] = {"idle": idle, "busy": tokens_per_s(pair, length)}
    return figures


def times_of_steps(pair: Pair, seconds: float) -> list[float]:
    """Base steps for so long, answer after answer: when each came."""
    limits = AnswerSettings(max_tokens=64, loop_guard=False)
    times: list[float] = []
    ends = perf_counter() + seconds
    while perf_counter() < ends:
        for question in QUESTIONS:
            stream = pair.stream(question, blend=BlendSettings(method="base"), answer=limits)
            times += [perf_counter() for _ in stream]
    return times


def rate(times: list[float], start: float, end: float) -> float:
    """Steps per second within an interval."""
    return sum(start <= at < end for at in times) / (end - start)


def coming_and_going() -> dict[str, float]:
    """A busy process comes and goes.

    Returns:
        `first_second`: the speed of its first second beside the idle one. `back_s`: seconds from its end
        until the speed is what it was before, and stays so for a second.
    """
    with opened(AUTO) as pair:
        tokens_per_s(pair, 4)
        before = times_of_steps(pair, BUSY_S)
        idle = rate(before, before[0], before[-1])
        with busy_process():
            began = perf_counter()
            beside = times_of_steps(pair, BUSY_S)
        ended = perf_counter()
        after = times_of_steps(pair, AFTERWARDS_S)
    moments = (i / 20 for i in range(int(20 * (AFTERWARDS_S - 1))))
    back = (moment for moment in moments if rate(after, ended + moment, ended + moment + 1) >= BACK * idle)
    first_second = rate(beside, began, began + 1) / idle
    return {"first_second": first_second, "back_s": next(back, AFTERWARDS_S)}


def report(rounds: list[dict[str, dict[str, float]]], visits: list[dict[str, float]]) -> dict[str, Any]:
    """Medians, and the figures that matter."""
    counts = list(rounds[0])
    rows = {
        threads: {
            "idle": median(figures[threads]["idle"] for figures in rounds),
            "busy": median(figures[threads]["busy"] for figures in rounds),
            "busy_of_idle": median(figures[threads]["busy"] / figures[threads]["idle"] for figures in rounds),
        }
        for threads in counts
    }
    fixed = [threads for threads in counts if threads != AUTO]
    best = max(fixed, key=lambda threads: rows[threads]["idle"])
    return {
        "tokens_per_s": rows,
        "auto_of_best_fixed": median(f[AUTO]["idle"] / f[best]["idle"] for f in rounds),
        "best_fixed": int(best),
        "auto_busy_of_idle": rows[AUTO]["busy_of_idle"],
        "first_second_of_idle": median(visit["first_second"] for visit in visits),
        "seconds_until_back": median(visit["back_s"] for visit in visits),
        "rounds": rounds,
        "visits": visits,
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts = [*map(str, range(1, usable_threads() + 1)), AUTO]
    turns = [counts[i % len(counts) :] + counts[: i % len(counts)] for i in range(options.rounds)]
    rounds = [measure(turn, options.tokens) for turn in turns]
    found = report(rounds, [coming_and_going() for _ in range(options.rounds)])
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'threads':10}{'idle':>12}{'busy':>12}{'busy/idle':>12}   tokens/s")
    for threads, row in found["tokens_per_s"].items():
        print(f"{threads:10}{row['idle']:12.1f}{row['busy']:12.1f}{row['busy_of_idle']:12.2f}")
    best = found["best_fixed"]
    print(f"auto beside the best fixed count ({best}), idle: {found['auto_of_best_fixed']:.3f}")
    print(f"auto beside a busy process, of its own idle speed: {found['auto_busy_of_idle']:.2f}")
    print(f"the same in the first second of that process: {found['first_second_of_idle']:.2f}")
    print(f"back after the process ended: {found['seconds_until_back']:.2f} s")


if __name__ == "__main__":
    main()
