"""What `blendin eval` does: settle everything, answer what is left, have it judged, write the report.

Here: the order of things, what is said, and the exit code.
Not here: the command (`cli.eval.command`), what its words mean (`cli.eval.setup`), the run
(`jobs.evaluation`).
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace

import typer
from rich.console import Console

from blendin_local.cli.common.interrupt import Interrupt, stop_on_interrupt
from blendin_local.cli.common.printing import print_json
from blendin_local.cli.eval.progress import eval_progress
from blendin_local.cli.eval.setup import EvalCommand, make_entrants, make_plan, make_tasks
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.progress import BatchOptions
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.run.answers import read_answers
from blendin_local.jobs.evaluation.run.judge import Judge, judge_answers
from blendin_local.jobs.evaluation.run.rubrics import RUBRICS
from blendin_local.jobs.evaluation.run.run import run_tasks
from blendin_local.jobs.evaluation.score.checks import facts_of, read_check
from blendin_local.jobs.evaluation.score.report import Report, build_report
from blendin_local.jobs.evaluation.spec.plan import CHECK, EvalPlan, keep_plan, read_plan
from blendin_local.jobs.evaluation.spec.tasks import RunConfig
from blendin_local.jobs.evaluation.spec.variants import ALIGNED
from blendin_local.jobs.preparation import open_for_rows
from blendin_local.reports.evaluation.files import report_json, write_reports
from blendin_local.views.evaluation.terminal import report_tables
from blendin_local.views.streams import lasting_stderr
from blendin_local.views.theme import make_console


@dataclass(frozen=True)
class _Run:
    """One call, and where it speaks."""

    command: EvalCommand
    folder: Folder
    err: Console

    def say(self, sentence: str) -> None:
        self.err.print(sentence, style="footer", soft_wrap=True)


def run_eval(command: EvalCommand) -> None:
    """Compare, and report.

    Raises:
        UsageError: Something is not right with names, settings or the folder.
        typer.Exit: A signal stopped it; the report of what there is was written.
    """
    err = make_console(lasting_stderr())
    err.quiet = command.report.quiet
    run = _Run(command, Folder(command.out), err)
    judge = _judge(command)
    with stop_on_interrupt(terminate=True) as interrupt:
        plan = _kept_plan(run, judge) if command.report.score_only else _answer(run, interrupt)
        plan = _keep_checks(run, plan)
        if judge is not None and not interrupt.requested:
            _have_judged(run, plan, judge, interrupt)
        report = build_report(run.folder)
        write_reports(run.folder.root, report)
        _show(run, report)
    if interrupt.requested:
        err.quiet = False
        run.say(f"stopped: what was finished is kept; go on: {shlex.join(['blendin', *sys.argv[1:]])}")
        raise typer.Exit(interrupt.exit_code)


def _judge(command: EvalCommand) -> Judge | None:
    options = command.judge
    if options.judge is None:
        if options.judge_model is not None:
            raise UsageError("--judge-model names the model of a judge", "give its address with --judge")
        return None
    return Judge(options.judge, options.judge_model or "")


def _kept_plan(run: _Run, judge: Judge | None) -> EvalPlan:
    plan = read_plan(run.folder)
    if plan is None:
        raise UsageError(f"{run.folder.root} holds no evaluation", "begin one without --score-only")
    if judge is None:
        return plan
    return keep_plan(run.folder, replace(plan, protocol={**plan.protocol, "judge": judge.model}))


def _keep_checks(run: _Run, plan: EvalPlan) -> EvalPlan:
    """What was found out about the pairs, put beside them."""
    checks = [read_check(path) for path in run.command.what.check or ()]
    found = {}
    for pair, facts in plan.pairs.items():
        files = {role: model["file"] for role, model in facts["models"].items() if role != ALIGNED}
        if (own := facts_of(checks, pair, files)) is not None:
            found[pair] = {CHECK: own}
    if checks and not found:
        raise UsageError(
            "no check belongs to a pair of this evaluation", f"its pairs are {', '.join(plan.pairs)}"
        )
    return keep_plan(run.folder, replace(plan, pairs=found)) if found else plan


def _answer(run: _Run, interrupt: Interrupt) -> EvalPlan:
    """Everything that needs a model."""
    command = run.command
    tasks = make_tasks(command)
    entrants = make_entrants(command, run.err)
    plan = keep_plan(run.folder, make_plan(command, tasks, entrants, run.folder))
    config = RunConfig(
        parallel=command.items.parallel,
        options=BatchOptions(with_steps=command.report.steps, retry_errors=command.report.retry_errors),
    )
    try:
        with eval_progress(run.err) as listen:
            run_tasks(
                entrants,
                tasks,
                run.folder,
                config,
                open_pair=open_for_rows,
                should_stop=lambda: interrupt.requested,
                listen=listen,
            )
    except KeyboardInterrupt:  # while weights were read
        raise typer.Exit(interrupt.exit_code) from None
    return plan


def _have_judged(run: _Run, plan: EvalPlan, judge: Judge, interrupt: Interrupt) -> None:
    """A verdict on every answer that a judge is asked about."""
    wanted = [names for names in plan.cells if names[1] in RUBRICS]
    for number, names in enumerate(wanted, 1):
        run.say(f"judging {' · '.join(names)} ({number} of {len(wanted)})")
        answers = {
            key: answer
            for key, answer in read_answers(run.folder.answers(*names)).items()
            if not answer.failed
        }
        judge_answers(
            judge,
            RUBRICS[names[1]],
            read_items(run.folder.items(names[1])),
            answers,
            run.folder.judged(*names),
            should_stop=lambda: interrupt.requested,
        )


def _show(run: _Run, report: Report) -> None:
    if run.command.report.json:
        print_json(report_json(report), indent=1)
    else:
        out = make_console(sys.stdout)
        for part in report_tables(report):
            out.print(part)
    names = ", ".join(str(run.folder.report(ending)) for ending in ("html", "md", "svg", "json"))
    run.say(f"report: {names}")
