"""What came of an evaluation: one record, made from what its folder keeps, without a model.

Here: `Report`, `build_report`.
Not here: the numbers of a cell (`cells`), how it looks (`views`), the paper's tables beside it (`reports`).
Everything but `times` depends on nothing but the kept answers, so the same answers give the same report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from blendin_local._version import __version__
from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.run.answers import read_answers, read_signature, read_times
from blendin_local.jobs.evaluation.run.judge import read_judged
from blendin_local.jobs.evaluation.run.likelihood import read_option_scores
from blendin_local.jobs.evaluation.score.cells import (
    BASELINES,
    Cell,
    KeptCell,
    LikelihoodCell,
    make_cell,
    make_likelihood_cell,
    score_answers,
)
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, read_plan

VERSION = 1
Names = tuple[str, str, str]


@dataclass(frozen=True)
class Report:
    """What came of an evaluation.

    Attributes:
        plan: What was compared: the signature of every number.
        cells: A cell for each pair, benchmark and method.
        likelihoods: Options scored by log-likelihood; `readings` in JSON.
        machine: How the answers were computed: rows at once, threads, versions; by pair.
        times: Seconds and tokens per second of each cell, the only part that differs between equal runs.
    """

    plan: EvalPlan
    cells: tuple[Cell, ...]
    likelihoods: tuple[LikelihoodCell, ...]
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
    cells = tuple(_cell(names, plan, known, items, kept) for names in plan.cells)
    seed = int(plan.protocol["seed"])
    likelihoods = tuple(
        make_likelihood_cell(
            names, known[names[1]], items[names[1]], read_option_scores(folder.likelihood(*names)), seed
        )
        for names in plan.likelihoods
    )
    return Report(
        plan=plan,
        cells=cells,
        likelihoods=likelihoods,
        machine=_machine(folder, plan),
        times={" ".join(names): _times(folder, names, kept[names]) for names in plan.cells},
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
    names: Names,
    plan: EvalPlan,
    known: Mapping[str, Benchmark],
    items: Mapping[str, list[Item]],
    kept: Mapping[Names, KeptCell],
) -> Cell:
    pair, benchmark, variant = names
    baselines = {name: kept[pair, benchmark, name] for name in BASELINES if (pair, benchmark, name) in kept}
    return make_cell(
        names,
        known[benchmark],
        items[benchmark],
        kept[names],
        baselines=baselines,
        seed=int(plan.protocol["seed"]),
        variant=plan.variants[variant],
    )


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


def _times(folder: Folder, names: Names, kept: KeptCell) -> dict[str, Any]:
    times = read_times(folder.answers(*names))
    steps = sum(answer.steps for answer in kept.answers.values())
    seconds = times.get("seconds")
    return {**times, "steps_per_second": round(steps / seconds, 2) if seconds else None}
