"""`blendin tune`: options to a spec, the job, then its report on the terminal or as JSON.

Not here: the options (`cli.tune.options`), the search (`jobs.tune.job`), the table (`views.tune`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.progress import ProgressLine, batch_line, print_stopped, show_progress
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.cli.tune.options import TrialOptions, TuneOutputOptions
from blendin_local.core.methods import STEERED
from blendin_local.jobs.preparation import require_name
from blendin_local.jobs.tune.job import TuneProgress, TuneSpec, run_tune
from blendin_local.jobs.tune.report import TuneReport, keep_settings, require_guide
from blendin_local.views.answer import counted
from blendin_local.views.tune import tune_view

NOTHING_WRITTEN = "nothing was written: no steering was better than none"


def tune_pair(
    data: str | None, out: Path, trials: TrialOptions, session: SessionOptions, output: TuneOutputOptions
) -> None:
    """Tune a pair, show what was found, and write it where that was asked for.

    Raises:
        UsageError: Questions, settings or the directory are not right.
        typer.Exit: A signal stopped it.
    """
    consoles = open_consoles(models_file=session.models.models_file)
    err = consoles.err
    err.quiet = output.quiet
    spec = TuneSpec(
        data,
        out,
        pair_spec(session),
        trials.limit,
        trials.target_rate,
        trials.parallel,
        trials.purpose,
        trials.method,
    )
    if output.write:
        _require_writable(spec, output.name or "")
    with stop_on_interrupt(terminate=True) as interrupt, show_progress(err, progress_line) as on_progress:
        report = run_tune(
            spec,
            on_progress=on_progress,
            on_note=partial(print_note, err),
            should_stop=lambda: interrupt.requested,
            interaction=interaction(err),
        )
    if report is not None:
        _show(report, output, consoles.out)
    if report is None or not report.finished:
        n = 0 if report is None else len(report.trials)
        print_stopped(err, f"{counted(n, 'trial')} finished and on disk")
        raise typer.Exit(interrupt.exit_code)
    if output.write:
        name = output.name or report.pair_name
        path = keep_settings(report, name)
        print_note(err, f"written to {path}: [pairs.{name}]" if path else NOTHING_WRITTEN)


def _require_writable(spec: TuneSpec, name: str) -> None:
    """Raise `UsageError` where a pair that is to be written would have no name or no guide."""
    pair = spec.pair
    require_name(pair, name)
    if spec.method == STEERED and pair.base and not pair.pair:
        require_guide(["guide"] if pair.guide else [])


def progress_line(now: TuneProgress) -> ProgressLine:
    """The trial with its setting, and how far its answers are."""
    batch = batch_line(now.batch)
    trial = f"trial {now.trial}: {now.setting.name}"
    return ProgressLine(f"{trial}, {batch.label}", batch.figures, batch.completed, batch.total, trial)


def _show(report: TuneReport, output: TuneOutputOptions, out: Console) -> None:
    if output.json:
        print_json(report.to_json())
    else:
        out.print(tune_view(report))
