"""What `blendin batch` does: check every row, open the pair, answer, say how it went.

Here: the order of things, what is said, and the exit code.
Not here: the command (`cli.batch.command`), rows and files (`jobs.batch`), progress
(`cli.common.progress`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from blendin_local._version import __version__
from blendin_local.cli.batch.adoption import adoption_lines
from blendin_local.cli.batch.options import ReportOptions, RowOptions
from blendin_local.cli.common.interrupt import Interrupt, stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json
from blendin_local.cli.common.progress import (
    batch_figures,
    batch_progress,
    duration,
    print_stopped,
    row_count,
)
from blendin_local.cli.common.session import interaction, settle
from blendin_local.core.methods import METHODS, Role, roles_of
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.errors import RowsFailedError, UsageError
from blendin_local.jobs.batch.adoption import Adoption, answered_on
from blendin_local.jobs.batch.batch import Batch
from blendin_local.jobs.batch.manifest import (
    DamagedManifestError,
    Identity,
    begun_on,
    model_facts,
    settings_facts,
)
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, BatchProgress, FinishedRows, Shard
from blendin_local.jobs.batch.resume import remove_results
from blendin_local.jobs.batch.rows import InvalidRow, RowDefaults
from blendin_local.jobs.batch.scan import Scan, scan_rows
from blendin_local.jobs.preparation import n_parallel_for, open_for_rows
from blendin_local.models.store import Store
from blendin_local.pair.pair import MAX_PARALLEL
from blendin_local.pair.resolve import ResolvedPair, locate_files
from blendin_local.views.streams import lasting_stderr
from blendin_local.views.theme import make_console
from blendin_local.views.visible import escape_controls


@dataclass(frozen=True)
class _Command:
    """One call of `blendin batch`."""

    places: BatchPaths
    rows: RowOptions
    report: ReportOptions
    session: SessionOptions
    options: BatchOptions
    err: Console

    def say(self, sentence: str, style: str = "footer") -> None:
        self.err.print(escape_controls(sentence), style=style, soft_wrap=True)

    def require_yes(self, question: str) -> None:
        """Raise `UsageError` unless the user agrees."""
        if self.rows.yes:
            return
        if sys.stdin is None or not (sys.stdin.isatty() and self.err.is_terminal):
            raise UsageError(f"{question} nobody can answer here", "add --yes to agree")
        if self.err.input(f"{question} [y/N] ", markup=False).strip().lower() not in {"y", "yes"}:
            raise UsageError("nothing was done", "")

    def adopt(self, found: Adoption) -> None:
        """Show what would be taken over, and ask."""
        self.err.quiet = False
        for line in adoption_lines(found):
            self.say(line, "none")
        self.err.quiet = self.report.quiet
        self.require_yes(f"take this over, and write {self.places.manifest}?")


def run_batch(
    source: Path, out: Path, rows: RowOptions, report: ReportOptions, session: SessionOptions
) -> None:
    """Answer a file of prompts.

    Raises:
        UsageError: Rows, files or settings are not right; nothing was answered.
        RowsFailedError: It went through, but some rows have no answer.
        typer.Exit: A signal stopped it, or rows failed and the summary is on stdout.
    """
    err = make_console(lasting_stderr())
    err.quiet = report.quiet
    options = BatchOptions(_shard(rows.shard), rows.limit, report.steps, rows.retry_errors)
    command = _Command(BatchPaths.of(source, out), rows, report, session, options, err)
    if rows.restart and rows.adopt:
        raise UsageError("--restart throws away what --adopt takes over", "leave one of them out")
    if session.models.base_prompt_file or session.models.guide_prompt_file:
        raise UsageError("exact prompts would be the same for every row", "leave the prompt files out")
    ready = settle(session, err, every_model=True)
    scan = _scan(command, ready)
    if rows.dry_run:
        kept = FinishedRows.read(scan, command.places, retry_errors=options.retry_errors)
        _report_dry_run(command, kept.progress(options), scan)
        return
    if rows.restart:
        _restart(command)
    ready = ready.dated(_begun(command))
    roles: set[Role] = {role for method in scan.methods for role in roles_of(method)}
    paths = locate_files(ready, roles, interaction(err))
    identity = _identity(command, ready, paths, scan)
    with stop_on_interrupt(terminate=True) as interrupt:
        try:
            with Batch.open(
                scan,
                command.places,
                options,
                identity,
                _facts(command.places, scan),
                adopt=command.adopt if rows.adopt else None,
            ) as batch:
                progress = _answer(command, ready, paths, batch, interrupt)
        except KeyboardInterrupt:  # while weights were read
            raise typer.Exit(interrupt.exit_code) from None
        _report(command, scan, progress, interrupt)


def _begun(command: _Command) -> date | None:
    """The date of the first run: in its manifest, or, where that is to be made anew, in its answers."""
    adopt = command.rows.adopt
    try:
        found = begun_on(command.places.manifest)
    except DamagedManifestError:
        if not adopt:
            raise
        found = None
    return found or (answered_on(command.places.answers) if adopt else None)


def _shard(text: str | None) -> Shard:
    if text is None:
        return Shard()
    part, slash, of = text.partition("/")
    if not (slash and part.isdecimal() and of.isdecimal()):
        raise UsageError(f"--shard is {text!r}", "give I/N, such as 1/4")
    return Shard(int(part), int(of))


def _scan(command: _Command, ready: ResolvedPair) -> Scan:
    """Read every row; all that is wrong is said before anything is loaded."""
    opened, skip = ready, command.rows.skip_bad
    allowed = tuple(name for name in METHODS if set(roles_of(name)) <= set(opened.references))
    defaults = RowDefaults(opened.blend, ready.sampling, ready.answer, ready.system, allowed)
    source = command.places.source

    def on_fault(fault: InvalidRow) -> None:
        if not skip:
            command.say(f"{source}:{fault.line}: {fault.message}", "none")

    scan = scan_rows(source, command.rows.field, defaults, on_fault)
    if scan.bad and not skip:
        raise UsageError(
            f"{scan.bad} of {scan.rows} rows of {source} are bad",
            "correct them, or leave them out with --skip-bad",
        )
    if scan.bad == scan.rows:
        raise UsageError(f"all {scan.rows} rows of {source} are bad", "see them without --skip-bad")
    if scan.unused:
        command.say(f"note: fields that are not used: {', '.join(scan.unused)}")
    return scan


def _restart(command: _Command) -> None:
    places = command.places
    if not any(path.exists() for path in (places.answers, places.errors, places.manifest)):
        return
    command.require_yes(f"throw away what is in {places.answers}?")
    remove_results(places)


def _identity(command: _Command, ready: ResolvedPair, paths: Mapping[Role, Path], scan: Scan) -> Identity:
    options = command.options
    return Identity(
        input={"sha256": scan.sha256, "size": scan.size},
        models=model_facts(paths, Store.default()),
        settings=settings_facts(
            ready.setup,
            scan.defaults,
            field=scan.prompt_field,
            shard=f"{options.shard.part}/{options.shard.of}",
            steps=options.with_steps,
        ),
    )


def _answer(
    command: _Command, ready: ResolvedPair, paths: Mapping[Role, Path], batch: Batch, interrupt: Interrupt
) -> BatchProgress:
    """Load the pair and answer what is left; nothing is loaded where nothing is."""
    progress = batch.progress()
    for note in batch.notes:
        command.say(f"note: {note}")
    if not progress.left or interrupt.requested:
        return progress
    parallel = _parallel(command, ready, paths, progress.left)
    finished = progress.answered + progress.failed
    command.say(
        f"{row_count(progress.wanted)}"
        + (f", {finished} of them finished before" if finished else "")
        + f"; {parallel} at once"
    )
    setup = replace(ready.setup.with_files(paths), n_parallel=parallel)
    with (
        open_for_rows(setup, lambda: interrupt.requested) as pair,
        batch_progress(command.err, progress) as listen,
    ):
        return batch.answer(pair, lambda: interrupt.requested, listen)


def _parallel(command: _Command, ready: ResolvedPair, paths: Mapping[Role, Path], rows: int) -> int:
    setup = ready.setup.with_files(paths)
    if command.rows.parallel is None and any(s.reproducible for _, s in setup.files().values()):
        return 1  # in shared batches an answer depends on who else is in them
    return min(command.rows.parallel or n_parallel_for(setup.files(), rows), MAX_PARALLEL)


def _facts(places: BatchPaths, scan: Scan) -> dict[str, Any]:
    return {
        "files": {
            "input": str(places.source),
            "answers": places.answers.name,
            "errors": places.errors.name,
        },
        "rows": {"all": scan.rows, "bad": scan.bad},
        "versions": {"blendin-local": __version__, "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION},
    }


def _report(command: _Command, scan: Scan, progress: BatchProgress, interrupt: Interrupt) -> None:
    """Say how it went, and leave with the exit code that says the same."""
    places = command.places
    stopped = bool(interrupt.requested and progress.left)
    if command.report.json:
        print_json(_summary(places, scan, progress, "stopped" if stopped else "finished"))
    done = progress.answered + progress.failed
    if progress.finished_now:
        command.say(
            f"{row_count(progress.finished_now)} in {duration(progress.seconds)} · "
            f"{batch_figures(replace(progress, failed=0, wanted=done))}"
        )
    if stopped:
        kept = f"{done} of {row_count(progress.wanted)} are finished and on disk"
        print_stopped(command.err, kept, without={"--restart", "--adopt", "--yes", "-y"})
        raise typer.Exit(interrupt.exit_code)
    if progress.failed:
        _fail(command, progress)
    command.say(f"nothing is left; {row_count(progress.answered)} answered: {places.answers}")


def _fail(command: _Command, progress: BatchProgress) -> None:
    failure = RowsFailedError(
        f"{progress.failed} of {progress.wanted} rows have no answer",
        f"{command.places.errors} says why; --retry-errors asks them again",
    )
    if not command.report.json:
        raise failure
    command.say(f"{failure.message}: {failure.hint}")
    raise typer.Exit(failure.exit_code)


def _summary(places: BatchPaths, scan: Scan, progress: BatchProgress, state: str) -> dict[str, Any]:
    files = {name: str(getattr(places, name)) for name in ("answers", "errors", "manifest")}
    rows = {"all": scan.rows, "bad": scan.bad}
    return {"state": state, "files": files, "rows": rows, **progress.to_json()}


def _report_dry_run(command: _Command, progress: BatchProgress, scan: Scan) -> None:
    if command.report.json:
        print_json(_summary(command.places, scan, progress, "dry run"))
        return
    bad = f", {scan.bad} of them bad" if scan.bad else ""
    lines = [
        f"{scan.rows} rows{bad}; this run would see {progress.wanted} of them",
        f"{progress.answered} are answered, {progress.failed} have failed, {progress.left} are left",
        f"methods: {', '.join(sorted(scan.methods))}",
    ]
    for line in lines:
        command.say(line, "none")
