"""The run: rows in, lines out, and everything that must hold in between.

Here: `Batch`: going on where the files end, answering what is left, and seeing that the files hold it.
Not here: validation (`scan`), files (`places`, `growing`, `manifest`), what they hold (`kept`), what must fit
before a run goes on (`resume`), how rows share a batch (`pair`).
A row is finished once its line is on the disk, in the answers or in the errors.
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
from blendin_local.jobs.batch.adoption import Adoption
from blendin_local.jobs.batch.formats import BlendCounts, answer_line, blend_of, error_line
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile
from blendin_local.jobs.batch.manifest import (
    Identity,
    Manifest,
)
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import (
    ANSWERED,
    FAILED,
    LEFT,
    BatchOptions,
    BatchProgress,
    FinishedRows,
)
from blendin_local.jobs.batch.resume import ADOPTED, forget_failures, found_manifest
from blendin_local.jobs.batch.rows import InvalidRow, Row
from blendin_local.jobs.batch.scan import Scan
from blendin_local.pair.pair import Request

COUNTED = ("wanted", "answered", "failed", "left")
TELL_EVERY_S = 0.5  # while no row is finished; counting a million rows takes a millisecond


class Answers(Protocol):
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
    """A batch whose files are held; made by `open`, then `answer`.

    Args:
        scan: What the input holds.
        places: The files.
        options: What to do.
        kept: What is finished.
        files: The answers and the errors.
        manifest: What is said about them.

    Attributes:
        notes: What the user should know about the files as they were found.
    """

    def __init__(
        self,
        scan: Scan,
        places: BatchPaths,
        options: BatchOptions,
        *,
        kept: FinishedRows,
        files: tuple[AppendOnlyFile, AppendOnlyFile],
        manifest: Manifest,
    ) -> None:
        self.scan, self.places, self.options = scan, places, options
        self.kept, self.manifest = kept, manifest
        self._answers, self._errors = files
        self._now = BlendCounts()
        self._finished_now = 0
        self._tokens_now = 0
        self._began = self._told = monotonic()
        self.notes = [
            f"the last line of {file.path} was torn and cut off ({file.torn:,} bytes); its row is asked again"
            for file in files
            if file.torn
        ]

    @classmethod
    @contextmanager
    def open(
        cls,
        scan: Scan,
        places: BatchPaths,
        options: BatchOptions,
        identity: Identity,
        facts: Mapping[str, Any],
        *,
        adopt: Callable[[Adoption], None] | None = None,
    ) -> Iterator[Batch]:
        """Take hold of the files and see what is finished.

        Args:
            scan: What the input holds.
            places: The files.
            options: What to do.
            identity: What must be as it was in earlier runs.
            facts: Versions and names for the manifest.
            adopt: Where answers have no whole manifest: is told what is there, and returns if they are to be
                taken over. None: they never are.

        Raises:
            UsageError: Another run is at it, or the files belong to another batch.
            WriteError: The disk refuses.
        """
        with AppendOnlyFile.locked(places.answers) as answers, ExitStack() as stack:
            found = found_manifest(scan, places, identity, adopt)
            if options.retry_errors:
                forget_failures(places)
            errors = stack.enter_context(AppendOnlyFile.locked(places.errors, make=False))
            kept = FinishedRows(scan, places)
            answers.read(kept.take_answer)
            errors.read(kept.take_error)
            manifest = Manifest(places.manifest, identity, facts, dict(found.get("times", {})))
            batch = cls(scan, places, options, kept=kept, files=(answers, errors), manifest=manifest)
            batch._settle(found)
            yield batch

    def _settle(self, found: Mapping[str, Any]) -> None:
        """Write the manifest where nothing else will: it was adopted, or a kill came after the last row."""
        progress, state = self.progress(), found.get("state")
        was = {name: found.get("counts", {}).get(name) for name in COUNTED}
        now = {name: getattr(progress, name) for name in COUNTED}
        counted = was["answered"] if was["wanted"] == now["wanted"] else 0
        if isinstance(counted, int) and counted > now["answered"]:
            self.notes.append(
                f"{self.places.answers} holds {now['answered']} of the {counted} answers that its manifest "
                "counts: the others are asked again"
            )
        if state == ADOPTED or (found and not progress.left and (state, was) != ("finished", now)):
            self.manifest.write("stopped" if progress.left else "finished", progress.to_json())

    @property
    def tally(self) -> BlendCounts:
        """Counts over all answers on disk."""
        return self.kept.tally

    def progress(self) -> BatchProgress:
        """How far it is."""
        return self._with_pace(self.kept)

    def _with_pace(self, kept: FinishedRows) -> BatchProgress:
        return replace(
            kept.progress(self.options),
            finished_now=self._finished_now,
            tokens_now=self._tokens_now,
            seconds=monotonic() - self._began,
            now=self._now,
        )

    def answer(
        self, pair: Answers, should_stop: Callable[[], bool], listen: Callable[[BatchProgress], None]
    ) -> BatchProgress:
        """Answer what is left.

        Args:
            pair: Answers requests.
            should_stop: Polled; rows that are not finished then are dropped and asked again by the next run.
            listen: Is told how far it is, after each row and while rows are written.

        Raises:
            WriteError: The disk refuses, and what was finished is kept; or something else changed the files.
            UsageError: The input was changed meanwhile.
        """
        self._began = monotonic()
        before = self.manifest.history.get("seconds", 0.0)
        self._note_times(before, started=_now())
        self.manifest.write("running", self.progress().to_json())
        try:
            self._answer(pair, should_stop, listen)
        except BaseException:
            with suppress(BlendinError):  # what happened first is what the user should hear
                self._finish(before)
            raise
        self._finish(before)
        return self.progress()

    def _answer(
        self, pair: Answers, should_stop: Callable[[], bool], listen: Callable[[BatchProgress], None]
    ) -> None:
        live: dict[str, tuple[int, Row]] = {}
        already = pair.tokens_evaluated

        def watch() -> None:
            self._tokens_now = pair.tokens_evaluated - already
            if monotonic() - self._told > TELL_EVERY_S:
                self._tell(listen)

        for request, outcome in pair.answer_all(
            self._requests(live, should_stop), should_stop=should_stop, watch=watch
        ):
            number, row = live.pop(request.key)
            if isinstance(outcome, Completion) and outcome.finish_reason == "cancelled":
                continue
            self._keep(number, row, outcome)
            self._tell(listen)

    def _tell(self, listen: Callable[[BatchProgress], None]) -> None:
        self._told = monotonic()
        listen(self.progress())

    def _requests(
        self, live: dict[str, tuple[int, Row]], should_stop: Callable[[], bool]
    ) -> Iterator[Request]:
        """What is left, read as it is needed; bad rows are recorded on the way."""
        seen = 0
        for number, row in enumerate(self.scan.read()):
            if should_stop():
                return
            if not self.options.shard.has(number):
                continue
            seen += 1
            if self.options.limit is not None and seen > self.options.limit:
                return
            if self.kept.state[number] != LEFT:
                continue
            if isinstance(row, InvalidRow):
                self._fail(number, row)
            else:
                live[row.request.key] = (number, row)
                yield row.request

    def _keep(self, number: int, row: Row, outcome: Completion | BlendinError) -> None:
        if isinstance(outcome, BlendinError):
            self._fail(number, row, outcome)
            return
        line = answer_line(row, outcome, with_steps=self.options.with_steps)
        self._answers.append(line)
        self.kept.state[number] = ANSWERED
        self._finished_now += 1
        for tally in (self.tally, self._now):
            tally.add(blend_of(line))

    def _fail(self, number: int, failed: Row | InvalidRow, error: BlendinError | None = None) -> None:
        self._errors.append(error_line(number, failed, error))
        self.kept.state[number] = FAILED
        self._finished_now += 1

    def _finish(self, before: float) -> None:
        """Say in the manifest what the files hold; `WriteError` where that is not what was written."""
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
        """What is in files that something else has changed, and what to say of it."""
        try:
            there = FinishedRows.read(self.scan, self.places)
        except UsageError as unusable:
            raise WriteError(f"{error.message}; {unusable.message}", error.hint) from error
        difference = self.kept.difference(there) or "every row is still in it"
        return self._with_pace(there), WriteError(f"{error.message}; {difference}", error.hint)

    def _note_times(self, seconds: float, **moments: str) -> None:
        times = self.manifest.history
        times.setdefault("first_started", _now())
        times.pop("ended", None)
        times.update(moments, seconds=round(seconds, 3))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
