"""Picking one candidate: the largest, or one drawn with a seed.

Here: `pick`, and its parts in llama.cpp's order: penalties, top-k, top-p, min-p, temperature; `sample` draws
once, `sample_again` twice.
Not here: the distributions themselves, the formulas of the penalties (`core.penalties`).
Source: the usual definitions; top-p after Holtzman et al. 2020, min-p after Nguyen et al. 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blendin_local.core.candidates import Distribution
from blendin_local.core.decisions import Decision, Mixture, Options, Redrawn, certain
from blendin_local.core.penalties import History, penalize, repetition_of
from blendin_local.core.records import Candidate
from blendin_local.settings import SamplingSettings


def keep_top_k(options: Distribution, k: int) -> Distribution:
    """Top-k: the k most probable options; all of them for k = 0.

    Args:
        options: Probabilities by byte string, largest first; they need not sum to 1.
        k: Not negative.
    """
    return dict(list(options.items())[:k]) if k else options


def keep_top_p(options: Distribution, mass: float) -> Distribution:
    """Top-p (nucleus): the shortest prefix of the list with sum P >= mass * total; never empty.

    Args:
        options: P, probabilities by byte string, largest first, not empty; `total` is their sum.
        mass: p in [0, 1]; 1 keeps all.
    """
    target = mass * sum(options.values())
    kept: dict[bytes, float] = {}
    reached = 0.0
    for piece, p in options.items():
        kept[piece] = p
        reached += p
        if reached >= target and mass < 1:
            break
    return kept


def keep_min_p(options: Distribution, share: float) -> Distribution:
    """Min-p: the options with P(s) >= share * max P.

    Args:
        options: P, probabilities by byte string, not empty.
        share: In [0, 1]; 0 keeps all.

    Raises:
        ValueError: `options` is empty.
    """
    floor = share * max(options.values())
    return {piece: p for piece, p in options.items() if p >= floor}


@dataclass(frozen=True, slots=True)
class Picked:
    """A candidate, and the one that would have been picked without penalties if that is another."""

    piece: bytes
    instead_of: Candidate | None = None


def pick(
    decision: Decision, settings: SamplingSettings, rng: np.random.Generator, history: History
) -> Picked:
    """The next candidate: the largest at temperature 0, else one drawn.

    A penalty on repetition acts after the method has decided whom to ask and what to blend. Where the method
    leaves no choice but the base's top candidate, the base's largest after the penalty is taken.

    Args:
        decision: What to pick from.
        settings: How.
        rng: One number is drawn from it unless the temperature is 0.
        history: What was said so far; read only where a penalty is on.
    """
    draw = rng.random() if settings.temperature else 0.0
    plain = _pick_from(decision.options, settings, draw)
    if not settings.penalizes:
        return Picked(plain)
    options = penalized(decision, settings, history)
    piece = plain if options is decision.options else _pick_from(options, settings, draw)
    return Picked(piece, None if piece == plain else _listed(plain, decision.options))


def _pick_from(options: Options, settings: SamplingSettings, draw: float) -> bytes:
    if settings.temperature == 0:
        return options.best()
    if isinstance(options, Redrawn):
        return sample_again(options, settings, draw)
    return sample(options.distribution(), settings, draw)


def _listed(piece: bytes, options: Options) -> Candidate:
    return Candidate(piece, options.alternatives().get(piece, 0.0))


def penalized(decision: Decision, settings: SamplingSettings, history: History) -> Options:
    """The options of a decision after the penalties; its own where no penalty changes what is picked.

    Penalties only lower logits. A greedy choice that none concerns stays, and the list of candidates, which
    sure steps do not need, is not made.
    """
    options = decision.options
    counts, lengths = repetition_of(history, settings)
    fixed = settings.temperature == 0 or len(options.distribution()) == 1
    concerned = [options.best()] if fixed else options.alternatives()
    if not any(piece in counts or piece in lengths for piece in concerned):
        return options
    log_normalizer = decision.log_normalizer if settings.repeat_penalty != 1 else 0.0  # else it cancels out
    if isinstance(options, Redrawn):
        return options.each(lambda drawn: penalize(drawn, log_normalizer, counts, lengths, settings))
    spread = penalize(options.alternatives(), log_normalizer, counts, lengths, settings)
    mixture = Mixture(spread, decision.base.candidates if decision.base else {})
    return certain(mixture.best()) if len(options.distribution()) == 1 else mixture


def sample(options: Distribution, settings: SamplingSettings, draw: float) -> bytes:
    """Draw s with probability P(s)^(1/T) / sum_t P(t)^(1/T) among the options that the filters keep.

    Args:
        options: P, probabilities above 0 by byte string, largest first, not empty; they need not sum to 1.
        settings: The filters and the temperature T > 0.
        draw: A random number, uniform in [0, 1).

    Returns:
        The drawn byte string; empty for END.

    Raises:
        ValueError: `options` is empty.
    """
    return _drawn(options, settings, draw)[0]


def sample_again(options: Redrawn, settings: SamplingSettings, draw: float) -> bytes:
    """Draw from the first distribution, and from the second if that candidate is not accepted.

    Each is drawn with the filters and the temperature. Both draws come out of one random number: given the
    candidate that it falls on, its place within the share of that candidate is uniform again.

    Args:
        options: The two distributions, and what of the first is accepted.
        settings: As for `sample`.
        draw: A random number, uniform in [0, 1).
    """
    piece, place = _drawn(options.first, settings, draw)
    return piece if piece in options.accepted else _drawn(options.second, settings, place)[0]


def _drawn(options: Distribution, settings: SamplingSettings, draw: float) -> tuple[bytes, float]:
    """The drawn candidate, and where in its share of the interval the number lies, in [0, 1)."""
    kept = keep_min_p(keep_top_p(keep_top_k(options, settings.top_k), settings.top_p), settings.min_p)
    logprobs = np.log(np.fromiter(kept.values(), np.float64, len(kept)))
    with np.errstate(over="ignore"):  # near T = 0 all but the largest come to exp(-inf) = 0
        weights = np.exp((logprobs - logprobs.max()) / settings.temperature)
    cumulative = weights.cumsum()
    target = draw * cumulative[-1]
    index = min(int(np.searchsorted(cumulative, target, side="right")), len(kept) - 1)
    place = (target - (cumulative[index] - weights[index])) / (weights[index] or 1.0)
    return list(kept)[index], min(max(float(place), 0.0), np.nextafter(1.0, 0.0))
