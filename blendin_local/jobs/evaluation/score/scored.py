"""A method's verdicts on one benchmark, all its seeds together.

Here: `ScoredMethod`, and `scored_methods`, which joins the seeds of a plan's cells.
Not here: what is counted on them (`cells`), how they are compared (`comparisons`, `selection`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from blendin_local.jobs.evaluation.run.answers import KeptAnswer
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, Names
from blendin_local.jobs.evaluation.spec.variants import ALIGNED, SAMPLING, TEMPERATURE
from blendin_local.jobs.scoring.figures import Verdicts, mean_verdicts
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict

BASELINES = ("base", "nudging")
JUDGED = "judged"


@dataclass(frozen=True)
class KeptCell:
    """What a folder keeps of one seed of a method on a benchmark; a greedy method has one.

    Attributes:
        answers: By item.
        verdicts: Of the scorer, by item.
        judged: Of a judge, by item; None if it failed to give one.
    """

    answers: Mapping[str, KeptAnswer]
    verdicts: Verdicts
    judged: Mapping[str, float | None]


def score_answers(
    benchmark: Benchmark,
    items: Sequence[Item],
    answers: Mapping[str, KeptAnswer],
    judged: Mapping[str, float | None],
) -> KeptCell:
    """Score what was answered."""
    found = {item.key: answers[item.key] for item in items if item.key in answers}
    verdicts = {item.key: benchmark.score(item, found[item.key].text) for item in items if item.key in found}
    for item in items:
        score = judged.get(item.key)
        if score is not None and item.key in verdicts:
            old = verdicts[item.key]
            verdicts[item.key] = Verdict({**old.scores, _judged_metric(item): score}, old.parsed, old.weights)
    return KeptCell(found, verdicts, {key: judged[key] for key in judged if key in found})


def _judged_metric(item: Item) -> str:
    """Safe and unsafe prompts are judged apart, as they are scored apart."""
    label = item.reference.get("label")
    return f"{JUDGED}_{label}" if label else JUDGED


@dataclass(frozen=True)
class ScoredMethod:
    """A method on a benchmark.

    Attributes:
        pair: Name of the pair.
        benchmark: Name of the benchmark.
        name: What tables call the method: `blendin`, `blendin[temp=0.7]`.
        method: Its rule.
        settings: How it was set, sampling included.
        seeds: What is kept of it, by seed.
    """

    pair: str
    benchmark: str
    name: str
    method: str
    settings: Mapping[str, Any]
    seeds: tuple[KeptCell, ...]

    @cached_property
    def verdicts(self) -> Verdicts:
        """One per item, the mean over seeds."""
        return mean_verdicts([seed.verdicts for seed in self.seeds])

    @property
    def sampling(self) -> dict[str, Any]:
        """Its settings of sampling; a greedy method has none."""
        return {name: value for name, value in self.settings.items() if name in SAMPLING and self.temperature}

    @property
    def temperature(self) -> float:
        """At which it is sampled; 0 if it is greedy."""
        return float(self.settings.get(TEMPERATURE, 0.0))

    @property
    def rule(self) -> tuple[str, dict[str, Any]]:
        """What it is without its sampling: `blendin` and `blendin[temp=0.7]` are the same rule."""
        name = ALIGNED if self.is_aligned else self.method
        return name, {name: value for name, value in self.settings.items() if name not in SAMPLING}

    @property
    def is_aligned(self) -> bool:
        """Whether it is the aligned model, which runs alone as a guide does."""
        return self.name.partition("[")[0] == ALIGNED

    def baselines(self, methods: Iterable[ScoredMethod]) -> dict[str, ScoredMethod]:
        """Base and nudging with the pair's own settings, sampled as this method is, or at its temperature."""
        others = [other for other in methods if other.name != self.name]
        wanted = (self.sampling, {TEMPERATURE: self.temperature} if self.temperature else {})
        found = {}
        for name in BASELINES:
            plain = [other for other in others if other.rule == (name, {})]
            same = [other for sampling in wanted for other in plain if other.sampling == sampling]
            if same:
                found[name] = same[0]
        return found


def scored_methods(plan: EvalPlan, kept: Mapping[Names, KeptCell]) -> tuple[ScoredMethod, ...]:
    """Every method on every benchmark, in the plan's order.

    Args:
        plan: What was compared.
        kept: By the names of the plan's cells.
    """
    return tuple(
        ScoredMethod(
            *names,
            plan.methods[names[2]]["method"],
            plan.methods[names[2]]["settings"],
            tuple(kept[cell] for cell in cells),
        )
        for names, cells in plan.cells_by_method().items()
    )
