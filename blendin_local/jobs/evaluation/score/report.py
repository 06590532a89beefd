"""What came of an evaluation: one record, made from what its folder keeps, without a model.

Here: `Report`, `build_report`.
Not here: the numbers of a cell (`cells`), how it looks (`views`), the paper's tables beside it (`reports`).
Everything but `times` depends on nothing but the kept answers, so the same answers give the same report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from blendin_local._version import __version__
from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.run.answers import read_answers, read_signature, read_times
from blendin_local.jobs.evaluation.run.judge import read_judged
from blendin_local.jobs.evaluation.run.likelihood import read_option_scores
from blendin_local.jobs.evaluation.score.cells import (
    Cell,
    LikelihoodCell,
    make_cell,
    make_likelihood_cell,
)
from blendin_local.jobs.evaluation.score.comparisons import MethodComparison, compare_methods
from blendin_local.jobs.evaluation.score.scored import (
    KeptCell,
    ScoredMethod,
    score_answers,
    scored_methods,
)
from blendin_local.jobs.evaluation.score.selection import SelectionCeiling, selection_ceilings
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, Names, read_plan
from blendin_local.jobs.scoring.items import Benchmark, Item

VERSION = 1


@dataclass(frozen=True)
class Report:
    """What came of an evaluation.

    Attributes:
        plan: What was compared: the signature of every number.
        cells: A cell for each pair, benchmark and method.
        likelihoods: Options scored by log-likelihood; `readings` in JSON.
        comparisons: Every method against every other on each benchmark.
        ceilings: What choosing between base and guide alone could reach; `selection` in JSON.
        machine: How the answers were computed: rows at once, threads, versions; by pair.
        times: Seconds and tokens per second of each cell, the only part that differs between equal runs.
    """

    plan: EvalPlan
    cells: tuple[Cell, ...]
    likelihoods: tuple[LikelihoodCell, ...]
    comparisons: tuple[MethodComparison, ...]
    ceilings: tuple[SelectionCeiling, ...]
    machine: Mapping[str, Any]
    times: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every answer and every log-likelihood is there."""
        return all(cell.complete for cell in self.cells) and all(r.read == r.wanted for r in self.likelihoods)

    @property
    def title(self) -> str:
        """The title; marks a run that was cut short."""
        pairs = list(dict.fromkeys(cell.pair for cell in self.cells))
        what = f"Evaluation of {', '.join(pairs)}" if len(pairs) <= 3 else f"Evaluation of {len(pairs)} pairs"
        if self.complete:
            return what
        had = sum(cell.answered + cell.failed for cell in self.cells)
        expected = sum(cell.wanted for cell in self.cells)
        return f"{what}, CUT SHORT: {had} of {expected} answers" if had < expected else f"{what}, CUT SHORT"

    def cell(self, pair: str, benchmark: str, variant: str) -> Cell | None:
        """One cell; None if the evaluation does not have it."""
        names = (pair, benchmark, variant)
        return next((c for c in self.cells if (c.pair, c.benchmark, c.variant) == names), None)

    def to_json(self) -> dict[str, Any]:
        """Everything measured; `report.json` has the paper's tables beside it."""
        plan = self.plan.to_json()
        del plan["version"]
        record = {
            "version": VERSION,
            "title": self.title,
            "complete": self.complete,
            "signature": {**plan, "machine": self.machine, "scored_with": __version__},
            "cells": [{**asdict(cell), "complete": cell.complete} for cell in self.cells],
            "readings": [asdict(likelihood) for likelihood in self.likelihoods],
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "selection": [ceiling.to_json() for ceiling in self.ceilings],
            "times": self.times,
        }
        value: dict[str, Any] = json.loads(json.dumps(record))
        return value


def build_report(folder: Folder, benchmarks: Mapping[str, Benchmark] | None = None) -> Report:
    """Score what a folder keeps.

    Args:
        folder: Of an evaluation, finished or not.
        benchmarks: By name; None takes the built-in ones.

    Raises:
        UsageError: There is no evaluation, or its files are not right.
    """
    plan = read_plan(folder)
    if plan is None:
        raise UsageError(f"{folder.root} holds no evaluation", "start one with blendin eval -o DIR")
    known = BENCHMARKS if benchmarks is None else benchmarks
    items = {name: _items(folder, name, plan, known) for name in plan.benchmarks}
    kept = {names: _kept(folder, names, known, items) for names in plan.cells}
    seed, methods = int(plan.protocol["seed"]), scored_methods(plan, kept)
    likelihoods = tuple(
        make_likelihood_cell(
            names, known[names[1]], items[names[1]], read_option_scores(folder.likelihood(*names)), seed
        )
        for names in plan.likelihoods
    )
    return Report(
        plan=plan,
        cells=tuple(_cell(method, methods, known, items, seed) for method in methods),
        likelihoods=likelihoods,
        comparisons=compare_methods(methods, known, seed),
        ceilings=selection_ceilings(methods, known, seed),
        machine=_machine(folder, plan),
        times={
            " ".join(names): _times(folder, {cell: kept[cell] for cell in cells})
            for names, cells in plan.cells_by_method().items()
        },
    )


def _items(folder: Folder, name: str, plan: EvalPlan, known: Mapping[str, Benchmark]) -> list[Item]:
    if name not in known:
        raise UsageError(f"there is no benchmark {name!r}", f"known are {', '.join(known)}")
    items = read_items(folder.items(name))
    if len(items) != plan.benchmarks[name]["items"]:
        raise UsageError(
            f"{folder.items(name)} holds {len(items)} questions, not {plan.benchmarks[name]['items']}",
            "restore the old file, or start a new evaluation",
        )
    return items


def _kept(
    folder: Folder, names: Names, known: Mapping[str, Benchmark], items: Mapping[str, list[Item]]
) -> KeptCell:
    answers = read_answers(folder.answers(*names))
    judged = read_judged(folder.judged(*names), answers)
    return score_answers(known[names[1]], items[names[1]], answers, judged)


def _cell(
    method: ScoredMethod,
    methods: Sequence[ScoredMethod],
    known: Mapping[str, Benchmark],
    items: Mapping[str, list[Item]],
    seed: int,
) -> Cell:
    beside = [each for each in methods if (each.pair, each.benchmark) == (method.pair, method.benchmark)]
    name = method.benchmark
    return make_cell(method, known[name], items[name], baselines=method.baselines(beside), seed=seed)


def _machine(folder: Folder, plan: EvalPlan) -> dict[str, Any]:
    """Of the first answer of each pair: what decides the last digits of its numbers."""
    found: dict[str, Any] = {}
    for names in plan.cells:
        signature = read_signature(folder.answers(*names))
        if signature:
            known = found.setdefault(names[0], {})
            known.update({name: signature[name] for name in ("versions", "n_parallel") if name in signature})
            threads = {role: model.get("threads") for role, model in signature.get("models", {}).items()}
            known["threads"] = {**known.get("threads", {}), **threads}
    return found


def _times(folder: Folder, seeds: Mapping[Names, KeptCell]) -> dict[str, Any]:
    """Of all seeds together."""
    runs = [read_times(folder.answers(*names)) for names in seeds]
    steps = sum(answer.steps for kept in seeds.values() for answer in kept.answers.values())
    if not all(runs):
        return {"steps_per_second": None}
    states, seconds = [run["state"] for run in runs], sum(run["seconds"] for run in runs)
    state = next((state for state in states if state != "finished"), "finished")
    speed = round(steps / seconds, 2) if seconds else None
    return {"state": state, "seconds": seconds, "steps_per_second": speed}
