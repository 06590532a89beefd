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

from blendin_local.jobs.evaluation.run.likelihood import FIGURES, option_verdict
from blendin_local.jobs.evaluation.score.scored import JUDGED, KeptCell, ScoredMethod
from blendin_local.jobs.evaluation.scorers.choices import LETTERS
from blendin_local.jobs.scoring.figures import Comparison, Verdicts, compare, figures, histogram
from blendin_local.jobs.scoring.items import Benchmark, Item
from blendin_local.jobs.scoring.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Cell:
    """A method on a benchmark.

    Attributes:
        wanted: Number of answers: questions times seeds.
        answered: Those that are there.
        failed: Those that are not because their row failed.
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
        seeds: Answers to each question; more than 1 only where it is sampled. The score of a question is then
            their mean.
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
    seeds: int = 1

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


def make_cell(
    scored: ScoredMethod,
    benchmark: Benchmark,
    items: Sequence[Item],
    *,
    baselines: Mapping[str, ScoredMethod],
    seed: int,
) -> Cell:
    """Everything that is counted on one cell.

    Args:
        scored: The method with its answers and their verdicts.
        benchmark: How it is scored.
        items: What was asked.
        baselines: Methods to compare it with, by the names of `BASELINES`.
        seed: Seed of the bootstrap.
    """
    judged = _with_judge(benchmark, scored.verdicts)
    answers = [answer for kept in scored.seeds for answer in kept.answers.values()]
    had = [answer for answer in answers if not answer.failed]
    steps = sum(answer.steps for answer in had)
    return Cell(
        scored.pair,
        scored.benchmark,
        scored.name,
        method=scored.method,
        wanted=len(items) * len(scored.seeds),
        answered=len(had),
        failed=len(answers) - len(had),
        main=benchmark.main_figure,
        figures=figures(judged, scored.verdicts, seed) if scored.verdicts else {},
        comparisons={
            name: _comparisons(judged, scored.verdicts, baseline.verdicts, seed)
            for name, baseline in baselines.items()
        },
        intervention_rate=sum(answer.asked for answer in had) / steps if steps else None,
        changed_rate=sum(answer.changed for answer in had) / steps if steps else None,
        mean_steps=steps / len(had) if had else 0.0,
        mean_characters=sum(len(answer.text) for answer in had) / len(had) if had else 0.0,
        ended_by=dict(sorted(Counter(answer.stopped_by for answer in answers).items())),
        faults=_faults(scored.seeds),
        letters=_letters(items, scored.seeds),
        judge=_judge(scored.seeds),
        settings=scored.settings,
        seeds=len(scored.seeds),
    )


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


def _faults(seeds: Sequence[KeptCell]) -> dict[str, int]:
    answers = [answer for kept in seeds for answer in kept.answers.values()]
    return {
        "no parse": sum(
            verdict.parsed is None and not kept.answers[key].failed
            for kept in seeds
            for key, verdict in kept.verdicts.items()
        ),
        "cut": sum(answer.cut for answer in answers),
        "empty": sum(answer.empty for answer in answers),
        "repetition": sum(answer.repeating for answer in answers),
        "endless": sum(answer.endless for answer in answers),
        "failed": sum(answer.failed for answer in answers),
    }


def _letters(items: Iterable[Item], seeds: Sequence[KeptCell]) -> dict[str, int]:
    parsed = (verdict.parsed for kept in seeds for verdict in kept.verdicts.values())
    return histogram(parsed) if any(item.options for item in items) else {}


def _judge(seeds: Sequence[KeptCell]) -> dict[str, Any] | None:
    judged = [score for kept in seeds for score in kept.judged.values()]
    if not judged:
        return None
    failures = sum(score is None for score in judged)
    return {"asked": len(judged), "judged": len(judged) - failures, "failures": failures}


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
