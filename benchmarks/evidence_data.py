"""The answers behind docs/evidence.md as data of the repository: what was said, and what it scored.

Here: `collect`, from the folders of `evidence.py`; `write` and `read`: a file per pair, JSON Lines in gzip.
Not here: what the tables make of them (`evidence_table.py`).

The first line of a file has the pair, its models, and each method on each benchmark with its seconds. The
others are answers: `custom_id`, `text`, `stopped_by`, `steps`, `asked`, `changed`, `scores`, and `weights`
where an answer counts more than once. Questions are not there: they are those of the benchmarks.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blendin_local.jobs.batch.formats import BlendCounts, blend_of
from blendin_local.jobs.batch.jsonl_file import read_back
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.run.answers import KeptAnswer, read_answers, read_times
from blendin_local.jobs.evaluation.score.scored import KeptCell, ScoredMethod, score_answers
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, Names, read_plan
from blendin_local.jobs.scoring.items import Verdict

COUNTS = ("steps", "asked", "changed")
MODEL_FACTS = ("file", "sha256", "quantization", "weights")


@dataclass(frozen=True)
class Run:
    """One method with one seed on one benchmark, complete.

    Attributes:
        task: The folder that it was run in: a benchmark, or one with other questions (`xstest-all`).
        benchmark: The benchmark's name.
        method: As tables call it, the same for all seeds.
        variant: The method with its seed.
        rule: The method without its settings.
        settings: Those that the name tells.
        max_tokens: Tokens per answer.
        seconds: How long all answers took, several at once on a machine that had other work too.
        evaluated: By role, the tokens that its model evaluated for all answers, prompts among them.
        cell: Answers and verdicts by question.
    """

    task: str
    benchmark: str
    method: str
    variant: str
    rule: str
    settings: Mapping[str, Any]
    max_tokens: int
    seconds: float | None
    evaluated: Mapping[str, int]
    cell: KeptCell

    @property
    def steps(self) -> int:
        """Of all answers."""
        return sum(answer.steps for answer in self.cell.answers.values())

    @property
    def asked(self) -> int:
        """Steps at which the guide was consulted."""
        return sum(answer.asked for answer in self.cell.answers.values())

    def to_json(self) -> dict[str, Any]:
        """Without the answers."""
        names = ("task", "benchmark", "method", "variant", "rule", "max_tokens", "seconds")
        facts = {name: getattr(self, name) for name in names}
        return {**facts, "settings": dict(self.settings), "evaluated": dict(self.evaluated)}


@dataclass(frozen=True)
class PairData:
    """Everything about one pair.

    Attributes:
        pair: Its name.
        facts: Its models and prompts, and the versions that made and scored the answers.
        runs: In the order of benchmarks and methods.
    """

    pair: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()

    def methods(self, task: str) -> list[ScoredMethod]:
        """The runs of a task as the evaluation's own statistics take them, the seeds of a method together."""
        found: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            if run.task == task:
                found.setdefault((run.benchmark, run.method), []).append(run)
        return [
            ScoredMethod(
                self.pair, *names, seeds[0].rule, seeds[0].settings, tuple(run.cell for run in seeds)
            )
            for names, seeds in found.items()
        ]


def collect(root: Path) -> list[PairData]:
    """All pairs below a folder of evaluations; methods that have not finished are left out."""
    found: dict[str, PairData] = {}
    for path in sorted(root.rglob("plan.json")):
        folder = Folder(path.parent)
        plan = read_plan(folder)
        for pair in plan.pairs if plan else ():
            assert plan is not None
            known = found.get(pair, PairData(pair, _facts(plan, pair)))
            found[pair] = PairData(pair, known.facts, (*known.runs, *_runs(folder, plan, pair)))
    order = list(BENCHMARKS)

    def place(run: Run) -> tuple[int, str]:
        return order.index(run.benchmark), run.task

    return [
        PairData(data.pair, data.facts, tuple(sorted(data.runs, key=place)))
        for data in found.values()
        if data.runs
    ]


def _facts(plan: EvalPlan, pair: str) -> dict[str, Any]:
    facts = plan.pairs[pair]
    models = {
        role: {name: model[name] for name in MODEL_FACTS if name in model}
        for role, model in facts["models"].items()
    }
    return {
        "models": models,
        "template": facts.get("template"),
        "date": facts.get("date"),
        "versions": dict(plan.versions),
    }


def _runs(folder: Folder, plan: EvalPlan, pair: str) -> Iterator[Run]:
    items = {name: read_items(folder.items(name)) for name in plan.benchmarks}
    for method, seeds in plan.cells_by_method().items():
        for names in seeds if method[0] == pair else ():
            run = _run(folder, plan, names, method[2])
            if len(run.cell.answers) == len(items[run.benchmark]):
                yield run


def _run(folder: Folder, plan: EvalPlan, names: Names, method: str) -> Run:
    _, benchmark, variant = names
    answers, facts = folder.answers(*names), plan.variants[variant]
    cell = score_answers(
        BENCHMARKS[benchmark], read_items(folder.items(benchmark)), read_answers(answers), {}
    )
    return Run(
        folder.root.name,
        benchmark,
        method,
        variant,
        facts["method"],
        facts["settings"],
        plan.benchmarks[benchmark]["max_tokens"],
        read_times(answers).get("seconds"),
        _evaluated(answers),
        cell,
    )


def _evaluated(answers: Path) -> dict[str, int]:
    """The tokens that each role's model evaluated for all answers of a file."""
    counts = BlendCounts()
    read_back(answers, lambda line: counts.add(blend_of(line)))
    return {"base": counts.base_tokens, "guide": counts.guide_tokens}


def write(folder: Path, data: PairData) -> Path:
    """Write the file of a pair; the same data give the same bytes."""
    head = {"pair": data.pair, **data.facts, "runs": [run.to_json() for run in data.runs]}
    lines = [head, *(line for run in data.runs for line in _answers(run))]
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    path = folder / f"{data.pair}.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return path


def _answers(run: Run) -> Iterator[dict[str, Any]]:
    for key, answer in run.cell.answers.items():
        verdict = run.cell.verdicts[key]
        yield {
            "task": run.task,
            "method": run.variant,
            "custom_id": key,
            "text": answer.text,
            "stopped_by": answer.stopped_by,
            **{name: getattr(answer, name) for name in COUNTS},
            "scores": dict(verdict.scores),
            **({"weights": dict(verdict.weights)} if verdict.weights else {}),
        }


def read(path: Path) -> PairData:
    """The file of a pair."""
    head, *lines = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    by_run: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        by_run.setdefault((line["task"], line["method"]), []).append(line)
    runs = tuple(
        Run(**facts, cell=_cell(by_run[facts["task"], facts["variant"]])) for facts in head.pop("runs")
    )
    return PairData(head.pop("pair"), head, runs)


def _cell(lines: Sequence[Mapping[str, Any]]) -> KeptCell:
    answers = {
        line["custom_id"]: KeptAnswer(line["text"], line["stopped_by"], *(line[name] for name in COUNTS))
        for line in lines
    }
    verdicts = {line["custom_id"]: Verdict(line["scores"], None, line.get("weights", {})) for line in lines}
    return KeptCell(answers, verdicts, {})
