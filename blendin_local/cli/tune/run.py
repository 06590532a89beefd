"""What `blendin tune` does: find the questions, open the pair, run the trials, say what they mean.

Here: the order of things, what is said, what is written, and the exit code.
Not here: the command (`cli.tune.command`), the protocol and its verdict (`jobs.tune`), the table
(`views.tune`).
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from blendin_local._version import __version__
from blendin_local.cli.common.interrupt import Interrupt, stop_on_interrupt
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.printing import print_json
from blendin_local.cli.common.progress import batch_progress
from blendin_local.cli.common.session import interaction, settle
from blendin_local.cli.tune.options import TrialOptions, TuneOutputOptions
from blendin_local.core.methods import Role, roles_of
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.jsonl_file import replace_file
from blendin_local.jobs.batch.manifest import first_run_date, model_facts, settings_facts
from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.jobs.batch.rows import RowDefaults
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item, subset
from blendin_local.jobs.preparation import n_parallel_for, open_for_rows
from blendin_local.jobs.tune.search import default_of, protocol, target_rate_search
from blendin_local.jobs.tune.trials import Provenance, Trial, TrialRunner, run_search
from blendin_local.jobs.tune.user_dataset import user_dataset
from blendin_local.jobs.tune.verdict import TuneReport, judge
from blendin_local.models.config_file import write_pair
from blendin_local.models.registry import user_file
from blendin_local.models.store import Store
from blendin_local.pair.pair import MAX_PARALLEL, Pair
from blendin_local.pair.resolve import ResolvedPair, locate_files
from blendin_local.settings import CALIBRATED_ALPHA, BlendSettings, require_between
from blendin_local.views.answer import counted, percent
from blendin_local.views.streams import lasting_stderr
from blendin_local.views.theme import make_console
from blendin_local.views.tune import conclusion, tune_view

REPORT = "report.json"
NOT_FITTED = (
    "alpha calibrated was left out: no temperatures are fitted for this pair (blendin check fits them)"
)


@dataclass(frozen=True)
class TuneCommand:
    """One call of `blendin tune`."""

    data: str
    out: Path
    trials: TrialOptions
    models: ModelOptions
    runtime: RuntimeOptions
    answer: AnswerOptions
    output: TuneOutputOptions

    def session(self) -> SessionOptions:
        """The session to open: method blendin with the paper's defaults, greedy."""
        blend = BlendOptions(method="blendin", threshold=0.4, alpha="auto")
        return SessionOptions(self.models, self.runtime, blend, SamplingOptions(temp=0.0), self.answer)


@dataclass(frozen=True)
class _Ready:
    """Everything that is known before the models are loaded."""

    command: TuneCommand
    prepared: ResolvedPair
    benchmark: Benchmark
    items: list[Item]
    paths: dict[Role, Path]
    err: Console

    def say(self, sentence: str, style: str = "footer") -> None:
        self.err.print(sentence, style=style, soft_wrap=True)


def run_tune(command: TuneCommand) -> None:
    """Tune a pair.

    Raises:
        UsageError: Questions, settings or the directory are not right.
        typer.Exit: A signal stopped it.
    """
    err = make_console(lasting_stderr())
    err.quiet = command.output.quiet
    if command.models.base_prompt_file or command.models.guide_prompt_file:
        raise UsageError("exact prompts would be the same for every question", "leave the prompt files out")
    if command.trials.target_rate is not None:
        require_between("target-rate", command.trials.target_rate, 0, 1)
    benchmark, items = _questions(command)
    prepared = settle(command.session(), err).dated(_begun_on(command.out))
    name = _pair_name(command, prepared)
    paths = locate_files(prepared, roles_of("blendin"), interaction(err))
    ready = _Ready(command, prepared, benchmark, items, paths, err)
    with stop_on_interrupt(terminate=True) as interrupt:
        try:
            report = _trials(ready, interrupt)
        except KeyboardInterrupt:  # while weights were read
            raise typer.Exit(interrupt.exit_code) from None
    if report is not None:
        _show(command, report)
    if report is None or not report.finished:
        _say_how_to_go_on(ready, report)
        raise typer.Exit(interrupt.exit_code)
    if command.output.write:
        _write(ready, name, report)


def _begun_on(folder: Path) -> date | None:
    """The date that templates were told in the trials that are there."""
    return next(filter(None, map(first_run_date, sorted(folder.glob("*.manifest.json")))), None)


def _questions(command: TuneCommand) -> tuple[Benchmark, list[Item]]:
    if command.data in BENCHMARKS:
        benchmark = BENCHMARKS[command.data]
        items = benchmark.load()
    else:
        path = Path(command.data)
        try:
            benchmark = user_dataset(path)
        except UsageError as error:
            raise UsageError(error.message, f"{error.hint} ({', '.join(BENCHMARKS)})") from None
        items = benchmark.load(path.parent)
    limit = command.trials.limit
    items = items if limit is None else subset(items, limit)
    if len(items) < 2:
        raise UsageError(f"{command.data} has {counted(len(items), 'question')}", "give at least two")
    return benchmark, items


def _pair_name(command: TuneCommand, prepared: ResolvedPair) -> str:
    name = command.output.name or prepared.pair_name
    if command.output.write and not name:
        raise UsageError("the pair that --write would write has no name", "give it one with --name")
    return name


def _ground(ready: _Ready) -> TrialRunner:
    command, plan, benchmark = ready.command, ready.prepared, ready.benchmark
    answer = ready.prepared.answer
    if command.answer.max_tokens is None:
        answer = replace(answer, max_tokens=benchmark.max_tokens)
    said = command.answer.system_text()
    system = (benchmark.system or plan.system) if said is None else said
    defaults = RowDefaults(plan.blend, ready.prepared.sampling, answer, system)
    origin = Provenance(
        models=model_facts(ready.paths, Store.default()),
        settings=lambda own: settings_facts(plan.setup, own, data=benchmark.name),
        facts={"versions": {"blendin-local": __version__, "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION}},
    )
    return TrialRunner(command.out, benchmark, ready.items, defaults, origin)


def _trials(ready: _Ready, interrupt: Interrupt) -> TuneReport | None:
    """Run what is left of the trials; None where not even the first is finished."""
    ground, target = _ground(ready), ready.command.trials.target_rate
    default = default_of(ready.prepared.blend)
    calibrated = _calibrated(default)
    notes = () if calibrated else (NOT_FITTED,)
    tried: dict[BlendSettings, Trial] = {}

    def stopped() -> bool:
        return interrupt.requested

    with ExitStack() as stack:

        @cache
        def pair() -> Pair:
            return stack.enter_context(open_for_rows(_setup(ready), stopped))

        @contextmanager
        def watch(blend: BlendSettings, progress: BatchProgress) -> Iterator[Callable[[BatchProgress], None]]:
            ready.say(f"trial {len(tried) + 1}: threshold {blend.threshold:g}, alpha {blend.alpha_name}")
            with batch_progress(ready.err, progress) as listen:
                yield listen

        def run(blend: BlendSettings) -> Trial | None:
            return ground.run(blend, pair, stopped, watch)

        finished = run_search([protocol(default, calibrated)], run, tried)
        if finished and target is not None:
            chosen = judge(ready.benchmark, tried).chosen.blend
            finished = run_search([target_rate_search(chosen, target)], run, tried)
    if not tried:
        return None
    report = judge(ready.benchmark, tried, target, finished=finished, notes=notes)
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
    replace_file(ready.command.out / REPORT, [text.encode()])
    return report


def _calibrated(default: BlendSettings) -> list[BlendSettings]:
    """The defaults with alpha `calibrated`, where the pair's temperatures are known."""
    if default.base_temperature is None or default.guide_temperature is None:
        return []
    return [replace(default, alpha=CALIBRATED_ALPHA)]


def _setup(ready: _Ready) -> Any:  # noqa: ANN401
    setup = ready.prepared.setup.with_files(ready.paths)
    wanted = ready.command.trials.parallel or n_parallel_for(setup.files(), len(ready.items))
    return replace(setup, n_parallel=min(wanted, MAX_PARALLEL))


def _show(command: TuneCommand, report: TuneReport) -> None:
    if command.output.json:
        print_json(report.to_json())
    else:
        make_console(sys.stdout).print(tune_view(report))


def _say_how_to_go_on(ready: _Ready, report: TuneReport | None) -> None:
    ready.err.quiet = False
    done = 0 if report is None else len(report.trials)
    again = shlex.join(["blendin", *sys.argv[1:]])
    ready.say(f"stopped: {counted(done, 'trial')} finished and on disk; go on: {again}", "none")


def _write(ready: _Ready, name: str, report: TuneReport) -> None:
    plan, chosen = ready.prepared, report.chosen
    models = {} if plan.pair_name == name else {str(role): ref for role, ref in plan.references.items()}
    values = {"threshold": chosen.blend.threshold, "alpha": chosen.blend.alpha_name, **models}
    path = user_file()
    write_pair(path, name, values, _evidence(report))
    ready.say(f"written to {path}: [pairs.{name}]")


def _evidence(report: TuneReport) -> list[str]:
    """What the choice rests on, for the comment beside it."""
    chosen, default, score = report.chosen, report.default, report.chosen.score
    gain = report.difference(chosen, default)
    lines = [
        f"blendin tune on {report.benchmark.name}, {counted(len(default.verdicts), 'question')},"
        f" {counted(len(report.trials), 'setting')} tried",
        f"{report.benchmark.main_figure} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}],"
        f" guide asked at {percent(chosen.intervention_rate)}",
    ]
    if chosen is not default:
        lines.append(
            f"defaults {default.figure:.3f}, difference {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
    return [*lines, conclusion(report)]
