"""What `blendin check` does: read the prompts, open the pair, measure, report, write.

Here: the order of things, what is said, and the exit code.
Not here: the command (`cli.check.command`), measuring (`jobs.check`), the reports (`views.check`,
`reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from blendin_local.cli.check.options import CheckOptions, CheckReportOptions
from blendin_local.cli.common.interrupt import Interrupt, stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json
from blendin_local.cli.common.session import interaction, settle
from blendin_local.core.methods import Role
from blendin_local.errors import BlendinError, PairError, UsageError, WriteError
from blendin_local.files import write_private
from blendin_local.jobs.batch.rows import InvalidRow, Row, RowDefaults
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.check.record import Check, check_to_json
from blendin_local.jobs.check.run import CheckPlan, Listener, full_check, static_check
from blendin_local.jobs.check.static import ROLES
from blendin_local.jobs.check.texts import prompts_file, reference_passages
from blendin_local.jobs.preparation import n_parallel_for
from blendin_local.models.config_file import write_pair
from blendin_local.models.registry import user_file
from blendin_local.pair.pair import MAX_PARALLEL, Pair, Request
from blendin_local.pair.resolve import ResolvedPair, locate_files
from blendin_local.reports.check_page import check_page
from blendin_local.settings import CheckSettings
from blendin_local.views.check import check_view
from blendin_local.views.streams import lasting_stderr
from blendin_local.views.theme import make_console, make_consoles

STAGES = {"answers": "answers", "text": "reference text"}


@dataclass(frozen=True)
class _Command:
    """One call, and where it speaks."""

    what: CheckOptions
    report: CheckReportOptions
    session: SessionOptions
    err: Console

    def say(self, sentence: str, style: str = "footer") -> None:
        self.err.print(sentence, style=style, soft_wrap=True)


def run_check(what: CheckOptions, report: CheckReportOptions, session: SessionOptions) -> None:
    """Check a pair.

    Raises: UsageError: Options, settings or prompts are not right. WriteError: The report or the settings
        cannot be written. typer.Exit: A signal stopped it, or the guide cannot be prompted; the report of
        what there is was given.
    """
    err = make_console(lasting_stderr())
    err.quiet = report.quiet
    command = _Command(what, report, session, err)
    if session.models.base_prompt_file or session.models.guide_prompt_file:
        raise UsageError("exact prompts would be the same for every question", "leave the prompt files out")
    ready = settle(session, err, every_model=True)
    missing = [role for role in ROLES if role not in ready.references]
    if missing:
        raise UsageError(f"a check needs a {missing[0]}", f"name one with --{missing[0]}")
    pair_name = _name_to_write(command, ready) if what.write else ""
    requests = _requests(command, ready)
    paths = locate_files(ready, ROLES, interaction(err))
    with stop_on_interrupt(terminate=True) as interrupt:
        try:
            check = _measure(command, ready, paths, requests, interrupt)
        except KeyboardInterrupt:  # while weights were read
            raise typer.Exit(interrupt.exit_code) from None
    _give(command, check)
    _leave_if_unfinished(command, check, interrupt)
    if what.write:
        _write(command, check, pair_name)


def _name_to_write(command: _Command, ready: ResolvedPair) -> str:
    if command.what.static:
        raise UsageError("--static measures nothing that could be written", "leave out --static or --write")
    name = command.what.name or ready.pair_name
    if not name:
        raise UsageError("two models without a name cannot be written", "give the pair one with --name")
    return name


def _requests(command: _Command, ready: ResolvedPair) -> list[Request]:
    """The prompts, all asked with the settings of the command line; bad rows are listed."""
    what, limits, opened = command.what, CheckSettings(), ready
    source = what.prompts or prompts_file()
    asked = command.session.answer.max_tokens or limits.max_tokens
    answer = replace(ready.answer, max_tokens=asked, top_logprobs=opened.blend.top_k)
    defaults = RowDefaults(opened.blend, ready.sampling, answer, ready.system)

    def on_invalid(fault: InvalidRow) -> None:
        if not what.skip_bad:
            command.say(f"{source}:{fault.line}: {fault.message}", "none")

    scan = scan_rows(source, what.field, defaults, on_invalid)
    if scan.invalid and (not what.skip_bad or scan.invalid == scan.rows):
        raise UsageError(
            f"{scan.invalid} of {scan.rows} rows of {source} are bad",
            "correct them, or leave them out with --skip-bad",
        )
    rows = [row.request for row in scan.read() if isinstance(row, Row)][: what.limit or limits.n_prompts]
    return [Request(r.key, r.messages, opened.blend, ready.sampling, answer) for r in rows]


def _measure(
    command: _Command,
    ready: ResolvedPair,
    paths: Mapping[Role, Path],
    requests: list[Request],
    interrupt: Interrupt,
) -> Check:
    setup = ready.setup.with_files(paths)
    parallel = min(
        command.what.parallel or n_parallel_for(setup.files(), len(requests)), MAX_PARALLEL, len(requests)
    )
    plan = CheckPlan(
        setup=replace(setup, n_parallel=parallel),
        references={role: ready.references[role] for role in ROLES},
        pair_name=ready.pair_name,
        requests=requests,
        passages=reference_passages(),
        threshold=ready.blend.threshold,
    )
    check = static_check(plan, lambda: interrupt.requested)
    if command.what.static or not check.sheet.models["guide"].template:
        return check
    with Pair(plan.setup, lambda: interrupt.requested) as pair, _progress(command.err) as listen:
        return full_check(plan, check, pair, lambda: interrupt.requested, listen)


@contextmanager
def _progress(err: Console) -> Iterator[Listener]:
    """A bar on a terminal, a line for each stage elsewhere."""
    if err.quiet or not err.is_terminal or err.is_dumb_terminal:
        yield _stage_lines(err)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}", markup=False),
    )
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def listen(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(STAGES[stage], total=total)
            progress.update(tasks[stage], completed=done)

        yield listen


def _stage_lines(err: Console) -> Callable[[str, int, int], None]:
    def listen(stage: str, done: int, total: int) -> None:
        if done == total:
            err.print(f"{STAGES[stage]}: {done} of {total} done", style="footer", soft_wrap=True)

    return listen


def _give(command: _Command, check: Check) -> None:
    """The findings, where they were asked for."""
    if command.report.html is not None:
        _save(command.report.html, check_page(check))
        command.say(f"report: {command.report.html}")
    if command.report.json:
        print_json(check_to_json(check))
    else:
        make_consoles().out.print(check_view(check))


def _save(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written: {error.strerror or error}", "choose another place"
        ) from error


def _leave_if_unfinished(command: _Command, check: Check, interrupt: Interrupt) -> None:
    command.err.quiet = False
    if not check.complete:
        command.say("stopped: what was measured is not the whole, so there is no verdict", "none")
        raise typer.Exit(interrupt.exit_code)
    if not (command.what.static or check.sheet.models["guide"].template):
        command.say(
            "nothing was asked: the guide cannot be prompted without a chat template; give one with "
            "--guide-chat-template-file",
            "none",
        )
        raise typer.Exit(PairError.exit_code)


def _write(command: _Command, check: Check, name: str) -> None:
    """Keep the temperatures; a pair that is not known by that name gets its models too."""
    if not check.temperatures:
        command.say("no temperatures could be fitted, so nothing was written", "none")
        raise typer.Exit(PairError.exit_code)
    places = min(found.everywhere.places for found in check.calibration.values())
    models = {} if name == check.pair_name else {str(r): name for r, name in check.references.items()}
    comment = f"fitted by blendin check, {datetime.now(UTC):%Y-%m-%d}", f"{places} places"
    try:
        write_pair(user_file(), name, {**check.temperatures, **models}, comment)
    except BlendinError as error:  # the report is on stdout already
        command.say(f"{error.message}: {error.hint}", "none")
        raise typer.Exit(error.exit_code) from error
    command.say(f"pair {name}: temperatures written to {user_file()}; use them with --alpha calibrated")
