"""How a pair answers: rates with intervals, and the guide's choices where it is asked.

Here: `AnswerStatistics` and `answer_statistics`, a fold over completions whose steps kept their candidates.
Not here: making the answers (`jobs.check.measure`), what the figures mean (`jobs.check.verdicts`).
Source: the paper's intervention rate (section 3.2), overlap of the guide's choice with the base's top 50
(figure 4) and with its top-p 0.9 (appendix A.1). The paper tokenizes the guide's choice again and ranks its
first token; here the choice is looked up as a byte string, as the blend does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean, median

import numpy as np

from blendin_local.core.bootstrap import TAILS, bootstrap_means
from blendin_local.core.records import Candidate, Completion, Step

TOP = (10, 50, 100)
NUCLEUS = 0.9
ALPHA_BINS = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval: the middle of what resampled sets of prompts would have shown."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RankStatistics:
    """The rank of the guide's likeliest candidate among the base's, over asked positions.

    Attributes:
        positions: How many asked positions.
        in_top: For 10, 50 and 100 the share of positions where it is among that many top candidates.
        in_nucleus: The share where it is in the base's top-p 0.9, judged by 100 candidates.
        mean_rank: Mean of its rank, from 1, where it is among the kept candidates; None if it never is.
        median_rank: Median over all asked positions; None if it lies beyond the kept candidates.
        agree: The share where both models' first choices are the same.
        guide_wins: Of the positions where they differ, the share at which the guide's was taken.
        base_wins: Likewise the base's; at the others a third candidate won.
    """

    positions: int
    in_top: Mapping[str, float]
    in_nucleus: float
    mean_rank: float | None
    median_rank: float | None
    agree: float
    guide_wins: float
    base_wins: float


@dataclass(frozen=True, slots=True)
class AnswerStatistics:
    """What a set of answers shows.

    Attributes:
        prompts: Answers made.
        failed: Prompts without an answer, and why.
        steps: Steps of all answers.
        intervention_rate: Asked over all steps.
        changed_rate: Changed over all steps.
        ranks: The guide's choice among the base's; None if it was never asked.
        alpha_mean: Mean of alpha at asked steps; None if there was no blend.
        alpha_counts: Asked steps by alpha in ten equal bins from 0 to 1.
        ended_by: Answers by what ended them.
        seconds: Wall-clock time of all answers together.
        tokens_per_second: Steps over seconds.
        parallel: Answers made at once.
    """

    prompts: int
    failed: Mapping[str, str]
    steps: int
    intervention_rate: Rate
    changed_rate: Rate
    ranks: RankStatistics | None
    alpha_mean: float | None
    alpha_counts: tuple[int, ...]
    ended_by: Mapping[str, int]
    seconds: float
    tokens_per_second: float
    parallel: int


def answer_statistics(
    completions: Sequence[Completion],
    *,
    seconds: float,
    parallel: int,
    seed: int,
    failed: Mapping[str, str] | None = None,
) -> AnswerStatistics:
    """Fold answers into statistics.

    Args:
        completions: With `top_logprobs` as large as the blend's lists.
        seconds: How long they took together.
        parallel: How many were made at once.
        seed: Of the resampling.
        failed: Prompts without an answer.
    """
    asked = [step for completion in completions for step in _decided(completion) if step.asked]
    alphas = [step.alpha for step in asked if step.alpha is not None]
    sums = [completion.blend for completion in completions]
    lengths = [s.steps for s in sums]
    total = sum(lengths)
    return AnswerStatistics(
        prompts=len(completions),
        failed=dict(failed or {}),
        steps=total,
        intervention_rate=ratio([s.asked for s in sums], lengths, seed),
        changed_rate=ratio([s.changed for s in sums], lengths, seed),
        ranks=rank_statistics(asked),
        alpha_mean=fmean(alphas) if alphas else None,
        alpha_counts=tuple(np.histogram(alphas, ALPHA_BINS, (0, 1))[0].tolist()),
        ended_by=dict(Counter(completion.stopped_by for completion in completions).most_common()),
        seconds=seconds,
        tokens_per_second=total / seconds if seconds else 0.0,
        parallel=parallel,
    )


def _decided(completion: Completion) -> list[Step]:
    """All decisions of an answer, the one that ended it included."""
    return [*completion.steps, *([completion.end] if completion.end else [])]


def ratio(parts: Sequence[int], wholes: Sequence[int], seed: int) -> Rate:
    """sum(parts) / sum(wholes) with a 95 % percentile bootstrap interval over the answers.

    The steps of one answer depend on each other, so whole answers are drawn, not steps.

    Args:
        parts: A count per answer, such as its asked steps.
        wholes: Its steps. Same length.
        seed: Of the drawing.
    """
    part, whole = np.array(parts, dtype=float), np.array(wholes, dtype=float)
    if not whole.sum():
        return Rate(0.0, 0.0, 0.0)
    rates = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    low, high = np.quantile(bootstrap_means(rates, whole, np.random.default_rng(seed)), TAILS)
    return Rate(float(part.sum() / whole.sum()), float(low), float(high))


def rank_statistics(asked: Sequence[Step]) -> RankStatistics | None:
    """The rank of the guide's choice, over asked steps that kept both lists."""
    known = [
        (step, step.base_top, step.guide_top, step.candidates.base)
        for step in asked
        if step.base_top and step.guide_top and step.candidates and step.candidates.base
    ]
    if not known:
        return None
    ranks = [rank_of(top.bytes, listed) for _, _, top, listed in known]
    found = [rank for rank in ranks if rank is not None]
    middle = median(np.inf if rank is None else rank for rank in ranks)
    differ = [(step.bytes, b.bytes, g.bytes) for step, b, g, _ in known if b.bytes != g.bytes]
    return RankStatistics(
        positions=len(known),
        in_top={str(k): sum(rank <= k for rank in found) / len(known) for k in TOP},
        in_nucleus=sum(top.bytes in nucleus(listed) for _, _, top, listed in known) / len(known),
        mean_rank=fmean(found) if found else None,
        median_rank=float(middle) if np.isfinite(middle) else None,
        agree=1 - len(differ) / len(known),
        guide_wins=_share([decided.startswith(g) and bool(g) == bool(decided) for decided, _, g in differ]),
        base_wins=_share([decided.startswith(b) and bool(b) == bool(decided) for decided, b, _ in differ]),
    )


def rank_of(piece: bytes, listed: Sequence[Candidate]) -> int | None:
    """The rank of a candidate in a list, from 1; None if it is not in it."""
    return next((i for i, candidate in enumerate(listed, 1) if candidate.bytes == piece), None)


def nucleus(listed: Sequence[Candidate], mass: float = NUCLEUS) -> set[bytes]:
    """The shortest prefix of a list, largest first, whose sum reaches `mass`; the whole list if none does."""
    before = np.cumsum([0.0, *(candidate.p for candidate in listed)])
    head = takewhile(lambda pair: pair[0] < mass, zip(before.tolist(), listed, strict=False))
    return {candidate.bytes for _, candidate in head}


def _share(holds: Sequence[bool]) -> float:
    return sum(holds) / len(holds) if holds else 0.0
