"""The batch job: a file of prompts in, a file of answers out; `blendin batch` as a function.

Here: `run_batch`; `BatchSpec`, what it is asked to do; `BatchResult`, what it returns.
Not here: the rows (`rows`, `scan`), the open files and the answers (`batch`), options and messages of the
command line (`cli.batch`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from blendin_local.core.methods import Role, roles_of
from blendin_local.decode.search import SCORING
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.adoption import AdoptableAnswers, first_answer_date
from blendin_local.jobs.batch.batch import Batch
from blendin_local.jobs.batch.manifest import (
    DamagedManifestError,
    Identity,
    first_run_date,
    model_facts,
    settings_facts,
)
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, BatchProgress, FinishedRows, Shard
from blendin_local.jobs.batch.resume import remove_results
from blendin_local.jobs.batch.rows import InvalidRow
from blendin_local.jobs.batch.scan import Scan, scan_rows
from blendin_local.jobs.preparation import (
    choose_n_parallel,
    open_for_rows,
    refuse_exact_prompts,
    settle,
    suppress_stop,
    versions,
)
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.models.store import Store
from blendin_local.pair.resolve import (
    NO_INTERACTION,
    Interaction,
    PairSpec,
    ResolvedPair,
    locate_files,
)
from blendin_local.pair.roles import check_roles


@dataclass(frozen=True)
class BatchSpec:
    """Which prompts to answer, with which pair, into which file.

    Attributes:
        source: The prompts: JSON Lines, `.csv`, `.tsv`, or `.txt` with one prompt per line.
        out: The answers, as JSON Lines. If the file exists, the batch is resumed. Errors and the manifest are
            written beside it.
        pair: The models and the settings of rows that set nothing themselves; by default the default pair.
        prompt_field: The field or column that holds the prompt; None means `prompt`.
        n_parallel: How many rows to answer at once; None chooses by memory and cores.
        limit: How many rows to answer at most, from the first; None for all.
        shard: Which part of the rows to answer, a `Shard` or `I/N`: every N-th row, starting with row I.
        with_steps: Whether answers have the record of every step.
        skip_invalid: Whether to record invalid rows as errors and answer the others; otherwise one invalid
            row stops the batch before anything is loaded.
        retry_errors: Whether to answer rows again that failed in earlier runs.
        overwrite: Whether to delete earlier answers, once `confirm` agrees.
        adopt: Whether to resume from answers that have no whole manifest, once `confirm` agrees.
        dry_run: Whether to check and count the rows only; no model is loaded and nothing is written.
    """

    source: str | Path
    out: str | Path
    pair: PairSpec = field(default_factory=PairSpec)
    prompt_field: str | None = None
    n_parallel: int | None = None
    limit: int | None = None
    shard: Shard | str = field(default_factory=Shard)
    with_steps: bool = False
    skip_invalid: bool = False
    retry_errors: bool = False
    overwrite: bool = False
    adopt: bool = False
    dry_run: bool = False

    @property
    def paths(self) -> BatchPaths:
        """The files of the batch; `UsageError` if the output cannot be written."""
        return BatchPaths.of(Path(self.source), Path(self.out))

    @property
    def options(self) -> BatchOptions:
        """What the open batch needs to know; `UsageError` if there is no such shard."""
        shard = Shard.parse(self.shard) if isinstance(self.shard, str) else self.shard
        return BatchOptions(shard, self.limit, self.with_steps, self.retry_errors)


@dataclass(frozen=True)
class BatchResult:
    """The result of a batch.

    Attributes:
        paths: Its files.
        progress: How many rows are answered, have failed and are left, and the counts of all answers.
        rows: Rows of the input, invalid ones included.
        invalid: Invalid rows of the input.
        methods: The methods that the rows use.
        dry_run: Whether the rows were only checked.
        stopped: Whether `should_stop` ended it early; the same spec resumes it.
    """

    paths: BatchPaths
    progress: BatchProgress
    rows: int = 0
    invalid: int = 0
    methods: frozenset[str] = frozenset()
    dry_run: bool = False
    stopped: bool = False

    def answers(self) -> Iterator[dict[str, Any]]:
        """The lines of the answers, in the order in which their rows were finished."""
        if self.paths.answers.exists():  # it does not if every row failed
            with self.paths.answers.open("rb") as file:
                yield from map(json.loads, file)

    def to_json(self) -> dict[str, Any]:
        """The summary that `blendin batch --json` prints."""
        state = "dry run" if self.dry_run else "stopped" if self.stopped else "finished"
        files = {name: str(getattr(self.paths, name)) for name in ("answers", "errors", "manifest")}
        rows = {"all": self.rows, "bad": self.invalid}
        return {"state": state, "files": files, "rows": rows, **self.progress.to_json()}


def refuse(question: str) -> bool:
    """The default of `confirm`: the user cannot be asked.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"this needs a yes: {question.splitlines()[-1]}", "pass run_batch a callback `confirm` that agrees"
    )


def run_batch(
    spec: BatchSpec,
    *,
    on_progress: Callable[[BatchProgress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    confirm: Callable[[str], bool] = refuse,
    interaction: Interaction = NO_INTERACTION,
) -> BatchResult:
    """Answer a file of prompts, or resume it: rows that are finished are not answered again.

    Args:
        spec: What to do.
        on_progress: Called when answering begins, after each row, and at times in between.
        on_note: Called with a sentence that a user may want to know.
        should_stop: Polled. Once it is true, unfinished rows are dropped and `stopped` is true in the result.
        confirm: Called with a question, for `adopt` after lines that describe what is there; whether to go
            ahead. By default it raises `UsageError`.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Raises:
        UsageError: The rows, the files or the settings are wrong; nothing was answered.
        ModelNotFoundError: A model is missing and was not to be downloaded, or could not be.
        LoadError: A model cannot be loaded.
        PairError: The models cannot be used as asked.
        WriteError: A file cannot be written, or something else changed it; finished rows are kept.
    """
    job = _Job(spec, spec.paths, spec.options, on_progress, on_note, should_stop, confirm, interaction)
    if spec.overwrite and spec.adopt:
        raise UsageError("earlier answers cannot be both overwritten and adopted", "choose one of the two")
    refuse_exact_prompts(spec.pair)
    with suppress_stop(should_stop):
        return job.run()
    return BatchResult(job.paths, BatchProgress(0, 0, 0), stopped=True)


@dataclass(frozen=True)
class _Job:
    """One call of `run_batch`."""

    spec: BatchSpec
    paths: BatchPaths
    options: BatchOptions
    on_progress: Callable[[BatchProgress], None]
    on_note: Callable[[str], None]
    should_stop: Callable[[], bool]
    confirm: Callable[[str], bool]
    interaction: Interaction

    def run(self) -> BatchResult:
        spec, options = self.spec, self.options
        resolved = settle(replace(spec.pair, every_model=True), self.interaction, self.on_note)
        scan = self.scan(resolved)
        if spec.dry_run:
            finished = FinishedRows.read(scan, self.paths, retry_errors=options.retry_errors)
            return self.result(scan, finished.progress(options))
        if spec.overwrite:
            self.remove_earlier()
        resolved = resolved.dated(self.first_date())
        roles: set[Role] = {role for method in scan.methods for role in roles_of(method, resolved.references)}
        roles.update(SCORING if scan.n_slots else ())
        files = locate_files(resolved, roles, self.interaction)
        for notice in check_roles(resolved, files, roles):
            self.on_note(f"note: {notice}")
        identity = self.identity(resolved, files, scan)
        adopt = self.require_adoption if spec.adopt else None
        with Batch.open(scan, self.paths, options, identity, self.facts(scan), adopt=adopt) as batch:
            with suppress_stop(self.should_stop):
                self.answer(resolved, files, batch, scan.n_slots)
            return self.result(scan, batch.progress())

    def scan(self, resolved: ResolvedPair) -> Scan:
        """Read every row; all that is wrong is reported before anything is loaded."""
        source, skip = self.paths.source, self.spec.skip_invalid
        defaults = RequestDefaults(
            resolved.blend,
            resolved.sampling,
            resolved.answer,
            resolved.system,
            resolved.methods,
            tuple(resolved.references),
        )

        def on_invalid(row: InvalidRow) -> None:
            if not skip:
                self.on_note(f"{source}:{row.line}: {row.message}")

        scan = scan_rows(source, self.spec.prompt_field, defaults, on_invalid, self.should_stop)
        if scan.invalid and not skip:
            raise UsageError(
                f"{scan.invalid} of {scan.rows} rows of {source} are invalid",
                "correct them, or leave them out with --skip-invalid",
            )
        if scan.invalid == scan.rows:
            raise UsageError(
                f"all {scan.rows} rows of {source} are invalid", "see why without --skip-invalid"
            )
        if scan.unused:
            self.on_note(f"note: fields that are not used: {', '.join(scan.unused)}")
        return scan

    def remove_earlier(self) -> None:
        paths = self.paths
        if any(path.exists() for path in (paths.answers, paths.errors, paths.manifest)):
            self.require_yes(f"delete the answers in {paths.answers}?")
            remove_results(paths)

    def require_adoption(self, found: AdoptableAnswers) -> None:
        self.require_yes("\n".join([*found.describe(), f"adopt them, and write {self.paths.manifest}?"]))

    def require_yes(self, question: str) -> None:
        if not self.confirm(question):
            raise UsageError("cancelled: nothing was changed")

    def first_date(self) -> date | None:
        """The date of the first run: from its manifest or, if that is to be rewritten, from its answers."""
        try:
            found = first_run_date(self.paths.manifest)
        except DamagedManifestError:
            if not self.spec.adopt:
                raise
            found = None
        return found or (first_answer_date(self.paths.answers) if self.spec.adopt else None)

    def identity(self, resolved: ResolvedPair, files: Mapping[Role, Path], scan: Scan) -> Identity:
        return Identity(
            input={"sha256": scan.sha256, "size": scan.size},
            models=model_facts(files, Store.default(), self.should_stop),
            settings=settings_facts(
                resolved.setup,
                scan.defaults,
                field=scan.prompt_field,
                shard=str(self.options.shard),
                steps=self.options.with_steps,
            ),
        )

    def facts(self, scan: Scan) -> dict[str, Any]:
        paths = self.paths
        files = {"input": str(paths.source), "answers": paths.answers.name, "errors": paths.errors.name}
        return {"files": files, "rows": {"all": scan.rows, "bad": scan.invalid}, "versions": versions()}

    def answer(self, resolved: ResolvedPair, files: Mapping[Role, Path], batch: Batch, n_slots: int) -> None:
        """Load the pair and answer what is left; nothing is loaded if nothing is.

        Args:
            resolved: The pair.
            files: Its models.
            batch: The rows.
            n_slots: How many sequences of each model there must be at least.
        """
        progress = batch.progress()
        for note in batch.notes:
            self.on_note(f"note: {note}")
        if not progress.left or self.should_stop():
            return
        setup = resolved.setup.with_files(files)
        n_parallel = max(n_slots, choose_n_parallel(setup, self.spec.n_parallel, progress.left))
        finished = progress.answered + progress.failed
        before = f", {finished} of them finished before" if finished else ""
        self.on_note(
            f"{progress.wanted} row{'s' if progress.wanted > 1 else ''}{before}; {n_parallel} at once"
        )
        with open_for_rows(replace(setup, n_parallel=n_parallel, n_search=n_slots), self.should_stop) as pair:
            self.on_progress(batch.progress())
            batch.answer(pair, self.should_stop, self.on_progress)

    def result(self, scan: Scan, progress: BatchProgress) -> BatchResult:
        return BatchResult(
            paths=self.paths,
            progress=progress,
            rows=scan.rows,
            invalid=scan.invalid,
            methods=scan.methods,
            dry_run=self.spec.dry_run,
            stopped=bool(not self.spec.dry_run and progress.left and self.should_stop()),
        )
