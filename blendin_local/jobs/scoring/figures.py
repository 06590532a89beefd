"""Verdicts folded into figures with intervals, and figures of two methods compared on the same items.

Here: `figures`, `Comparison` and `compare`, `mcnemar_of` and its `paired_counts`, `mean_verdicts` of several
seeds, and the histogram of the parsed answers.
Not here: the arithmetic (`statistics`), which figures a benchmark has (`Benchmark.parts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from blendin_local.jobs.scoring.items import Benchmark, Verdict
from blendin_local.jobs.scoring.statistics import (
    Group,
    Interval,
    McNemarResult,
    PairedDifference,
    group_difference,
    group_interval,
    grouped_mcnemar,
    mcnemar,
)
from blendin_local.settings import EVALUATION_SEED as SEED

Verdicts = Mapping[str, Verdict]
NO_PARSE = "none"


@dataclass(frozen=True)
class Comparison:
    """A figure against that of another method, on the same items.

    Attributes:
        difference: With interval and the p-value of a paired bootstrap.
        mcnemar_p: Of McNemar's exact test, where every score is right or wrong.
    """

    difference: PairedDifference
    mcnemar_p: float | None

    @property
    def p(self) -> float:
        """McNemar's where it applies, else the bootstrap's."""
        return self.difference.p if self.mcnemar_p is None else self.mcnemar_p

    @property
    def clear(self) -> bool:
        """Whether the difference is significant at 5 %, as one test among no others."""
        return self.p < 0.05


def mean_verdicts(seeds: Sequence[Verdicts]) -> Verdicts:
    """One verdict per item: its scores are means over the seeds that have it. One seed stays as it is."""
    if len(seeds) == 1:
        return seeds[0]
    found: dict[str, list[Verdict]] = {}
    for verdicts in seeds:
        for key, verdict in verdicts.items():
            found.setdefault(key, []).append(verdict)
    return {key: _mean_verdict(same_item) for key, same_item in found.items()}


def _mean_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    metrics = dict.fromkeys(metric for verdict in verdicts for metric in verdict.scores)
    scores = {metric: [v.scores[metric] for v in verdicts if metric in v.scores] for metric in metrics}
    return Verdict({metric: fmean(found) for metric, found in scores.items()}, None, verdicts[0].weights)


def figures(benchmark: Benchmark, verdicts: Verdicts, seed: int = SEED) -> dict[str, Interval]:
    """Every figure of a benchmark with its 95 % interval, the main one first.

    Args:
        benchmark: Says which metrics make a figure.
        verdicts: One verdict per item key.
        seed: Seed of the bootstrap.

    Returns:
        Name to interval; a figure is absent if one of its metrics applies to no item.
    """
    groups = {name: [_scores(verdicts, part) for part in parts] for name, parts in benchmark.parts.items()}
    return {name: group_interval(found, seed) for name, parts in groups.items() if (found := _all(parts))}


def compare(
    benchmark: Benchmark, figure: str, a: Verdicts, b: Verdicts, seed: int = SEED
) -> Comparison | None:
    """How far `figure` of `a` lies above that of `b`, over the items both have; None if it has none."""
    found = _all([_differences(a, b, part) for part in benchmark.parts[figure]])
    if not found:
        return None
    test = mcnemar_of(benchmark, figure, a, b)
    return Comparison(group_difference(found, seed, bounded=True), test.p if test else None)


def mcnemar_of(benchmark: Benchmark, figure: str, a: Verdicts, b: Verdicts) -> McNemarResult | None:
    """McNemar's test where every score of a figure is right or wrong, else None.

    A figure of several metrics is tested as what it is, the mean of their shares.
    """
    counts = paired_counts(benchmark, figure, a, b)
    if not counts:
        return None
    return mcnemar(*counts[0][:2]) if len(counts) == 1 else grouped_mcnemar(counts)


def paired_counts(benchmark: Benchmark, figure: str, a: Verdicts, b: Verdicts) -> list[tuple[int, int, int]]:
    """For each metric of a figure: items that only `a` has right, that only `b` has right, and all.

    Empty where a score is neither right nor wrong, or a metric applies to no item that both have.
    """
    parts = [_pairs(a, b, part) for part in benchmark.parts[figure]]
    scores = {score for pairs in parts for *both, _ in pairs for score in both}
    if not all(parts) or not scores <= {0.0, 1.0}:
        return []
    return [(sum(x > y for x, y, _ in pairs), sum(x < y for x, y, _ in pairs), len(pairs)) for pairs in parts]


def histogram(parsed: Iterable[str | None]) -> dict[str, int]:
    """How often each parsed answer occurs, sorted; answers without a parse count as `none`, last."""
    counts = Counter(parsed)
    missing = counts.pop(None, 0)
    return {**{str(found): counts[found] for found in sorted(map(str, counts))}, NO_PARSE: missing}


def _all(groups: list[Group | None]) -> list[Group]:
    found = [group for group in groups if group is not None]
    return found if len(found) == len(groups) else []


def _scores(verdicts: Verdicts, metric: str) -> Group | None:
    having = [verdict for verdict in verdicts.values() if metric in verdict.scores]
    if not having:
        return None
    return Group.of([v.scores[metric] for v in having], [v.weights.get(metric, 1.0) for v in having])


def _differences(a: Verdicts, b: Verdicts, metric: str) -> Group | None:
    pairs = _pairs(a, b, metric)
    return Group.of([x - y for x, y, _ in pairs], [weight for _, _, weight in pairs]) if pairs else None


def _pairs(a: Verdicts, b: Verdicts, metric: str) -> list[tuple[float, float, float]]:
    both = [(a[key], b[key]) for key in a if key in b]
    return [
        (x.scores[metric], y.scores[metric], x.weights.get(metric, 1.0))
        for x, y in both
        if metric in x.scores and metric in y.scores
    ]
