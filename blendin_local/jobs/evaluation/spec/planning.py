"""The plan of an evaluation, made from its questions and its entrants.

Here: `make_plan`.
Not here: the record itself and how it joins that of earlier runs (`plan`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blendin_local.engine.gguf.header import read_header
from blendin_local.jobs.evaluation.folder import Folder, digest, write_items
from blendin_local.jobs.evaluation.spec.entrants import Entrant
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, benchmark_facts
from blendin_local.jobs.evaluation.spec.tasks import SHIPPED, Task
from blendin_local.jobs.evaluation.spec.variants import ALIGNED
from blendin_local.jobs.preparation import versions


def make_plan(spec: EvalSpec, tasks: Sequence[Task], entrants: Sequence[Entrant], folder: Folder) -> EvalPlan:
    """The plan, once the questions are written to the folder.

    Raises:
        UsageError: The folder holds other questions.
        WriteError: The disk refuses.
    """
    for task in tasks:
        write_items(folder.make(folder.items(task.benchmark.name)), task.items)
    return EvalPlan(
        protocol=_protocol(spec),
        pairs=_pairs(entrants),
        benchmarks={task.benchmark.name: _benchmark_facts(spec, task, folder) for task in tasks},
        variants={variant.name: variant.to_json() for entrant in entrants for variant in entrant.variants},
        cells=tuple(
            (entrant.pair, task.benchmark.name, variant.name)
            for entrant in entrants
            for task in tasks
            for variant in entrant.variants
        ),
        likelihoods=tuple(
            (entrant.pair, task.benchmark.name, role)
            for entrant in entrants
            for task in tasks
            if task.benchmark.likelihood
            for role in entrant.likelihood_roles
        ),
        versions=versions(),
    )


def _protocol(spec: EvalSpec) -> dict[str, Any]:
    protocol: dict[str, Any] = {
        "seed": spec.seed,
        "subset": "all" if spec.full else spec.limit or SHIPPED,
        "data": "given" if spec.data else "shipped",
        "sampling": "greedy",
    }
    return {**protocol, "judge": spec.judge_model} if spec.judge_url else protocol


def _pairs(entrants: Sequence[Entrant]) -> dict[str, Any]:
    """The facts about each pair for a report; an aligned model is one of the models of its pair."""
    pairs: dict[str, Any] = {}
    for entrant in entrants:
        aligned = any(variant.name == ALIGNED for variant in entrant.variants)
        models = {
            ALIGNED if aligned else role: {**entrant.models[role], **_weights(path)}
            for role, path in entrant.paths.items()
        }
        if aligned:
            pairs[entrant.pair]["models"].update(models)
            continue
        setup, blend = entrant.resolved.setup, entrant.resolved.blend
        pairs[entrant.pair] = {
            "models": models,
            "template": setup.template.name,
            "thinking": setup.thinking,
            "date": setup.date.isoformat(),
            "blend": {name: value for name, value in asdict(blend).items() if name != "method"},
        }
    return pairs


def _weights(path: Path) -> dict[str, Any]:
    header = read_header(path)
    return {"weights": header.parameters, "quantization": header.quantization}


def _benchmark_facts(spec: EvalSpec, task: Task, folder: Folder) -> dict[str, Any]:
    benchmark = task.benchmark
    reasons = Counter(left.reason for left in benchmark.left_out(spec.data))
    questions = digest(folder.items(benchmark.name))
    return benchmark_facts(
        benchmark, task.max_tokens, len(task.items), questions, dict(sorted(reasons.items()))
    )
