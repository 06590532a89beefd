"""Does guiding pay? From verdicts on the same prompts to a word, with intervals.

Here: `outcome_of` one purpose, and its pure rules: `word_of`, `prompts_to_settle`, `smallest_visible`.
Not here: asking the prompts (`asking`), the statistics (`jobs.scoring`), sentences (`views`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from blendin_local.jobs.scoring.figures import Verdicts, compare, figures, paired_counts
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
        p: Two-sided p-value of McNemar's exact test; on safety, of the mean of its halves.
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
    word = word_of(base.difference, base.p)
    counts = paired_counts(benchmark, figure, verdicts["method"], verdicts["base"])
    return Outcome(
        figure=figure,
        scores=scores,
        against_base=base,
        against_guide=guide,
        word=word,
        guide_is_as_good=guide.difference <= 0,
        prompts_to_settle=prompts_to_settle(counts) if word == "no difference seen" else None,
        smallest_visible=smallest_visible(base.n),
    )


def _contrast(benchmark: Benchmark, method: Verdicts, other: Verdicts, seed: int) -> Contrast | None:
    found = compare(benchmark, benchmark.main_figure, method, other, seed)
    if found is None:
        return None
    d, counts = found.difference, paired_counts(benchmark, benchmark.main_figure, method, other)
    gained, lost = (sum(each[i] for each in counts) for i in (0, 1))
    return Contrast(d.value, d.low, d.high, gained, lost, d.n, found.p)


def word_of(difference: float, p: float) -> Word:
    """Whether the method pays: one rule for both purposes.

    `pays`: it is better than the base, and a fair coin, thrown for each prompt on which they differ, would
    put them as far apart in less than 5 % of cases (McNemar's exact test). `hurts`: the same, and worse.
    `no difference seen`: anything else, be it that there is none or that it takes more prompts.

    Args:
        difference: Of the main figure, the method's minus the base's.
        p: Two-sided p-value of the test.
    """
    if p >= LEVEL:
        return "no difference seen"
    return "pays" if difference > 0 else "hurts"


def prompts_to_settle(counts: Sequence[tuple[int, int, int]]) -> int | None:
    """How many prompts would show the observed difference in four of five tries, if the shares stay.

    Of k parts of equal size (safety has two halves), let s be the share of prompts on which the two differ,
    d the difference of their shares right, and D the mean of d over the parts:
    `n' = (z_(1 - LEVEL / 2) sqrt(mean(s - (d - D)^2)) + z_POWER sqrt(mean(s - d^2)))^2 / D^2`.
    Source: for one part Connor, Sample size for testing differences in proportions for the paired-sample
    design, 1987; for several the same with the variance within the parts, without and with the difference.

    Args:
        counts: Of each part: prompts that only the method has right, that only the base has right, and all.

    Returns:
        At least as many as there were; None where the two are equally often right.
    """
    shares = [((gained + lost) / n, (gained - lost) / n) for gained, lost, n in counts]
    difference = fmean(d for _, d in shares)
    if abs(difference) < 1e-12:
        return None
    none = fmean(s - (d - difference) ** 2 for s, d in shares)
    some = fmean(s - d * d for s, d in shares)
    level, power = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)
    needed = (level * math.sqrt(none) + power * math.sqrt(some)) ** 2 / difference**2
    return max(sum(n for *_, n in counts), math.ceil(needed))


def smallest_visible(n: int) -> float | None:
    """The smallest difference that `n` prompts can show, with all differing prompts on one side.

    None where even `n` of `n` would not do: fewer than six prompts.
    """
    differing = next(k for k in range(1, 64) if mcnemar(k, 0).p < LEVEL)
    return differing / n if differing <= n else None
