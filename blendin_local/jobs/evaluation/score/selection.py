"""What choosing between the answers of base and guide alone could reach.

Here: `SelectionCeiling`, and `selection_ceilings`.
Not here: the models' own scores (`cells`).
With beta the share of questions that both models alone get wrong, no choice between their answers is right
more often than 1 - beta. It does not bound blending: a text made by both can be right where each alone fails.
Source: the co-failure ceiling, arXiv 2606.27288, with its Clopper-Pearson interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from blendin_local.jobs.evaluation.score.exact import clopper_pearson
from blendin_local.jobs.evaluation.score.scored import ScoredMethod
from blendin_local.jobs.scoring.figures import Verdicts, figures, mean_verdicts
from blendin_local.jobs.scoring.items import Benchmark, Verdict
from blendin_local.jobs.scoring.statistics import Interval

Pick = Callable[[float, float], float]


@dataclass(frozen=True)
class SelectionCeiling:
    """How often at least one of the two models alone is right on a benchmark, by its main figure.

    Where a figure is the mean of two halves (XSTest), so is each share.

    Attributes:
        pair: Name of the pair.
        benchmark: Name of the benchmark.
        figure: The main figure.
        base: The base alone, as tables call it: `base`, `base[temp=0.7]`.
        guide: The guide alone, sampled the same way.
        ceiling: 1 - beta: at least one is right.
        one_right: Exactly one is right: what there is to win by choosing well.
        base_only: Of these, the base.
        guide_only: Of these, the guide.
    """

    pair: str
    benchmark: str
    figure: str
    base: str
    guide: str
    ceiling: Interval
    one_right: Interval
    base_only: float
    guide_only: float

    @property
    def both_wrong(self) -> float:
        """Beta."""
        return 1 - self.ceiling.value

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        return {**asdict(self), "both_wrong": self.both_wrong}


def selection_ceilings(
    methods: Sequence[ScoredMethod], benchmarks: Mapping[str, Benchmark], seed: int
) -> tuple[SelectionCeiling, ...]:
    """The ceiling of each pair on each benchmark, of greedy and of sampled answers.

    Args:
        methods: Of all pairs of models.
        benchmarks: By name.
        seed: Seed of the bootstrap.
    """
    found = (_ceiling(base, guide, benchmarks[base.benchmark], seed) for base, guide in _alone(methods))
    return tuple(ceiling for ceiling in found if ceiling is not None)


def _alone(methods: Sequence[ScoredMethod]) -> Iterator[tuple[ScoredMethod, ScoredMethod]]:
    """Base and guide alone, of one pair, on one benchmark, sampled the same way."""
    guides = [method for method in methods if method.rule[0] == "guide"]
    for base in (method for method in methods if method.rule[0] == "base"):
        where = base.pair, base.benchmark, base.sampling
        same = [guide for guide in guides if (guide.pair, guide.benchmark, guide.sampling) == where]
        yield from ((base, guide) for guide in same[:1])


def _ceiling(
    base: ScoredMethod, guide: ScoredMethod, benchmark: Benchmark, seed: int
) -> SelectionCeiling | None:
    """None if no question has an answer of both, or an answer is neither right nor wrong."""
    parts = benchmark.parts[benchmark.main_figure]
    answers = [verdict for each in (*base.seeds, *guide.seeds) for verdict in each.verdicts.values()]
    if any(verdict.scores.get(part, 0.0) not in {0.0, 1.0} for verdict in answers for part in parts):
        return None

    def share(pick: Pick) -> Interval | None:
        seeds = zip(base.seeds, guide.seeds, strict=False)  # a later run may have added seeds to one of them
        picked = [_picked(b.verdicts, g.verdicts, parts, pick) for b, g in seeds]
        return _interval(benchmark, mean_verdicts(picked), seed)

    ceiling, one_right = share(max), share(lambda b, g: float(b != g))
    base_only, guide_only = share(lambda b, g: float(b > g)), share(lambda b, g: float(g > b))
    if ceiling is None or one_right is None or base_only is None or guide_only is None:
        return None
    return SelectionCeiling(
        base.pair,
        base.benchmark,
        benchmark.main_figure,
        base.name,
        guide.name,
        ceiling,
        one_right,
        base_only.value,
        guide_only.value,
    )


def _picked(base: Verdicts, guide: Verdicts, parts: Sequence[str], pick: Pick) -> Verdicts:
    """Made of the scores of the two models' answers to one question with one seed."""

    def of_item(b: Verdict, g: Verdict) -> Verdict:
        scores = {part: pick(b.scores[part], g.scores[part]) for part in parts if part in b.scores}
        return Verdict(scores, None)

    return {key: of_item(verdict, guide[key]) for key, verdict in base.items() if key in guide}


def _interval(benchmark: Benchmark, verdicts: Verdicts, seed: int) -> Interval | None:
    """Clopper and Pearson's where it is one share of questions, else the bootstrap's."""
    main = benchmark.main_figure
    found = figures(benchmark, verdicts, seed).get(main)
    scores = [score for verdict in verdicts.values() for score in verdict.scores.values()]
    if found is None or len(benchmark.parts[main]) > 1 or set(scores) - {0.0, 1.0}:
        return found
    return clopper_pearson(round(sum(scores)), len(scores))
