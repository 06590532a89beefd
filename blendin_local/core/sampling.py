"""Picking one candidate: the largest, or one drawn with a seed.

Here: the filters in llama.cpp's order (top-k, top-p, min-p, temperature), each on a distribution.
Not here: the distributions themselves.
Source: the usual definitions; top-p after Holtzman et al. 2020, min-p after Nguyen et al. 2024.
"""

from __future__ import annotations

import numpy as np

from blendin_local.core.candidates import Distribution
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


def sample(options: Distribution, settings: SamplingSettings, rng: np.random.Generator) -> bytes:
    """Draw s with probability P(s)^(1/T) / sum_t P(t)^(1/T) among the options that the filters keep.

    Args:
        options: P, probabilities above 0 by byte string, largest first, not empty; they need not sum to 1.
        settings: The filters and the temperature T > 0.
        rng: One number is drawn from it.

    Returns:
        The drawn byte string; empty for END.

    Raises:
        ValueError: `options` is empty.
    """
    kept = keep_min_p(keep_top_p(keep_top_k(options, settings.top_k), settings.top_p), settings.min_p)
    logprobs = np.log(np.fromiter(kept.values(), np.float64, len(kept)))
    with np.errstate(over="ignore"):  # near T = 0 all but the largest come to exp(-inf) = 0
        weights = np.exp((logprobs - logprobs.max()) / settings.temperature)
    cumulative = weights.cumsum()
    index = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    return list(kept)[min(index, len(kept) - 1)]
