"""Many answers at once on the demo pair: rows per second, as ratios measured in one run.

Run: python benchmarks/many_answers.py [--json]

The same 64 rows of 64 tokens are answered with 1, 2, 4, 8 and 16 sequences, and by a loop of `respond` calls.
It
prints rows/s, the ratio to one sequence, and Python's share of wall time: what is not spent inside llama.cpp
(`llama_decode` and waiting for its result).

Medians over rounds; within a round the numbers of sequences take turns, so that a machine that drifts drifts
for
all. Loading is not counted; answers do not end before their length but for an END.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError
from blendin_local.pair.pair import Pair, Request
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings

SUBJECTS = (
    "rain",
    "bread",
    "the moon",
    "a bicycle",
    "honey",
    "a lighthouse",
    "chess",
    "a river",
    "winter",
    "a violin",
    "sleep",
    "salt",
    "an engine",
    "a garden",
    "trade",
    "glass",
)
QUESTIONS = (
    "Why do people care about {}?",
    "Explain {} to a child.",
    "Give me three facts about {}.",
    "Write a short story about {}.",
)
CTX_SIZE = 1024
LOOP = "respond"
CHUNK = 4  # rows that one way answers before it is the other's turn
Way = Callable[[Pair, list[Request]], list[Completion]]


@dataclass(frozen=True)
class Figures:
    """One way of answering all rows, measured once."""

    rows_per_s: float
    tokens_per_s: float
    python_share: float
    asked: float


def requests(n_rows: int, n_tokens: int) -> list[Request]:
    """The rows: different questions, one length."""
    limits = AnswerSettings(max_tokens=n_tokens, loop_guard=False)
    texts = [question.format(subject) for subject in SUBJECTS for question in QUESTIONS]
    return [Request(str(i), [Message("user", texts[i % len(texts)])], answer=limits) for i in range(n_rows)]


def one_by_one(pair: Pair, rows: list[Request]) -> list[Completion]:
    """A loop of `respond` calls."""
    return [pair.respond(row.messages, answer=row.answer) for row in rows]


def together(pair: Pair, rows: list[Request]) -> list[Completion]:
    """One call of `answer_all`."""
    return [_completed(result) for _, result in pair.answer_all(rows)]


def _completed(result: Completion | BlendinError) -> Completion:
    if isinstance(result, BlendinError):
        raise result
    return result


def measure(ways: Mapping[str, Way], pair: Pair, rows: list[Request], chunk: int) -> dict[str, Figures]:
    """Answer all rows in every way, chunk by chunk in turns, so that a machine that drifts drifts for all."""
    seconds = dict.fromkeys(ways, 0.0)
    completions: dict[str, list[Completion]] = {name: [] for name in ways}
    for i in range(0, len(rows), chunk):
        names = sorted(ways, reverse=bool(i // chunk % 2))  # neither way always runs first
        for name in names:
            started = perf_counter()
            completions[name] += ways[name](pair, rows[i : i + chunk])
            seconds[name] += perf_counter() - started
    return {name: fold(completions[name], seconds[name]) for name in ways}


def fold(completions: Sequence[Completion], wall_s: float) -> Figures:
    """The figures of one way."""
    n_steps = sum(len(completion.steps) for completion in completions)
    llama_s = sum(completion.timings.llama_decode_ms for completion in completions) / 1000
    return Figures(
        rows_per_s=len(completions) / wall_s,
        tokens_per_s=n_steps / wall_s,
        python_share=1 - llama_s / wall_s,
        asked=sum(completion.blend.asked for completion in completions) / n_steps,
    )


def run(sequences: list[int], rounds: int, rows: list[Request]) -> dict[str, list[Figures]]:
    """Measure every number of sequences in every round; beside one sequence, the loop in turns with it."""
    figures: dict[str, list[Figures]] = {}
    settings = {"ctx_size": CTX_SIZE}
    for _ in range(rounds):
        for n in sequences:
            ways: dict[str, Way] = {str(n): together}
            if n == 1:
                ways[LOOP] = one_by_one
            with open_pair(
                "demo", pull=True, base_settings=settings, guide_settings=settings, n_parallel=n
            ) as pair:
                together(pair, rows[:n])  # warm up
                for name, measured in measure(ways, pair, rows, CHUNK if n == 1 else len(rows)).items():
                    figures.setdefault(name, []).append(measured)
    return figures


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = run(options.sequences, options.rounds, requests(options.rows, options.tokens))
    if options.json:
        print(json.dumps({kind: [vars(f) for f in measured] for kind, measured in figures.items()}))
        return
    one = figures[str(options.sequences[0])]
    print(f"{'sequences':10}{'rows/s':>8}{'ratio':>8}{'tokens/s':>10}{'Python':>9}{'asked':>8}")
    for kind, measured in figures.items():
        print(
            f"{kind:10}{median(f.rows_per_s for f in measured):8.3f}"
            f"{median(f.rows_per_s / first.rows_per_s for f, first in zip(measured, one, strict=True)):8.2f}"
            f"{median(f.tokens_per_s for f in measured):10.1f}"
            f"{median(f.python_share for f in measured):9.1%}{median(f.asked for f in measured):8.1%}"
        )


if __name__ == "__main__":
    main()
