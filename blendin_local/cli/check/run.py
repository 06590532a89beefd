"""`blendin check`: options to a spec, the job, then its report on the terminal, as JSON or as a page.

Not here: the options (`cli.check.options`), the check itself (`jobs.check.job`), how a report looks
(`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from blendin_local.cli.check.options import CheckOptions, CheckReportOptions
from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.progress import ProgressLine, show_progress
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.errors import BlendinError, PairError, UsageError, WriteError
from blendin_local.files import write_private
from blendin_local.jobs.check.job import CheckSpec, run_check
from blendin_local.jobs.check.measure import CheckProgress
from blendin_local.jobs.check.report import CheckReport, keep_temperatures
from blendin_local.jobs.preparation import require_name
from blendin_local.pair.resolve import PairSpec
from blendin_local.reports.check_page import check_page
from blendin_local.views.check import check_view
from blendin_local.views.theme import Consoles

NOT_ASKED = "nothing was asked: the guide has no chat template; give one with --guide-chat-template-file"
STAGES = {
    "answers": "prompts answered",
    "probe": "answers to the probe",
    "text": "passages of the reference text read",
}


def check_pair(what: CheckOptions, output: CheckReportOptions, session: SessionOptions) -> None:
    """Check a pair, show what was found, and keep the temperatures where that was asked for.

    Raises:
        UsageError: Options, settings or prompts are not right.
        WriteError: The page cannot be written.
        typer.Exit: A signal stopped it, or the guide cannot be prompted; what was found is shown.
    """
    consoles = open_consoles(models_file=session.models.models_file)
    err = consoles.err
    err.quiet = output.quiet
    spec = _spec(what, pair_spec(session))
    if what.write:
        _require_writable(what, spec.pair)
    note = partial(print_note, err)
    with stop_on_interrupt(terminate=True) as interrupt:
        try:
            with show_progress(err, progress_line) as on_progress:
                report = run_check(
                    spec,
                    on_progress=on_progress,
                    on_note=note,
                    should_stop=lambda: interrupt.requested,
                    interaction=interaction(err),
                )
        except KeyboardInterrupt:  # before there was anything to show
            raise typer.Exit(interrupt.exit_code or 130) from None
    _show(report, output, consoles)
    if not report.complete:
        _leave(err, "stopped before everything was measured, so there is no verdict", interrupt.exit_code)
    if not (what.static or report.can_be_prompted):
        _leave(err, NOT_ASKED, PairError.exit_code)
    if what.write:
        _keep(report, what.name or "", err)


def _leave(err: Console, sentence: str, exit_code: int) -> NoReturn:
    """Say why, also under --quiet. The report is on stdout already, so that no error may follow it there."""
    err.quiet = False
    print_note(err, sentence, style="none")
    raise typer.Exit(exit_code)


def _spec(what: CheckOptions, pair: PairSpec) -> CheckSpec:
    return CheckSpec(
        pair=pair,
        prompts=what.prompts,
        prompt_field=what.field,
        skip_invalid=what.skip_invalid,
        limit=what.limit,
        files_only=what.static,
        n_parallel=what.parallel,
        probe=what.probe,
    )


def _require_writable(what: CheckOptions, pair: PairSpec) -> None:
    if what.static:
        raise UsageError("--static measures nothing that could be written", "leave out --static or --write")
    require_name(pair, what.name or "")


def progress_line(now: CheckProgress) -> ProgressLine:
    """Prompts that are answered, those of the probe, then passages that are read."""
    stage = STAGES[now.stage]
    return ProgressLine(f"{stage} {now.done} of {now.total}", "", now.done, now.total, stage)


def _show(report: CheckReport, output: CheckReportOptions, consoles: Consoles) -> None:
    if output.html is not None:
        _save(output.html, check_page(report))
        print_note(consoles.err, f"report: {output.html}")
    if output.json:
        print_json(report.to_json())
    else:
        consoles.out.print(check_view(report))


def _save(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written: {error.strerror or error}", "choose another place"
        ) from error


def _keep(report: CheckReport, name: str, err: Console) -> None:
    try:
        path = keep_temperatures(report, name)
    except BlendinError as error:
        _leave(err, ": ".join(filter(None, (error.message, error.hint))), error.exit_code)
    pair = name or report.pair_name
    print_note(err, f"pair {pair}: temperatures written to {path}; use them with --alpha calibrated")
