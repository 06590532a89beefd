"""What `blendin eval` does: options to a spec, the job, its report on screen and as files.

Here: what is shown, what is written, and the exit code.
Not here: the command (`cli.eval.command`), the evaluation (`jobs.evaluation.job`), how its report looks
(`views.evaluation`, `reports.evaluation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.progress import print_stopped, show_progress
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.cli.eval.options import EvalReportOptions, ItemOptions, JudgeOptions, WhatOptions
from blendin_local.cli.eval.progress import eval_line
from blendin_local.jobs.evaluation.job import run_eval
from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.jobs.evaluation.spec.variants import split_methods
from blendin_local.reports.evaluation.files import report_json, write_reports
from blendin_local.views.evaluation.terminal import report_tables


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
    report: EvalReportOptions

    def spec(self) -> EvalSpec:
        """What the options ask for.

        Raises:
            UsageError: An option has a wrong value, or a file it names cannot be read.
        """
        what, items = self.what, self.items
        session = SessionOptions(self.models, self.runtime, self.blend, SamplingOptions(), AnswerOptions())
        return EvalSpec(
            out=self.out,
            pair=pair_spec(session),
            pairs=_names(what.pairs),
            benchmarks=_names(what.benchmarks),
            methods=split_methods(what.methods),
            sweeps=tuple(what.sweep or ()),
            aligned=what.aligned,
            temperature=what.temp or 0.0,
            min_p=what.min_p or 0.0,
            seeds=what.seeds,
            likelihood=what.likelihood,
            checks=tuple(what.check or ()),
            limit=items.limit,
            full=items.full,
            data=items.data,
            seed=items.seed,
            max_tokens=items.max_tokens,
            n_parallel=items.parallel,
            judge_url=self.judge.judge,
            judge_model=self.judge.judge_model,
            score_only=self.report.score_only,
            retry_errors=self.report.retry_errors,
            with_steps=self.report.steps,
        )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def evaluate(command: EvalCommand) -> None:
    """Run the evaluation and report.

    Raises:
        UsageError: A name or a setting is invalid, or the folder cannot be used.
        typer.Exit: A signal stopped it; the report of the finished rows was written.
    """
    consoles = open_consoles(models_file=command.models.models_file)
    err = consoles.err
    err.quiet = command.report.quiet
    with stop_on_interrupt(terminate=True) as interrupt:
        with show_progress(err, eval_line) as on_progress:
            result = run_eval(
                command.spec(),
                on_progress=on_progress,
                on_note=lambda sentence: print_note(err, sentence),
                should_stop=lambda: interrupt.requested,
                interaction=interaction(err),
            )
        files = write_reports(command.out, result.report)
        _show(result.report, consoles.out, as_json=command.report.json)
        print_note(err, f"report: {', '.join(map(str, files.values()))}")
    if interrupt.requested:
        print_stopped(err, "what was finished is kept")
        raise typer.Exit(interrupt.exit_code)


def _show(report: Report, out: Console, *, as_json: bool) -> None:
    if as_json:
        print_json(report_json(report), indent=1)
        return
    for part in report_tables(report):
        out.print(part)
