"""Whether a draft pays, and how long it should be.

A draft is a guess of how the answer goes on. The model that is asked first at every step (the base, where
there is one) evaluates all of it in one call; what it predicts after the guessed tokens then answers later
questions without another call, as far as the answer really goes that way.

Here: `Plan`, the expected time per token with a draft of k tokens and the best k; `AcceptanceRates`, how
often guesses came true.
Not here: where guesses come from (`core.ngrams`, `decode.drafter`), what evaluations cost
(`engine.eval_costs`).
Source: the expected gain of speculative decoding (Leviathan et al., ICML 2023, section 3.3), with measured
costs and a probability for each guess instead of one rate for all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blendin_local.core.records import DraftSource

PRIOR_WEIGHT = 6.0  # guesses; as much as the first estimate of a rate counts
FORGET = 0.95  # by which older guesses count less with every new one of their kind
PROBABILITY_BOUNDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # kinds of guesses of the guide
MATCH_BOUNDS = (16, 24, 48)  # kinds of guesses from repeated text: bytes that agree
PRIORS: dict[DraftSource, tuple[float, ...]] = {
    "guide": (0.35, 0.45, 0.6, 0.7, 0.8, 0.88, 0.93, 0.97),
    "ngram": (0.5, 0.6, 0.75, 0.85),
}
"""First estimates, until guesses of the kind were seen: a probability is a little too sure of itself."""


def expected_accepted(rates: Sequence[float]) -> float:
    """How many guesses come true on average: sum over k of prod_{i <= k} s_i.

    Args:
        rates: s_i, the probability that guess i comes true if all before it did, each in [0, 1].
    """
    reached, total = 1.0, 0.0
    for rate in rates:
        reached *= rate
        total += reached
    return total


@dataclass(frozen=True)
class Plan:
    """What is known of the costs when a draft is planned; all in seconds.

    Attributes:
        seconds: C(n), what evaluating n tokens at once costs the model that checks the draft.
        n_together: a, how many answers are evaluated in one call.
        guess_s: d, what one more guess costs: a token of the guide, or nothing.
        asked_s: g, what a step costs the guide on average when it reads only what it is asked about.
        reads_along: Whether the guide makes the guesses, so that it has read them when it is asked.
    """

    seconds: Callable[[int], float]
    n_together: int = 1
    guess_s: float = 0.0
    asked_s: float = 0.0
    reads_along: bool = False

    def seconds_per_token(self, rates: Sequence[float]) -> float:
        """The expected time per token with a draft of k = len(rates) tokens.

        T(k) = (C(a + k) + k d) / (a + A(k)) + g, with A from `expected_accepted`; where the guide reads
        along, g is part of the fraction: it is asked once at the draft's end, and has read the rest.

        Args:
            rates: As in `expected_accepted`; empty for no draft.
        """
        return self._seconds_per_token(len(rates), expected_accepted(rates))

    def _seconds_per_token(self, k: int, accepted: float, n_made: int = 0) -> float:
        n_tokens = self.n_together + accepted
        spent = self.seconds(self.n_together + k) + max(k, n_made) * self.guess_s
        if self.reads_along and (k or n_made):
            return (spent + self.n_together * self.asked_s) / n_tokens
        return spent / n_tokens + self.asked_s

    def longest_within(self, seconds: float, k: int) -> int:
        """The longest draft of at most k tokens that costs no more than so many seconds if it fails.

        C(a + k) - C(a) + k d: what was spent for nothing where not one guess comes true.
        """
        alone = self.seconds(self.n_together)
        lost = (self.seconds(self.n_together + n) - alone + n * self.guess_s for n in range(k, 0, -1))
        return next((n for n, each in zip(range(k, 0, -1), lost, strict=True) if each <= seconds), 0)

    def best_length(self, rates: Sequence[float], at_least: int = 0, n_made: int = 0) -> int:
        """The k with the least time per token, at most len(rates).

        Args:
            rates: As in `expected_accepted`, of the longest draft that is possible.
            at_least: The shortest draft that is allowed.
            n_made: How many guesses were made already; they cost the same whether or not they are kept.
        """
        best, least, reached, accepted = min(at_least, len(rates)), float("inf"), 1.0, 0.0
        for k in range(len(rates) + 1):
            if k:
                reached *= rates[k - 1]
                accepted += reached
            if k >= at_least and (each := self._seconds_per_token(k, accepted, n_made)) < least:
                best, least = k, each
        return best


class AcceptanceRates:
    """How often guesses came true, by where they came from and how sure they were.

    Kinds of guesses: of the guide by its probability, of repeated text by the bytes that agree.
    """

    def __init__(self) -> None:
        self._kinds = {
            source: [(PRIOR_WEIGHT * rate, PRIOR_WEIGHT) for rate in prior]
            for source, prior in PRIORS.items()
        }
        self._all = {"guide": (PRIOR_WEIGHT * 0.8, PRIOR_WEIGHT), "ngram": (PRIOR_WEIGHT * 0.6, PRIOR_WEIGHT)}

    def rate(self, source: DraftSource, sureness: float) -> float:
        """The estimated probability that a guess comes true, in (0, 1).

        Args:
            source: Where it comes from.
            sureness: The guide's probability, or how many bytes agree.
        """
        true, seen = self._kinds[source][_kind(source, sureness)]
        return true / seen

    def best(self, source: DraftSource) -> float:
        """The highest rate of any kind of guess: what can be hoped for at most."""
        return max(true / seen for true, seen in self._kinds[source])

    def made(self, source: DraftSource, sureness: float) -> float:
        """The rate of a guess that was made, and from now on part of the mean, whatever becomes of it.

        Were only those counted that are evaluated, which are the surest, the next guess would look too good.
        """
        true, seen = self._all[source]
        rate = self.rate(source, sureness)
        self._all[source] = FORGET * true + rate, FORGET * seen + 1
        return rate

    def mean(self, source: DraftSource) -> float:
        """The same for a guess of which nothing else is known."""
        true, seen = self._all[source]
        return true / seen

    def note(self, source: DraftSource, sureness: float, *, accepted: bool) -> None:
        """A guess, all before which came true, was compared with the answer."""
        kind = _kind(source, sureness)
        self._kinds[source][kind] = _updated(self._kinds[source][kind], accepted=accepted)


def _counts(rate: float) -> tuple[float, float]:
    return PRIOR_WEIGHT * rate, PRIOR_WEIGHT


def _kind(source: DraftSource, sureness: float) -> int:
    return bisect_right(PROBABILITY_BOUNDS if source == "guide" else MATCH_BOUNDS, sureness)


def _updated(counts: tuple[float, float], *, accepted: bool) -> tuple[float, float]:
    true, seen = counts
    return FORGET * true + accepted, FORGET * seen + 1
