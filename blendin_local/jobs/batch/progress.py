"""Which rows a run selects, which of them are finished, and how far it is.

Here: `Shard` and `BatchOptions`, what a run does; `BatchProgress`, how far it is; `FinishedRows`, read from
the files: a row stands once, in the answers or in the errors, and anything else is refused, never skipped.
Not here: the run (`batch`), reading and writing lines (`jsonl_file`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.formats import BAD_ROW, BlendCounts, blend_of
from blendin_local.jobs.batch.jsonl_file import read_back
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.scan import Scan

LEFT, ANSWERED, FAILED = 0, 1, 2
MOST_NUMBERS = 5


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


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        wanted: Rows that this run is to see finished.
        answered: Of these, rows with an answer, those of earlier runs included.
        failed: Of these, rows in the file of errors.
        finished_now: Rows that this run finished.
        tokens_now: Tokens that both models evaluated in this run, unfinished rows included.
        seconds: Since this run began to answer.
        tally: Over all answers on disk.
        now: Over the answers of this run.
    """

    wanted: int
    answered: int
    failed: int
    finished_now: int = 0
    tokens_now: int = 0
    seconds: float = 0.0
    tally: BlendCounts = field(default_factory=BlendCounts)
    now: BlendCounts = field(default_factory=BlendCounts)

    @property
    def left(self) -> int:
        """Rows that are not finished."""
        return self.wanted - self.answered - self.failed

    @property
    def tokens_per_second(self) -> float:
        """Tokens that both models evaluated, by the clock."""
        return self.tokens_now / self.seconds if self.seconds else 0.0

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


class FinishedRows:
    """What is finished.

    Args:
        scan: What the input holds.
        places: The files; nothing is read before the takers are used.
        retry_errors: Whether rows that failed count as not finished.

    Attributes:
        state: Of each row.
        tally: Over the answers.
    """

    def __init__(self, scan: Scan, places: BatchPaths, *, retry_errors: bool = False) -> None:
        self.state = bytearray(scan.rows)
        self.tally = BlendCounts()
        self._scan, self._places = scan, places
        self._retry = retry_errors

    @classmethod
    def read(cls, scan: Scan, places: BatchPaths, *, retry_errors: bool = False) -> FinishedRows:
        """What the files hold now; nothing is locked or changed.

        Raises:
            UsageError: They hold something else.
        """
        kept = cls(scan, places, retry_errors=retry_errors)
        read_back(places.answers, kept.take_answer)
        read_back(places.errors, kept.take_error)
        return kept

    def take_answer(self, line: Mapping[str, Any]) -> None:
        """Count a line of the answers; raises as `read_back` wants it, or `UsageError` for a row not ours."""
        key = line["custom_id"]
        number = self._scan.index.row_of(key)
        if number is None:
            raise UsageError(
                f"{self._places.answers} holds a row {key!r}, which is not in the input",
                "take it out, or choose another -o",
            )
        self._require_first(number, key)
        self.tally.add(blend_of(line))
        self.state[number] = ANSWERED

    def take_error(self, line: Mapping[str, Any]) -> None:
        """The same for a line of the errors."""
        number, key, code = int(line["row"]) - 1, line["custom_id"], line["error"]["code"]
        if not 0 <= number < self._scan.rows:
            raise UsageError(
                f"{self._places.errors} holds a row {key!r}, which is not in the input",
                "take it out, or choose another -o",
            )
        self._require_first(number, key)
        if code == BAD_ROW or not self._retry:
            self.state[number] = FAILED

    def _require_first(self, number: int, key: object) -> None:
        if self.state[number] != LEFT:
            raise UsageError(
                f"{self._places.answers} and {self._places.errors.name} hold row {key!r} twice",
                "take one of the two lines out, or begin anew with --restart",
            )

    def progress(self, options: BatchOptions) -> BatchProgress:
        """How far the rows are that a run is to see."""
        rows = self.state[options.shard.slice()][: options.limit]
        return BatchProgress(
            wanted=len(rows),
            answered=rows.count(ANSWERED),
            failed=rows.count(FAILED),
            tally=self.tally,
        )

    def difference(self, there: FinishedRows) -> str:
        """What the files hold otherwise than it is here, in words; empty where nothing is."""
        rows = [i + 1 for i, (a, b) in enumerate(zip(self.state, there.state, strict=True)) if a != b]
        if not rows:
            return ""
        more = f" and {len(rows) - MOST_NUMBERS} more" if len(rows) > MOST_NUMBERS else ""
        shown = ", ".join(map(str, rows[:MOST_NUMBERS]))
        return f"the files no longer hold what came of row{'s' if len(rows) > 1 else ''} {shown}{more}"
