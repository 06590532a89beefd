"""How long evaluations take here and now, by the number of tokens that are evaluated at once.

Here: `EvalCosts`, what one context has measured, and its estimate for numbers that it has not tried.
Not here: what is decided by it (`core.drafting`, `decode.scheduler`).
Source: measured, for the costs differ by machine, model and load; six tokens may cost more than eight.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

KEPT = 9  # measurements of each number of tokens; their median follows a changed load, and ignores outliers
STALE = (
    300  # evaluations after which a size that did not occur counts as not measured: the load may be another
)
MIN_PREFILL = 32  # tokens; fewer do not tell what one more costs in the long run


class EvalCosts:
    """What evaluations of n tokens cost, each token with its logits.

    Attributes:
        longest: The largest number of tokens measured so far, 0 before the first.
    """

    def __init__(self) -> None:
        self.longest = 0
        self._measured: dict[int, deque[float]] = {}
        self._medians: dict[int, float] = {}
        self._tried: list[int] = []  # in order
        self._per_token_s = 0.0
        self._n_noted = 0
        self._last_noted: dict[int, int] = {}

    def note(self, n_tokens: int, seconds: float) -> None:
        """An evaluation of `n_tokens` with logits after each of them took so long."""
        if n_tokens not in self._measured:
            self._measured[n_tokens] = deque(maxlen=KEPT)
            self._tried.insert(bisect_left(self._tried, n_tokens), n_tokens)
            self.longest = max(self.longest, n_tokens)
        self._measured[n_tokens].append(seconds)
        self._medians.pop(n_tokens, None)
        self._n_noted += 1
        self._last_noted[n_tokens] = self._n_noted
        if self._n_noted % STALE == 0:
            self._forget_stale()

    def _forget_stale(self) -> None:
        for n_tokens, last in list(self._last_noted.items()):
            if self._n_noted - last >= STALE:
                self._tried.remove(n_tokens)
                del self._measured[n_tokens], self._last_noted[n_tokens]
                self._medians.pop(n_tokens, None)

    def note_prefill(self, n_tokens: int, seconds: float) -> None:
        """An evaluation of many tokens took so long; what each of them cost is a lower bound for one more."""
        if n_tokens >= MIN_PREFILL:
            each = seconds / n_tokens
            self._per_token_s = min(self._per_token_s or each, each)

    def n_measured(self, n_tokens: int) -> int:
        """How many measurements of this number of tokens are kept."""
        return len(self._measured.get(n_tokens, ()))

    def seconds(self, n_tokens: int) -> float:
        """What an evaluation of `n_tokens` costs, in seconds; 0 where nothing was measured yet.

        The median of the last measurements; between two measured numbers a straight line; above all of them
        the line through the last two goes on, but a token more costs at least what one of a prompt does.
        After the first number that is all that is known: where it looks worth trying, it is tried.
        """
        if n_tokens in self._measured:
            return self._median(n_tokens)
        i = bisect_left(self._tried, n_tokens)
        if i == 0:
            return self._median(self._tried[0]) if self._tried else 0.0
        if i == len(self._tried):
            return self._median(self._tried[-1]) + (n_tokens - self._tried[-1]) * self._last_slope()
        below, above = self._tried[i - 1], self._tried[i]
        low, high = self._median(below), self._median(above)
        return low + (high - low) * (n_tokens - below) / (above - below)

    def _last_slope(self) -> float:
        if len(self._tried) == 1:
            return self._per_token_s
        low, high = self._tried[-2:]
        return max(self._per_token_s, (self._median(high) - self._median(low)) / (high - low))

    def _median(self, n_tokens: int) -> float:
        if n_tokens not in self._medians:
            kept = sorted(self._measured[n_tokens])
            self._medians[n_tokens] = kept[len(kept) // 2]
        return self._medians[n_tokens]
