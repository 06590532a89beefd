"""Every method against every other, with the number of comparisons taken into account.

Here: `MethodComparison`, and `compare_methods`, all comparisons of one pair of models.
Not here: one comparison (`figures.compare`), Holm's correction itself (`statistics.holm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

from blendin_local.jobs.evaluation.score.scored import ScoredMethod
from blendin_local.jobs.scoring.figures import Comparison, compare
from blendin_local.jobs.scoring.items import Benchmark
from blendin_local.jobs.scoring.statistics import holm


@dataclass(frozen=True)
class MethodComparison:
    """The main figure of one method against that of another on the same questions.

    Attributes:
        pair: Name of the pair.
        benchmark: Name of the benchmark.
        figure: Its main figure.
        a: A method.
        b: The method that it is compared with.
        comparison: How far `a` lies above `b`, as a test by itself.
        p_holm: Its p-value after Holm's correction over all comparisons of this pair.
    """

    pair: str
    benchmark: str
    figure: str
    a: str
    b: str
    comparison: Comparison
    p_holm: float

    @property
    def clear(self) -> bool:
        """Whether the difference is significant at 5 % among all comparisons of the pair."""
        return self.p_holm < 0.05

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        d = self.comparison.difference
        difference = {"value": d.value, "low": d.low, "high": d.high, "n": d.n}
        names = {name: getattr(self, name) for name in ("pair", "benchmark", "figure", "a", "b")}
        return {**names, **difference, "p": self.comparison.p, "p_holm": self.p_holm}


def compare_methods(
    methods: Sequence[ScoredMethod], benchmarks: Mapping[str, Benchmark], seed: int
) -> tuple[MethodComparison, ...]:
    """Compare on each benchmark every two methods that answered at the same temperature.

    Greedy is one of the temperatures. A sampled method is compared with its greedy self too.

    Args:
        methods: Of all pairs of models.
        benchmarks: By name.
        seed: Seed of the bootstrap.

    Returns:
        By pair and benchmark; p-values are corrected within each pair of models.
    """
    found: list[MethodComparison] = []
    for pair in dict.fromkeys(method.pair for method in methods):
        tests = list(_of_pair([method for method in methods if method.pair == pair], benchmarks, seed))
        for (a, b, test), p_holm in zip(tests, holm([test.p for *_, test in tests]), strict=True):
            figure = benchmarks[a.benchmark].main_figure
            found.append(MethodComparison(pair, a.benchmark, figure, a.name, b.name, test, p_holm))
    return tuple(found)


def _of_pair(
    methods: Sequence[ScoredMethod], benchmarks: Mapping[str, Benchmark], seed: int
) -> Iterator[tuple[ScoredMethod, ScoredMethod, Comparison]]:
    for name, on_benchmark in groupby(methods, key=lambda method: method.benchmark):
        benchmark = benchmarks[name]
        for b, a in combinations(on_benchmark, 2):
            if a.temperature == b.temperature or (a.rule == b.rule and not b.temperature):
                test = compare(benchmark, benchmark.main_figure, a.verdicts, b.verdicts, seed)
                if test is not None:
                    yield a, b, test
