"""Which rows the files of a batch hold.

Here: `Kept`: a row stands once, in the answers or in the errors; anything else is refused, never passed over.
Not here: reading lines (`results`), writing them (`growing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.formats import BAD_ROW, Tally, blend_of
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, BatchProgress
from blendin_local.jobs.batch.results import read_back
from blendin_local.jobs.batch.scan import Scan

LEFT, ANSWERED, FAILED = 0, 1, 2
MOST_NUMBERS = 5


class Kept:
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
        self.tally = Tally()
        self._scan, self._places = scan, places
        self._retry = retry_errors

    @classmethod
    def read(cls, scan: Scan, places: BatchPaths, *, retry_errors: bool = False) -> Kept:
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

    def difference(self, there: Kept) -> str:
        """What the files hold otherwise than it is here, in words; empty where nothing is."""
        rows = [i + 1 for i, (a, b) in enumerate(zip(self.state, there.state, strict=True)) if a != b]
        if not rows:
            return ""
        more = f" and {len(rows) - MOST_NUMBERS} more" if len(rows) > MOST_NUMBERS else ""
        shown = ", ".join(map(str, rows[:MOST_NUMBERS]))
        return f"the files no longer hold what came of row{'s' if len(rows) > 1 else ''} {shown}{more}"
