"""What a run is to do, and how far it is.

Here: `Shard`, `BatchOptions`, `BatchProgress`.
Not here: the run (`run`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.formats import Tally


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
    tally: Tally = field(default_factory=Tally)
    now: Tally = field(default_factory=Tally)

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
