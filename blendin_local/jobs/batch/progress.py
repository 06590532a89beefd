"""Which rows a run selects, which of them are finished, and how far it is.

Here: `Shard` and `BatchOptions`, what a run does; `BatchProgress`, how far it is; `FinishedRows`, read from
the files: a row must occur once, in the answers or in the errors; anything else is an error.
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
MAX_NUMBERS = 5  # of rows in a message


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `of`-th row, starting with row `part` (from 1)."""

    part: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.part <= self.of:
            raise UsageError(f"shard {self.part}/{self.of} does not exist", "give I/N with I from 1 to N")

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> Shard:
        """Read `I/N`, such as `1/4`, or `auto` for the place of this task in a job array of SLURM.

        Args:
            text: What is written.
            environment: Variables of the environment, for `auto`.

        Raises:
            UsageError: The text has another form, there is no such shard, or this is no array without gaps.
        """
        if text == "auto":
            return cls._of_array(environment or {})
        part, slash, of = text.partition("/")
        if not (slash and part.isdecimal() and of.isdecimal()):
            raise UsageError(f"shard {text!r} is not I/N", "give I/N, such as 1/4, or auto in a job array")
        return cls(int(part), int(of))

    @classmethod
    def _of_array(cls, environment: Mapping[str, str]) -> Shard:
        """The place of this task: SLURM numbers the tasks from MIN to MAX in steps of STEP."""
        names = ("ID", "MIN", "MAX", "STEP", "COUNT")
        values = [
            environment.get(f"SLURM_ARRAY_TASK_{name}", "1" if name == "STEP" else "") for name in names
        ]
        if not all(value.isdecimal() for value in values) or int(values[3]) < 1:
            raise UsageError(
                "--shard auto is for a job array of SLURM, and its variables are not set",
                "give I/N, such as 1/4",
            )
        number, first, last, step, count = map(int, values)
        if (last - first) // step + 1 != count or (number - first) % step:
            raise UsageError(
                f"the job array has {count} tasks between {first} and {last}, so it has gaps",
                "submit one without gaps, such as --array=1-8; finished rows are not answered again",
            )
        return cls((number - first) // step + 1, count)

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"

    def slice(self) -> slice:
        """The rows of the shard, as a slice of all rows."""
        return slice(self.part - 1, None, self.of)

    def has(self, number: int) -> bool:
        """Whether a row, counted from 0, belongs to it."""
        return number % self.of == self.part - 1


@dataclass(frozen=True)
class BatchOptions:
    """What a run does.

    Attributes:
        shard: Which part of the rows it selects.
        limit: How many of these rows it selects, from the first; None for all.
        with_steps: Whether answers have their step records.
        retry_errors: Whether rows that failed are answered again.
    """

    shard: Shard = field(default_factory=Shard)
    limit: int | None = None
    with_steps: bool = False
    retry_errors: bool = False


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        wanted: Number of rows that this run selects.
        answered: Of these, rows with an answer, including those of earlier runs.
        failed: Of these, rows in the file of errors.
        finished_now: Rows that this run finished.
        tokens_now: Tokens that both models evaluated in this run, unfinished rows included.
        seconds: Since this run began to answer.
        blend: Counts over all answers on disk.
        blend_now: Counts over the answers of this run.
    """

    wanted: int
    answered: int
    failed: int
    finished_now: int = 0
    tokens_now: int = 0
    seconds: float = 0.0
    blend: BlendCounts = field(default_factory=BlendCounts)
    blend_now: BlendCounts = field(default_factory=BlendCounts)

    @property
    def left(self) -> int:
        """Rows that are not finished."""
        return self.wanted - self.answered - self.failed

    @property
    def tokens_per_second(self) -> float:
        """Tokens that both models evaluated per second of this run."""
        return self.tokens_now / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the speed of this run; None before its first row."""
        return self.left * self.seconds / self.finished_now if self.finished_now else None

    def to_json(self) -> dict[str, Any]:
        """Counts, rates and speed."""
        counts = {name: getattr(self, name) for name in ("wanted", "answered", "failed", "left")}
        return {
            "counts": {**counts, "finished_now": self.finished_now},
            "blend": self.blend.to_json(),
            "speed": {
                "seconds": round(self.seconds, 3),
                "tokens_per_second": round(self.tokens_per_second, 2),
            },
        }


class FinishedRows:
    """Which rows have an answer or have failed.

    Args:
        scan: The input.
        paths: The files, for messages; nothing is read here.
        retry_errors: Whether rows that failed count as not finished.

    Attributes:
        state: LEFT, ANSWERED or FAILED for each row.
        blend: Counts over the answers.
    """

    def __init__(self, scan: Scan, paths: BatchPaths, *, retry_errors: bool = False) -> None:
        self.state = bytearray(scan.rows)
        self.blend = BlendCounts()
        self._scan, self._paths = scan, paths
        self._retry = retry_errors

    @classmethod
    def read(cls, scan: Scan, paths: BatchPaths, *, retry_errors: bool = False) -> FinishedRows:
        """Read the files as they are; nothing is locked or changed.

        Raises:
            UsageError: They do not belong to this batch.
        """
        finished = cls(scan, paths, retry_errors=retry_errors)
        read_back(paths.answers, finished.add_answer)
        read_back(paths.errors, finished.add_error)
        return finished

    def add_answer(self, line: Mapping[str, Any]) -> None:
        """Count a line of the answers; raises as `read_back` expects, and `UsageError` for an unknown row."""
        key = line["custom_id"]
        number = self._scan.index.row_of(key)
        if number is None:
            raise UsageError(
                f"{self._paths.answers} holds a row {key!r}, which is not in the input",
                "remove that line, or choose another -o",
            )
        self._require_first(number, key)
        self.blend.add(blend_of(line))
        self.state[number] = ANSWERED

    def add_error(self, line: Mapping[str, Any]) -> None:
        """Count a line of the errors, likewise."""
        number, key, code = int(line["row"]) - 1, line["custom_id"], line["error"]["code"]
        if not 0 <= number < self._scan.rows:
            raise UsageError(
                f"{self._paths.errors} holds a row {key!r}, which is not in the input",
                "remove that line, or choose another -o",
            )
        self._require_first(number, key)
        if code == BAD_ROW or not self._retry:
            self.state[number] = FAILED

    def _require_first(self, number: int, key: object) -> None:
        if self.state[number] != LEFT:
            raise UsageError(
                f"{self._paths.answers} and {self._paths.errors.name} hold row {key!r} twice",
                "remove one of the two lines, or start over with --restart",
            )

    def progress(self, options: BatchOptions) -> BatchProgress:
        """How far the rows are that a run selects."""
        rows = self.state[options.shard.slice()][: options.limit]
        return BatchProgress(
            wanted=len(rows),
            answered=rows.count(ANSWERED),
            failed=rows.count(FAILED),
            blend=self.blend,
        )

    def difference(self, on_disk: FinishedRows) -> str:
        """Which rows are not on disk as they are here, in words; empty if all are."""
        rows = [i + 1 for i, (a, b) in enumerate(zip(self.state, on_disk.state, strict=True)) if a != b]
        if not rows:
            return ""
        more = f" and {len(rows) - MAX_NUMBERS} more" if len(rows) > MAX_NUMBERS else ""
        shown = ", ".join(map(str, rows[:MAX_NUMBERS]))
        return f"the files no longer hold the results of row{'s' if len(rows) > 1 else ''} {shown}{more}"
