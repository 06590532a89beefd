"""Does guiding pay? From verdicts on the same prompts to a word, with intervals.

Here: `outcome_of` one purpose, and its pure rules: `word_of`, `prompts_to_settle`, `smallest_visible`.
Not here: asking the prompts (`asking`), the statistics (`jobs.scoring`), sentences (`views`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from blendin_local.jobs.scoring.figures import Verdicts, compare, figures, mcnemar_of
from blendin_local.jobs.scoring.items import Benchmark
from blendin_local.jobs.scoring.statistics import Interval, mcnemar

Entrant = Literal["base", "guide", "method"]
Word = Literal["pays", "hurts", "no difference seen"]
LEVEL = 0.05  # of the test
POWER = 0.8  # with which as many prompts as `prompts_to_settle` says would show the difference


@dataclass(frozen=True, slots=True)
class Contrast:
    """The method against one model alone, on the prompts that both answered.

    Attributes:
        difference: Of the main figure, the method's minus the model's.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        gained: Prompts that only the method has right.
        lost: Prompts that only the model has right.
        n: Prompts that both answered.
        p: Two-sided p-value of McNemar's exact test of `gained` against `lost`.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int
    n: int
    p: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the probe saw for one purpose.

    Attributes:
        figure: The main figure: `balanced_accuracy` or `followed`.
        scores: For base, guide and method, each figure with its 95 % interval.
        against_base: The method against the base alone.
        against_guide: The method against the guide alone.
        word: Whether the method pays, by `word_of` against the base.
        guide_is_as_good: Whether the guide alone has at least the method's main figure on these prompts.
        prompts_to_settle: See the function; None where it is settled, or the two are equally often right.
        smallest_visible: See the function.
    """

    figure: str
    scores: Mapping[Entrant, Mapping[str, Interval]]
    against_base: Contrast
    against_guide: Contrast
    word: Word
    guide_is_as_good: bool
    prompts_to_settle: int | None
    smallest_visible: float | None


def outcome_of(benchmark: Benchmark, verdicts: Mapping[Entrant, Verdicts], seed: int) -> Outcome | None:
    """Compare base, guide and method on the prompts of one purpose.

    Args:
        benchmark: The prompts and which figures they have.
        verdicts: Of each entrant, by prompt.
        seed: Of the bootstrap.

    Returns:
        None if a figure cannot be computed: an entrant answered no prompt of a kind, as after a stop.
    """
    figure = benchmark.main_figure
    scores = {entrant: figures(benchmark, found, seed) for entrant, found in verdicts.items() if found}
    base, guide = (_contrast(benchmark, verdicts["method"], verdicts[of], seed) for of in ("base", "guide"))
    if base is None or guide is None or any(figure not in found for found in scores.values()):
        return None
    word = word_of(base.gained, base.lost)
    settled = word != "no difference seen"
    return Outcome(
        figure=figure,
        scores=scores,
        against_base=base,
        against_guide=guide,
        word=word,
        guide_is_as_good=guide.difference <= 0,
        prompts_to_settle=None if settled else prompts_to_settle(base.gained, base.lost, base.n),
        smallest_visible=smallest_visible(base.n),
    )


def _contrast(benchmark: Benchmark, method: Verdicts, other: Verdicts, seed: int) -> Contrast | None:
    found = compare(benchmark, benchmark.main_figure, method, other, seed)
    test = mcnemar_of(benchmark, benchmark.main_figure, method, other)
    if found is None or test is None:
        return None
    d = found.difference
    return Contrast(d.value, d.low, d.high, test.b, test.c, d.n, test.p)


def word_of(gained: int, lost: int) -> Word:
    """Whether the method pays: one rule for both purposes.

    `pays`: it has more prompts right than the base, and a fair coin would split the prompts on which they
    differ as unevenly in less than 5 % of cases (McNemar's exact test). `hurts`: the same with fewer prompts
    right. `no difference seen`: anything else, be it that there is none or that it takes more prompts.

    Args:
        gained: Prompts that only the method has right.
        lost: Prompts that only the base has right.
    """
    if mcnemar(gained, lost).p >= LEVEL:
        return "no difference seen"
    return "pays" if gained > lost else "hurts"


def prompts_to_settle(gained: int, lost: int, n: int) -> int | None:
    """How many prompts would show the observed difference in four of five tries, if the shares stay.

    `n' = (z_(1 - LEVEL / 2) sqrt(s) + z_POWER sqrt(s - d^2))^2 / d^2`, where s is the share of prompts on
    which the two differ and d the difference of their shares right.
    Source: Connor, Sample size for testing differences in proportions for the paired-sample design, 1987.

    Args:
        gained: Prompts that only the method has right.
        lost: Prompts that only the base has right.
        n: All prompts.

    Returns:
        At least `n`; None where both have equally many prompts right.
    """
    if gained == lost:
        return None
    s, d = (gained + lost) / n, abs(gained - lost) / n
    level, power = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)
    needed = (level * math.sqrt(s) + power * math.sqrt(s - d * d)) ** 2 / (d * d)
    return max(n, math.ceil(needed))


def smallest_visible(n: int) -> float | None:
    """The smallest difference that `n` prompts can show, with all differing prompts on one side.

    None where even `n` of `n` would not do: fewer than six prompts.
    """
    differing = next(k for k in range(1, 64) if mcnemar(k, 0).p < LEVEL)
    return differing / n if differing <= n else None
