"""What `blendin batch` does: options to a spec, the job, and how it went.

Here: `run`; the summary and the exit code.
Not here: the command (`cli.batch.command`), the job (`jobs.batch.job`), progress (`cli.common.progress`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from blendin_local.cli.batch.options import BatchReportOptions, RowOptions
from blendin_local.cli.common.asking import confirmation
from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.progress import (
    batch_figures,
    batch_progress,
    duration,
    print_stopped,
    row_count,
)
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.errors import RowsFailedError
from blendin_local.jobs.batch.job import BatchResult, BatchSpec, run_batch
from blendin_local.jobs.batch.progress import Shard

NOT_REPEATED = {"--restart", "--adopt", "--yes", "-y"}  # by the command that resumes


def run(
    source: Path, out: Path, rows: RowOptions, report: BatchReportOptions, session: SessionOptions
) -> None:
    """Answer a file of prompts.

    Raises:
        UsageError: Rows, files or settings are wrong; nothing was answered.
        RowsFailedError: All rows are finished, but some have no answer.
        typer.Exit: A signal stopped it, or rows failed and the summary is on stdout.
    """
    err = open_consoles(models_file=session.models.models_file).err
    err.quiet = report.quiet
    spec = _spec(source, out, rows, report, session)
    with stop_on_interrupt(terminate=True) as interrupt:
        with batch_progress(err) as on_progress:
            result = run_batch(
                spec,
                on_progress=on_progress,
                on_note=partial(print_note, err),
                should_stop=lambda: interrupt.requested,
                confirm=confirmation(err, yes=rows.yes),
                interaction=interaction(err),
            )
        if report.json:
            print_json(result.to_json())
        if result.dry_run:
            _show_dry_run(err, result, report)
            return
        _show(err, result)
        if result.stopped:
            raise typer.Exit(interrupt.exit_code)
        if result.progress.failed:
            _fail(err, result, report)
        answered = row_count(result.progress.answered)
        print_note(err, f"nothing is left; {answered} answered: {result.paths.answers}")


def _spec(
    source: Path, out: Path, rows: RowOptions, report: BatchReportOptions, session: SessionOptions
) -> BatchSpec:
    return BatchSpec(
        source,
        out,
        pair=pair_spec(session),
        prompt_field=rows.field,
        n_parallel=rows.parallel,
        limit=rows.limit,
        shard=Shard() if rows.shard is None else Shard.parse(rows.shard, os.environ),
        with_steps=report.steps,
        skip_invalid=rows.skip_invalid,
        retry_errors=rows.retry_errors,
        overwrite=rows.restart,
        adopt=rows.adopt,
        dry_run=rows.dry_run,
    )


def _show(err: Console, result: BatchResult) -> None:
    progress = result.progress
    finished = progress.answered + progress.failed
    if progress.finished_now:
        figures = batch_figures(replace(progress, failed=0, wanted=finished))
        print_note(err, f"{row_count(progress.finished_now)} in {duration(progress.seconds)} · {figures}")
    if result.stopped:
        kept = f"{finished} of {row_count(progress.wanted)} are finished and on disk"
        print_stopped(err, kept if progress.wanted else "no row was answered", without=NOT_REPEATED)


def _fail(err: Console, result: BatchResult, report: BatchReportOptions) -> None:
    failure = RowsFailedError(
        f"{result.progress.failed} of {row_count(result.progress.wanted)} have no answer",
        f"{result.paths.errors} says why; --retry-errors answers them again",
    )
    if not report.json:
        raise failure
    print_note(err, f"{failure.message}: {failure.hint}")
    raise typer.Exit(failure.exit_code)


def _show_dry_run(err: Console, result: BatchResult, report: BatchReportOptions) -> None:
    if report.json:
        return
    progress = result.progress
    invalid = f", {result.invalid} of them invalid" if result.invalid else ""
    for line in (
        f"{row_count(result.rows)}{invalid}; this run selects {progress.wanted} of them",
        f"{progress.answered} are answered, {progress.failed} have failed, {progress.left} are left",
        f"methods: {', '.join(sorted(result.methods))}",
    ):
        print_note(err, line, style="none")
