"""From the words of `blendin eval` to what is run: questions, models, methods.

Here: `EvalCommand`, `make_sheets`, `make_lineups`, `make_plan`.
Not here: the order of things (`cli.eval.run`), the run itself (`jobs.evaluation.run.run`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from blendin_local._version import __version__
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.printing import print_note
from blendin_local.cli.common.session import interaction, settle
from blendin_local.cli.eval.options import ItemOptions, JudgeOptions, ReportOptions, WhatOptions
from blendin_local.core.methods import METHODS, Role, roles_of
from blendin_local.decode.loaded_model import guide_template
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.manifest import model_facts
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.dataset.items import Benchmark, subset
from blendin_local.jobs.evaluation.run.folder import Folder, digest, write_items
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, benchmark_facts, read_plan
from blendin_local.jobs.evaluation.spec.tasks import Entrant, Task
from blendin_local.jobs.evaluation.spec.variants import (
    ALIGNED,
    Variant,
    named_variants,
    old_name_notes,
    variants_of,
)
from blendin_local.models.store import Store
from blendin_local.pair.resolve import ResolvedPair, locate_files

SHIPPED = 100  # questions of a benchmark, unless more or fewer are wanted


@dataclass(frozen=True)
class EvalCommand:
    """One call of `blendin eval`."""

    out: Path
    what: WhatOptions
    items: ItemOptions
    models: ModelOptions
    runtime: RuntimeOptions
    blend: BlendOptions
    judge: JudgeOptions
    report: ReportOptions


def make_sheets(command: EvalCommand) -> tuple[Task, ...]:
    """The questions of each benchmark.

    Raises:
        UsageError: A benchmark is unknown, its data cannot be read, or holds too few questions.
    """
    options = command.items
    n = _how_many(options)
    sheets = []
    for benchmark in _benchmarks(command.what.benchmarks):
        items = benchmark.load(options.data, options.seed)
        wanted = items if n is None else subset(items, n, options.seed)
        sheets.append(Task(benchmark, tuple(wanted), _most(options, benchmark)))
    return tuple(sheets)


def _how_many(options: ItemOptions) -> int | None:
    """How many questions of each benchmark; None for all."""
    if options.full and options.limit is not None:
        raise UsageError(f"--full contradicts --limit {options.limit}", "leave one of them out")
    n = None if options.full else options.limit or SHIPPED
    if options.data is None and (n is None or n > SHIPPED):
        wanted = "--full" if n is None else f"--limit {n}"
        raise UsageError(f"{wanted}: only {SHIPPED} questions of each are shipped", "name a folder by --data")
    return n


def _benchmarks(words: str | None) -> list[Benchmark]:
    names = [word.strip() for word in words.split(",") if word.strip()] if words else list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            raise UsageError(f"there is no benchmark {name!r}", f"choose some of {', '.join(BENCHMARKS)}")
    return [BENCHMARKS[name] for name in names]


def make_lineups(command: EvalCommand, err: Console) -> tuple[Entrant, ...]:
    """The models of each pair and what they run; missing files are fetched where that was asked for.

    Raises:
        UsageError: A name or a setting is wrong.
        ModelNotFoundError: A file is not here.
        PairError: A guide cannot be prompted.
    """
    if command.models.base_prompt_file or command.models.guide_prompt_file:
        raise UsageError("exact prompts would be the same for every question", "leave the prompt files out")
    if command.blend.method:
        raise UsageError("--method names one method", "name several with --methods")
    names = [word.strip() for word in (command.what.pairs or "").split(",") if word.strip()]
    chosen = [replace(command.models, pair=name, base=None, guide=None) for name in names] or [command.models]
    lineups: list[Entrant] = []
    for models in chosen:
        own = _lineup(command, models, err)
        lineups.append(own)
        if command.what.aligned:
            lineups.append(_aligned(command, own, err))
    return tuple(lineups)


def _lineup(command: EvalCommand, models: ModelOptions, err: Console) -> Entrant:
    named = named_variants(command.what.methods, command.what.sweep or ())
    for note in old_name_notes(named):
        print_note(err, note)
    roles = {role for variant in named for role in roles_of(variant.method)}
    ready = _prepare(command, models, _widest(roles), err).dated(_begun_on(command))
    variants = variants_of(command.what.methods, command.what.sweep or (), ready.blend)
    paths = locate_files(ready, roles, interaction(err))
    _require_template(ready, paths)
    alone: list[Role] = [role for role in roles_of("blendin") if any(v.method == role for v in variants)]
    return Entrant(
        pair=ready.pair_name or _pair_name(paths),
        plan=ready,
        paths=paths,
        models=_facts(paths),
        variants=variants,
        readings=tuple(alone) if command.what.likelihood else (),
        stop=ready.setup.template.stop,
    )


def _aligned(command: EvalCommand, own: Entrant, err: Console) -> Entrant:
    """The aligned model of the base, alone; everything else is as for the pair."""
    models = replace(command.models, pair=None, base=None, guide=command.what.aligned)
    ready = _prepare(command, models, "guide", err).dated(_begun_on(command))
    paths = locate_files(ready, ["guide"], interaction(err))
    _require_template(ready, paths)
    return replace(
        own,
        plan=ready,
        paths=paths,
        models=_facts(paths),
        variants=(Variant(ALIGNED, "guide"),),
        readings=(),
    )


def _require_template(ready: ResolvedPair, paths: Mapping[Role, Path]) -> None:
    """Refuse a guide that cannot be prompted before anything runs, not when its turn comes."""
    if "guide" in paths:
        guide_template(paths["guide"], read_header(paths["guide"]).chat_template, ready.setup.guide_template)


def _prepare(command: EvalCommand, models: ModelOptions, method: str, err: Console) -> ResolvedPair:
    blend = command.blend.having(method=method)
    session = SessionOptions(models, command.runtime, blend, SamplingOptions(), AnswerOptions())
    return settle(session, err, every_model=True)


def _begun_on(command: EvalCommand) -> date | None:
    """The date that templates were told when the evaluation was begun."""
    found = read_plan(Folder(command.out))
    dates = [facts.get("date") for facts in found.pairs.values()] if found else []
    return next((date.fromisoformat(text) for text in dates if isinstance(text, str)), None)


def _widest(roles: set[Role]) -> str:
    """A method that needs all these models, so that all are named."""
    return next(name for name in METHODS if roles <= set(roles_of(name)))


def _pair_name(paths: Mapping[Role, Path]) -> str:
    return "+".join(path.stem for path in paths.values())


def _facts(paths: Mapping[Role, Path]) -> dict[str, Any]:
    facts: dict[str, Any] = model_facts(paths, Store.default())
    return facts


def make_plan(
    command: EvalCommand, sheets: Sequence[Task], lineups: Sequence[Entrant], folder: Folder
) -> EvalPlan:
    """The plan, once the questions lie in the folder."""
    for sheet in sheets:
        write_items(folder.make(folder.items(sheet.benchmark.name)), sheet.items)
    names = [sheet.benchmark.name for sheet in sheets]
    return EvalPlan(
        protocol=_protocol(command),
        pairs=_pairs(lineups),
        benchmarks={sheet.benchmark.name: _benchmark_facts(command, sheet, folder) for sheet in sheets},
        variants={
            variant.name: {"method": variant.method, "settings": dict(variant.settings)}
            for lineup in lineups
            for variant in lineup.variants
        },
        cells=tuple(
            (lineup.pair, name, variant.name)
            for lineup in lineups
            for name in names
            for variant in lineup.variants
        ),
        readings=tuple(
            (lineup.pair, sheet.benchmark.name, role)
            for lineup in lineups
            for sheet in sheets
            if sheet.benchmark.likelihood
            for role in lineup.readings
        ),
        versions={"blendin-local": __version__, "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION},
    )


def _protocol(command: EvalCommand) -> dict[str, Any]:
    options, judge = command.items, command.judge
    found: dict[str, Any] = {
        "seed": options.seed,
        "subset": "all" if options.full else options.limit or SHIPPED,
        "data": "given" if options.data else "shipped",
        "sampling": "greedy",
    }
    return {**found, "judge": judge.judge_model} if judge.judge else found


def _pairs(lineups: Sequence[Entrant]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for lineup in lineups:
        aligned = any(variant.name == ALIGNED for variant in lineup.variants)
        models = {
            ALIGNED if aligned else role: {**facts, **_weights(lineup.paths[role])}  # type: ignore[index]
            for role, facts in lineup.models.items()
        }
        if aligned:
            pairs[lineup.pair]["models"].update(models)
            continue
        plan = lineup.plan
        pairs[lineup.pair] = {
            "models": models,
            "template": plan.setup.template.name,
            "thinking": plan.setup.thinking,
            "date": plan.setup.date.isoformat(),
            "blend": {name: value for name, value in asdict(plan.blend).items() if name != "method"},
        }
    return pairs


def _weights(path: Path) -> dict[str, Any]:
    header = read_header(path)
    return {"weights": header.parameters, "quantization": header.quantization}


def _benchmark_facts(command: EvalCommand, sheet: Task, folder: Folder) -> dict[str, Any]:
    benchmark = sheet.benchmark
    reasons = Counter(left.reason for left in benchmark.left_out(command.items.data))
    questions = digest(folder.items(benchmark.name))
    return benchmark_facts(
        benchmark, sheet.max_tokens, len(sheet.items), questions, dict(sorted(reasons.items()))
    )


def _most(options: ItemOptions, benchmark: Benchmark) -> int:
    """Steps of an answer: never more than a benchmark needs."""
    return min(options.max_tokens or benchmark.max_tokens, benchmark.max_tokens)
