"""One cell of the report: a pair, a benchmark, a method, and everything that is counted on its answers.

Here: `Cell`, `LikelihoodCell`, and the functions that make them from what a folder keeps.
Not here: which cells there are (`report`), tables made of many cells (`views.evaluation`).
An item whose row failed is scored like an empty answer: no row is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item, Verdict
from blendin_local.jobs.evaluation.run.answers import KeptAnswer
from blendin_local.jobs.evaluation.run.likelihood import FIGURES, option_verdict
from blendin_local.jobs.evaluation.score.figures import Comparison, Verdicts, compare, figures, histogram
from blendin_local.jobs.evaluation.score.statistics import Interval, mean_interval
from blendin_local.jobs.evaluation.scorers.choices import LETTERS

BASELINES = ("base", "nudging")
JUDGED = "judged"


@dataclass(frozen=True)
class Cell:
    """A method on a benchmark.

    Attributes:
        wanted: Number of questions.
        answered: Items with an answer.
        failed: Items without one because their row failed.
        main: The figure that represents the cell.
        figures: Name to value with interval.
        comparisons: Baseline to figure to comparison.
        intervention_rate: Asked steps over all steps.
        changed_rate: Changed steps over all steps.
        mean_steps: Steps per answer.
        mean_characters: Characters per answer.
        ended_by: How many answers each kind of end has.
        faults: `no parse`, `cut`, `empty`, `repetition`, `endless`, `failed`: how many answers each.
        letters: How often each letter was named, where options have letters; else empty.
        judge: Verdicts asked, had and failed; None without a judge.
        settings: How the method was set.
    """

    pair: str
    benchmark: str
    variant: str
    method: str
    wanted: int
    answered: int
    failed: int
    main: str
    figures: Mapping[str, Interval]
    comparisons: Mapping[str, Mapping[str, Comparison]]
    intervention_rate: float | None
    changed_rate: float | None
    mean_steps: float
    mean_characters: float
    ended_by: Mapping[str, int]
    faults: Mapping[str, int]
    letters: Mapping[str, int]
    judge: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def score(self) -> Interval | None:
        """The main figure."""
        return self.figures.get(self.main)

    @property
    def complete(self) -> bool:
        """Whether no item is left."""
        return self.answered + self.failed == self.wanted


@dataclass(frozen=True)
class LikelihoodCell:
    """Options scored by log-likelihood by one model alone.

    Attributes:
        wanted: Number of questions.
        read: Of these, questions whose options were scored.
        failed: Of these, questions that could not be scored; they count as wrong.
        figures: The main one first (`likelihood.FIGURES`).
        letters: How often each letter was the likeliest.
        gold: How often each letter is the right one.
    """

    pair: str
    benchmark: str
    role: str
    wanted: int
    read: int
    failed: int
    figures: Mapping[str, Interval]
    letters: Mapping[str, int]
    gold: Mapping[str, int]


@dataclass(frozen=True)
class KeptCell:
    """What a folder keeps of one cell.

    Attributes:
        answers: By item.
        verdicts: Of the scorer, by item.
        judged: Of a judge, by item; None if it failed to give one.
    """

    answers: Mapping[str, KeptAnswer]
    verdicts: Verdicts
    judged: Mapping[str, float | None] = field(default_factory=dict)


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


def make_cell(
    names: tuple[str, str, str],
    benchmark: Benchmark,
    items: Sequence[Item],
    kept: KeptCell,
    *,
    baselines: Mapping[str, KeptCell],
    seed: int,
    variant: Mapping[str, Any],
) -> Cell:
    """Everything that is counted on one cell.

    Args:
        names: Pair, benchmark, variant.
        benchmark: How it is scored.
        items: What was asked.
        kept: The answers and their verdicts.
        baselines: Cells of the same pair and benchmark to compare with, by variant.
        seed: Seed of the bootstrap.
        variant: Its method and settings.
    """
    scored = _with_judge(benchmark, kept.verdicts)
    answers = list(kept.answers.values())
    had = [answer for answer in answers if not answer.failed]
    steps = sum(answer.steps for answer in had)
    return Cell(
        *names,
        method=variant["method"],
        wanted=len(items),
        answered=len(had),
        failed=len(answers) - len(had),
        main=benchmark.main_figure,
        figures=figures(scored, kept.verdicts, seed) if kept.verdicts else {},
        comparisons={
            name: _comparisons(scored, kept.verdicts, baselines[name].verdicts, seed)
            for name in BASELINES
            if name in baselines and name != names[2]
        },
        intervention_rate=sum(answer.asked for answer in had) / steps if steps else None,
        changed_rate=sum(answer.changed for answer in had) / steps if steps else None,
        mean_steps=steps / len(had) if had else 0.0,
        mean_characters=sum(len(answer.text) for answer in had) / len(had) if had else 0.0,
        ended_by=dict(sorted(Counter(answer.stopped_by for answer in answers).items())),
        faults=_faults(kept),
        letters=_letters(items, [kept.verdicts[key].parsed for key in kept.verdicts]),
        judge=_judge(kept),
        settings=variant["settings"],
    )


def _judged_metric(item: Item) -> str:
    """Safe and unsafe prompts are judged apart, as they are scored apart."""
    label = item.reference.get("label")
    return f"{JUDGED}_{label}" if label else JUDGED


def _with_judge(benchmark: Benchmark, verdicts: Verdicts) -> Benchmark:
    """The benchmark with a judge's figures after the benchmark's; over two halves `judged` is their mean."""
    found = {
        metric for verdict in verdicts.values() for metric in verdict.scores if metric.startswith(JUDGED)
    }
    halves = tuple(sorted(found - {JUDGED}))
    figures = {**benchmark.figures, JUDGED: halves} if halves else benchmark.figures
    return replace(benchmark, metrics=(*benchmark.metrics, *sorted(found)), figures=figures)


def _comparisons(benchmark: Benchmark, a: Verdicts, b: Verdicts, seed: int) -> dict[str, Comparison]:
    found = {figure: compare(benchmark, figure, a, b, seed) for figure in benchmark.parts}
    return {figure: comparison for figure, comparison in found.items() if comparison is not None}


def _faults(kept: KeptCell) -> dict[str, int]:
    answers = kept.answers.values()
    return {
        "no parse": sum(
            verdict.parsed is None and not kept.answers[key].failed for key, verdict in kept.verdicts.items()
        ),
        "cut": sum(answer.cut for answer in answers),
        "empty": sum(answer.empty for answer in answers),
        "repetition": sum(answer.repeating for answer in answers),
        "endless": sum(answer.endless for answer in answers),
        "failed": sum(answer.failed for answer in answers),
    }


def _letters(items: Iterable[Item], parsed: Sequence[str | None]) -> dict[str, int]:
    return histogram(parsed) if any(item.options for item in items) else {}


def _judge(kept: KeptCell) -> dict[str, Any] | None:
    if not kept.judged:
        return None
    failures = sum(score is None for score in kept.judged.values())
    return {"asked": len(kept.judged), "judged": len(kept.judged) - failures, "failures": failures}


def make_likelihood_cell(
    names: tuple[str, str, str],
    benchmark: Benchmark,
    items: Sequence[Item],
    lines: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> LikelihoodCell:
    """The cell of one model's option likelihoods on one benchmark."""
    verdicts = {
        item.key: option_verdict(benchmark, item, lines[item.key]) for item in items if item.key in lines
    }
    figure_names = FIGURES[benchmark.likelihood]
    return LikelihoodCell(
        *names,
        wanted=len(items),
        read=len(verdicts),
        failed=sum("error" in lines[key] for key in verdicts),
        figures={
            name: mean_interval([verdict.scores[name] for verdict in verdicts.values()], seed)
            for name in figure_names
        }
        if verdicts
        else {},
        letters=histogram(verdict.parsed for verdict in verdicts.values()),
        gold=histogram(LETTERS[item.gold] for item in items if item.gold is not None),
    )
