"""The run: rows in, lines out, and everything that must hold in between.

Here: `Batch`: what is finished already, what is left, answering it.
Not here: validation (`scan`), files (`places`, `results`, `manifest`), how rows share a batch (`pair`).
A row is finished once its line is on the disk, in the answers or in the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError, WriteError
from blendin_local.jobs.batch.forms import BAD_ROW, Tally, answer_line, blend_of, error_line
from blendin_local.jobs.batch.manifest import Identity, Manifest, read_manifest, require_same
from blendin_local.jobs.batch.places import Places, foreign, held, require_new
from blendin_local.jobs.batch.results import GrowingFile, encode, read_back, replace_file
from blendin_local.jobs.batch.rows import Fault, Row
from blendin_local.jobs.batch.scan import Scan
from blendin_local.jobs.batch.standing import BatchOptions, Standing
from blendin_local.pair import Request

LEFT, ANSWERED, FAILED = 0, 1, 2
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
    """A batch whose rows are known; `open` it, then `answer`.

    Args:
        scan: What the input holds.
        places: The files.
        options: What to do.
    """

    def __init__(self, scan: Scan, places: Places, options: BatchOptions) -> None:
        self.scan, self.places, self.options = scan, places, options
        self.tally = Tally()
        self._now = Tally()
        self._state = bytearray(scan.rows)
        self._finished_now = 0
        self._tokens_now = 0
        self._began = self._told = monotonic()
        self._answers = GrowingFile(places.answers, read_back(places.answers, self._take_answer))
        self._errors = GrowingFile(places.errors, read_back(places.errors, self._take_error))

    def _take_answer(self, line: Mapping[str, Any]) -> None:
        number = self.scan.index.row_of(line["custom_id"])
        if number is None:
            raise foreign(self.places.answers, line["custom_id"])
        blend = blend_of(line)
        if self._state[number] != ANSWERED:
            self.tally.add(blend)
        self._state[number] = ANSWERED

    def _take_error(self, line: Mapping[str, Any]) -> None:
        number, again = int(line["row"]) - 1, self.options.retry_errors and line["error"]["code"] != BAD_ROW
        if not 0 <= number < self.scan.rows:
            raise foreign(self.places.errors, line["custom_id"])
        if self._state[number] == LEFT and not again:
            self._state[number] = FAILED

    @classmethod
    @contextmanager
    def open(
        cls,
        scan: Scan,
        places: Places,
        options: BatchOptions,
        identity: Identity,
        facts: Mapping[str, Any],
    ) -> Iterator[Batch]:
        """Take hold of the files and see what is finished.

        Args:
            scan: What the input holds.
            places: The files.
            options: What to do.
            identity: What must be as it was in earlier runs.
            facts: Versions and names for the manifest.

        Raises:
            UsageError: Another run is at it, or the files belong to another batch.
            WriteError: The disk refuses.
        """
        with held(places):
            found = read_manifest(places.manifest)
            if found is not None:
                require_same(found, identity, places.answers)
            else:
                require_new(places)
            batch = cls(scan, places, options)
            if options.retry_errors:
                batch._forget_failures()
            times = dict((found or {}).get("times", {}))
            batch.manifest = Manifest(places.manifest, identity, facts, times)
            try:
                yield batch
            finally:
                batch._answers.close()
                batch._errors.close()

    manifest: Manifest

    def standing(self) -> Standing:
        """How far it is."""
        rows = self._state[self.options.shard.slice()][: self.options.limit]
        return Standing(
            wanted=len(rows),
            answered=rows.count(ANSWERED),
            failed=rows.count(FAILED),
            finished_now=self._finished_now,
            tokens_now=self._tokens_now,
            seconds=monotonic() - self._began,
            tally=self.tally,
            now=self._now,
        )

    def answer(
        self, pair: Answers, should_stop: Callable[[], bool], listen: Callable[[Standing], None]
    ) -> Standing:
        """Answer what is left.

        Args:
            pair: Answers requests.
            should_stop: Polled; rows that are not finished then are dropped and asked again by the next run.
            listen: Is told how far it is, after each row and while rows are written.

        Raises:
            WriteError: The disk refuses; what was finished is kept.
            UsageError: The input was changed meanwhile.
        """
        self._began = monotonic()
        before = self.manifest.history.get("seconds", 0.0)
        self._note_times(before, started=_now())
        self.manifest.write("running", self.standing().to_json())
        try:
            self._answer(pair, should_stop, listen)
        except BaseException:
            with suppress(WriteError):  # what happened first is what the user should hear
                self._finish(before)
            raise
        self._finish(before)
        return self.standing()

    def _answer(
        self, pair: Answers, should_stop: Callable[[], bool], listen: Callable[[Standing], None]
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

    def _tell(self, listen: Callable[[Standing], None]) -> None:
        self._told = monotonic()
        listen(self.standing())

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
            if self._state[number] != LEFT:
                continue
            if isinstance(row, Fault):
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
        self._state[number] = ANSWERED
        self._finished_now += 1
        for tally in (self.tally, self._now):
            tally.add(blend_of(line))

    def _fail(self, number: int, failed: Row | Fault, error: BlendinError | None = None) -> None:
        self._errors.append(error_line(number, failed, error))
        self._state[number] = FAILED
        self._finished_now += 1

    def _finish(self, before: float) -> None:
        standing = self.standing()
        self._note_times(before + standing.seconds, ended=_now())
        self.manifest.write("stopped" if standing.left else "finished", standing.to_json())

    def _note_times(self, seconds: float, **moments: str) -> None:
        times = self.manifest.history
        times.setdefault("first_started", _now())
        times.pop("ended", None)
        times.update(moments, seconds=round(seconds, 3))

    def _forget_failures(self) -> None:
        """Take the rows that are asked again out of the file of errors."""
        kept: list[bytes] = []
        path = self.places.errors
        if not path.exists():
            return

        def take(line: Mapping[str, Any]) -> None:
            if line["error"]["code"] == BAD_ROW:
                kept.append(encode(line))

        read_back(path, take)
        replace_file(path, kept)
        self._errors = GrowingFile(path, sum(map(len, kept)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
