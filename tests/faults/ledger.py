"""What fault trials came to: how many were made of each kind, and what did not survive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SHOWN = 10


@dataclass
class Trials:
    """The trials of one kind.

    Attributes:
        tried: How many were made.
        lost: What went wrong in those that failed.
    """

    tried: int = 0
    lost: list[str] = field(default_factory=list)

    def record(self, case: str, problem: str | None) -> None:
        """Note one trial: what was tried, and what was wrong, None if nothing."""
        self.tried += 1
        if problem is not None:
            self.lost.append(f"{case}: {problem}")


class Ledger:
    """The trials of a run of pytest, by kind.

    Args:
        full: Whether all trials are wanted instead of a small share.
    """

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self.kinds: dict[str, Trials] = {}

    def count(self, small: int, full: int) -> int:
        """How many trials to make."""
        return full if self.full else small

    @contextmanager
    def kind(self, name: str) -> Iterator[Trials]:
        """Collect trials of one kind; afterwards the test fails if one was lost, or none was made."""
        trials = self.kinds.setdefault(name, Trials())
        yield trials
        assert trials.tried, f"{name}: nothing was tried"
        assert not trials.lost, f"{name}: {len(trials.lost)} of {trials.tried} lost:\n" + "\n".join(
            trials.lost[:SHOWN]
        )

    def table(self) -> Iterator[str]:
        """Lines for the end of the run."""
        yield f"{'kind':<48}{'tried':>8}{'survived':>10}{'lost':>6}"
        for name, trials in sorted(self.kinds.items()):
            lost = len(trials.lost)
            yield f"{name:<48}{trials.tried:>8}{trials.tried - lost:>10}{lost:>6}"
