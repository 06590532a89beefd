"""An open batch: answer the rows that are left, and see that the files hold the answers.

Here: `Batch`; `BatchPair`, what it needs of a pair.
Not here: the whole job (`job`), validation (`scan`), the files (`paths`, `jsonl_file`, `manifest`), which
rows are finished (`progress`), what is checked before a run resumes (`resume`).
A row is finished once its line is on disk, in the answers or in the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError, UsageError, WriteError
from blendin_local.jobs.batch.adoption import AdoptableAnswers
from blendin_local.jobs.batch.formats import BlendCounts, answer_line, blend_of, error_line
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile
from blendin_local.jobs.batch.manifest import Identity, Manifest
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import (
    ANSWERED,
    FAILED,
    LEFT,
    BatchOptions,
    BatchProgress,
    FinishedRows,
)
from blendin_local.jobs.batch.resume import ADOPTED, drop_failed_rows, manifest_to_resume
from blendin_local.jobs.batch.rows import InvalidRow, Row
from blendin_local.jobs.batch.scan import Scan
from blendin_local.pair.pair import Request

COUNTED = ("wanted", "answered", "failed", "left")
REPORT_EVERY_S = 0.5  # while no row is finished; counting a million rows takes a millisecond


class BatchPair(Protocol):
    """What a batch needs of a pair."""

    @property
    def tokens_evaluated(self) -> int:
        """Tokens that the models have evaluated so far."""
        ...

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool], watch: Callable[[], None]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing; call `watch` between evaluations."""
        ...


class Batch:
    """A batch whose files are locked. Open it with `open`, then call `answer`.

    Args:
        scan: The input.
        paths: The files.
        options: What to do.
        finished: The rows that are finished.
        files: The answers and the errors.
        manifest: The manifest.

    Attributes:
        notes: What the user should know about the files as they were found.
    """

    def __init__(
        self,
        scan: Scan,
        paths: BatchPaths,
        options: BatchOptions,
        *,
        finished: FinishedRows,
        files: tuple[AppendOnlyFile, AppendOnlyFile],
        manifest: Manifest,
    ) -> None:
        self.scan, self.paths, self.options = scan, paths, options
        self.finished, self.manifest = finished, manifest
        self._answers, self._errors = files
        self._blend_now = BlendCounts()
        self._finished_now = 0
        self._tokens_now = 0
        self._began = self._reported = monotonic()
        self.notes = [
            f"removed an incomplete last line of {file.path} ({file.torn:,} bytes); its row is answered again"
            for file in files
            if file.torn
        ]

    @classmethod
    @contextmanager
    def open(
        cls,
        scan: Scan,
        paths: BatchPaths,
        options: BatchOptions,
        identity: Identity,
        facts: Mapping[str, Any],
        *,
        adopt: Callable[[AdoptableAnswers], None] | None = None,
    ) -> Iterator[Batch]:
        """Lock the files and read which rows are finished.

        Args:
            scan: The input.
            paths: The files.
            options: What to do.
            identity: What must be equal in all runs.
            facts: Versions and file names for the manifest.
            adopt: Called with the answers that have no whole manifest; raises if they are not to be adopted.
                None: they never are.

        Raises:
            UsageError: Another run is writing the files, or they belong to another batch.
            WriteError: They cannot be written.
        """
        with AppendOnlyFile.locked(paths.answers) as answers, ExitStack() as stack:
            found = manifest_to_resume(scan, paths, identity, adopt)
            if options.retry_errors:
                drop_failed_rows(paths)
            errors = stack.enter_context(AppendOnlyFile.locked(paths.errors, create=False))
            finished = FinishedRows(scan, paths)
            answers.read(finished.add_answer)
            errors.read(finished.add_error)
            manifest = Manifest(paths.manifest, identity, facts, dict(found.get("times", {})))
            batch = cls(scan, paths, options, finished=finished, files=(answers, errors), manifest=manifest)
            batch._update_manifest(found)
            yield batch

    def _update_manifest(self, found: Mapping[str, Any]) -> None:
        """Write the manifest where nothing else does: on adoption, or after a kill after the last row."""
        progress, state = self.progress(), found.get("state")
        was = {name: found.get("counts", {}).get(name) for name in COUNTED}
        now = {name: getattr(progress, name) for name in COUNTED}
        counted = was["answered"] if was["wanted"] == now["wanted"] else 0
        if isinstance(counted, int) and counted > now["answered"]:
            self.notes.append(
                f"{self.paths.answers} has {now['answered']} of the {counted} answers that its manifest "
                "counts: the others are answered again"
            )
        if state == ADOPTED or (found and not progress.left and (state, was) != ("finished", now)):
            self.manifest.write("stopped" if progress.left else "finished", progress.to_json())

    def progress(self) -> BatchProgress:
        """How far the batch is."""
        return self._progress_of(self.finished)

    def _progress_of(self, finished: FinishedRows) -> BatchProgress:
        return replace(
            finished.progress(self.options),
            finished_now=self._finished_now,
            tokens_now=self._tokens_now,
            seconds=monotonic() - self._began,
            blend_now=self._blend_now,
        )

    def answer(
        self, pair: BatchPair, should_stop: Callable[[], bool], on_progress: Callable[[BatchProgress], None]
    ) -> BatchProgress:
        """Answer the rows that are left.

        Args:
            pair: Answers the requests.
            should_stop: Polled; rows that are unfinished then are dropped, and the next run answers them.
            on_progress: Called after each row, and at times while rows are being answered.

        Raises:
            WriteError: A file cannot be written, or something else changed it; finished rows are kept.
            UsageError: The input was changed meanwhile.
        """
        self._began = monotonic()
        before = self.manifest.times.get("seconds", 0.0)
        self._note_times(before, started=_now())
        self.manifest.write("running", self.progress().to_json())
        try:
            self._answer(pair, should_stop, on_progress)
        except BaseException:
            with suppress(BlendinError):  # the first error is the one to report
                self._finish(before)
            raise
        self._finish(before)
        return self.progress()

    def _answer(
        self, pair: BatchPair, should_stop: Callable[[], bool], on_progress: Callable[[BatchProgress], None]
    ) -> None:
        active: dict[str, tuple[int, Row]] = {}
        already = pair.tokens_evaluated

        def watch() -> None:
            self._tokens_now = pair.tokens_evaluated - already
            if monotonic() - self._reported > REPORT_EVERY_S:
                self._report(on_progress)

        for request, outcome in pair.answer_all(
            self._requests(active, should_stop), should_stop=should_stop, watch=watch
        ):
            number, row = active.pop(request.key)
            if isinstance(outcome, Completion) and outcome.finish_reason == "cancelled":
                continue
            self._keep(number, row, outcome)
            self._report(on_progress)

    def _report(self, on_progress: Callable[[BatchProgress], None]) -> None:
        self._reported = monotonic()
        on_progress(self.progress())

    def _requests(
        self, active: dict[str, tuple[int, Row]], should_stop: Callable[[], bool]
    ) -> Iterator[Request]:
        """The rows that are left, read as they are needed; invalid ones are recorded on the way."""
        seen = 0
        for number, row in enumerate(self.scan.read()):
            if should_stop():
                return
            if not self.options.shard.has(number):
                continue
            seen += 1
            if self.options.limit is not None and seen > self.options.limit:
                return
            if self.finished.state[number] != LEFT:
                continue
            if isinstance(row, InvalidRow):
                self._fail(number, row)
            else:
                active[row.request.key] = (number, row)
                yield row.request

    def _keep(self, number: int, row: Row, outcome: Completion | BlendinError) -> None:
        if isinstance(outcome, BlendinError):
            self._fail(number, row, outcome)
            return
        line = answer_line(row, outcome, with_steps=self.options.with_steps)
        self._answers.append(line)
        self.finished.state[number] = ANSWERED
        self._finished_now += 1
        for counts in (self.finished.blend, self._blend_now):
            counts.add(blend_of(line))

    def _fail(self, number: int, failed: Row | InvalidRow, error: BlendinError | None = None) -> None:
        self._errors.append(error_line(number, failed, error))
        self.finished.state[number] = FAILED
        self._finished_now += 1

    def _finish(self, before: float) -> None:
        """Write to the manifest what the files hold; `WriteError` if that is not what was written."""
        progress, trouble = self.progress(), None
        try:
            self._answers.verify()
            self._errors.verify()
        except WriteError as error:
            progress, trouble = self._read_again(error)
        self._note_times(before + progress.seconds, ended=_now())
        self.manifest.write("stopped" if progress.left or trouble else "finished", progress.to_json())
        if trouble is not None:
            raise trouble

    def _read_again(self, error: WriteError) -> tuple[BatchProgress, WriteError]:
        """The progress by files that something else has changed, and the error to raise."""
        try:
            on_disk = FinishedRows.read(self.scan, self.paths)
        except UsageError as unusable:
            raise WriteError(f"{error.message}; {unusable.message}", error.hint) from error
        difference = self.finished.difference(on_disk) or "every row is still in it"
        return self._progress_of(on_disk), WriteError(f"{error.message}; {difference}", error.hint)

    def _note_times(self, seconds: float, **moments: str) -> None:
        times = self.manifest.times
        times.setdefault("first_started", _now())
        times.pop("ended", None)
        times.update(moments, seconds=round(seconds, 3))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
