"""The run: rows in, lines out, and everything that must hold in between.

Here: `Places`, `Shard`, `Batch`: what is finished already, what is left, answering it.
Not here: validation (`scan`), files (`results`, `manifest`), how many rows are answered at once (`pair`).
A row is `finished` once its line is on the disk, in the answers or in the errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import filelock

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError, UsageError, WriteError
from blendin_local.jobs.batch.forms import BAD_ROW, Tally, answer_line, blend_of, error_line
from blendin_local.jobs.batch.manifest import Identity, Manifest, read_manifest, require_same
from blendin_local.jobs.batch.results import GrowingFile, cannot_write, encode, read_back, replace_file
from blendin_local.jobs.batch.rows import Fault, Row
from blendin_local.jobs.batch.scan import Scan
from blendin_local.pair import Request

LEFT, ANSWERED, FAILED = 0, 1, 2


class Answers(Protocol):
    """What a batch needs of a pair."""

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing."""
        ...


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `of`-th row, beginning with row `part` (from 1)."""

    part: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.part <= self.of:
            raise UsageError(f"shard {self.part}/{self.of} does not exist", "give I/N with I from 1 to N")

    def slice(self) -> slice:
        """The shard's rows."""
        return slice(self.part - 1, None, self.of)

    def has(self, number: int) -> bool:
        """Whether a row, counted from 0, belongs to it."""
        return number % self.of == self.part - 1


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a batch."""

    source: Path
    answers: Path
    errors: Path
    manifest: Path
    lock: Path

    @classmethod
    def of(cls, source: Path, out: Path) -> Places:
        """The files that go with an output.

        Raises:
            UsageError: The output is the input, or cannot be a file.
        """
        stem = out.name.removesuffix(".jsonl")
        names = [out.name, f"{stem}.errors.jsonl", f"{stem}.manifest.json", f"{stem}.lock"]
        places = cls(source, *(out.with_name(name) for name in names))
        for path in (places.answers, places.errors, places.manifest, places.lock):
            if path.exists() and source.exists() and os.path.samefile(path, source):
                raise UsageError(f"{path} is the input itself", "choose another -o")
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", "choose another -o")
        if not out.parent.is_dir():
            raise UsageError(f"there is no directory {out.parent}", "make it, or choose another -o")
        return places


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a batch is.

    Attributes:
        wanted: Rows that this run is to see finished.
        answered: Of these, rows with an answer, those of earlier runs included.
        failed: Of these, rows in the file of errors.
        finished_now: Rows that this run finished.
        seconds: Since this run began to answer.
        tally: Over all answers on disk.
        now: Over the answers of this run.
    """

    wanted: int
    answered: int
    failed: int
    finished_now: int = 0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    now: Tally = field(default_factory=Tally)

    @property
    def left(self) -> int:
        """Rows that are not finished."""
        return self.wanted - self.answered - self.failed

    @property
    def tokens_per_second(self) -> float:
        """Tokens that both models read and said, by the clock."""
        tokens = self.now.base_tokens + self.now.guide_tokens
        return tokens / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace of this run; None before its first row."""
        return self.left * self.seconds / self.finished_now if self.finished_now else None

    def to_json(self) -> dict[str, Any]:
        """Counts, rates and speed."""
        counts = {name: getattr(self, name) for name in ("wanted", "answered", "failed", "left")}
        return {
            "counts": {**counts, "finished_now": self.finished_now},
            "blend": self.tally.to_json(),
            "speed": {
                "seconds": round(self.seconds, 3),
                "tokens_per_second": round(self.tokens_per_second, 2),
            },
        }


@dataclass(frozen=True)
class BatchOptions:
    """What a run does.

    Attributes:
        shard: The part of the rows that it sees.
        limit: It answers only so many of the first of these; None for all.
        with_steps: Whether lines keep the step records.
        retry_errors: Whether rows that failed are asked again.
    """

    shard: Shard = field(default_factory=Shard)
    limit: int | None = None
    with_steps: bool = False
    retry_errors: bool = False


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
        self._began = monotonic()
        self._answers = GrowingFile(places.answers, read_back(places.answers, self._take_answer))
        self._errors = GrowingFile(places.errors, read_back(places.errors, self._take_error))

    def _take_answer(self, line: Mapping[str, Any]) -> None:
        number = self.scan.index.row_of(line["custom_id"])
        if number is None:
            raise _foreign(self.places.answers, line["custom_id"])
        blend = blend_of(line)
        if self._state[number] != ANSWERED:
            self.tally.add(blend)
        self._state[number] = ANSWERED

    def _take_error(self, line: Mapping[str, Any]) -> None:
        number, again = int(line["row"]) - 1, self.options.retry_errors and line["error"]["code"] != BAD_ROW
        if not 0 <= number < self.scan.rows:
            raise _foreign(self.places.errors, line["custom_id"])
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
        with _held(places):
            found = read_manifest(places.manifest)
            if found is not None:
                require_same(found, identity, places.answers)
            else:
                _require_new(places)
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
            listen: Is told after each row how far it is.

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
        for request, outcome in pair.answer_all(self._requests(live, should_stop), should_stop=should_stop):
            number, row = live.pop(request.key)
            if isinstance(outcome, Completion) and outcome.finish_reason == "cancelled":
                continue
            self._keep(number, row, outcome)
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


def remove_results(places: Places) -> None:
    """Drop the files of an earlier run, the manifest last.

    Raises:
        UsageError: They are not those of a batch.
        WriteError: They cannot be removed.
    """
    if read_manifest(places.manifest) is None:
        _require_new(places)
    with _held(places):
        for path in (places.answers, places.errors, places.manifest):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error


def _foreign(path: Path, key: object) -> UsageError:
    return UsageError(
        f"{path} holds a row {key!r}, which is not in the input", "take it out, or choose another -o"
    )


def _require_new(places: Places) -> None:
    for path in (places.answers, places.errors):
        if path.exists() and path.stat().st_size:
            raise UsageError(
                f"{path} is there, but no {places.manifest.name} that says whose answers it holds",
                "choose another -o, or move the file away",
            )


@contextmanager
def _held(places: Places) -> Iterator[None]:
    """One run at a time; the lock dies with its process, however that ends."""
    lock = filelock.FileLock(places.lock)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"another blendin batch is writing {places.answers}", "wait for it, or choose another -o"
        ) from None
    except OSError as error:
        raise cannot_write(places.lock, error) from error
    try:
        yield
    finally:
        places.lock.unlink(missing_ok=True)
        lock.release()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
