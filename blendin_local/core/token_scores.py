"""One token of a text, scored by a model.

Here: `TokenScore` and `TemperatureProfile`, made from one row of logits; `OptionScore`; `TokenLogprob` with
the likeliest tokens of a row.
Not here: scoring a text (`decode.scoring`), statistics over scores (`core.calibration`).
Source: softmax with a temperature, p_i(T) = exp(z_i / T) / sum_j exp(z_j / T); Guo et al. 2017, "On
Calibration of Modern Neural Networks".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HALVINGS = 2  # the coldest inverse temperature is this many halvings below the first power taken
LADDER = 3  # inverse temperatures per doubling
DOUBLINGS = 4
INVERSE_TEMPERATURES: NDArray[np.float64] = 2.0 ** (np.arange(LADDER * DOUBLINGS) / LADDER - HALVINGS)
"""1/T at which every position is measured: 0.25, 0.31, 0.40, 0.5, ... 3.2. Shape (12,)."""


@dataclass(frozen=True, slots=True)
class TemperatureProfile:
    """A summary of a row of logits z from which probabilities at any temperature are interpolated.

    With d_i = z_i - max z and L(b) = log sum_i exp(b * d_i), b = 1/T, the probability of the likeliest token
    is exp(-L(b)), that of token i is exp(b * d_i - L(b)). L is smooth and convex. It is interpolated from its
    value, first derivative (the mean of d under the tempered softmax) and second derivative (the variance of
    d) at a few b. All are natural logarithms.

    Attributes:
        gap: max z minus the actual token's logit, at least 0.
        log_sum: L at `INVERSE_TEMPERATURES`. Shape (n,).
        slope: L' at the same b, at most 0. Shape (n,).
        bend: L'' at the same b, at least 0. Shape (n,).
    """

    gap: float
    log_sum: NDArray[np.float64]
    slope: NDArray[np.float64]
    bend: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a text with what a model predicted for it.

    Attributes:
        start: Bytes of the text before the token.
        token_bytes: Its bytes; empty for control tokens.
        logprob: Natural logarithm of the probability that the model gave it, given all before it.
        top_p: The probability of the model's likeliest token.
        top_is_token: Whether the likeliest token is the actual one.
        temperature_profile: These probabilities at other temperatures; None if not requested.
    """

    start: int
    token_bytes: bytes
    logprob: float
    top_p: float
    top_is_token: bool
    temperature_profile: TemperatureProfile | None = None


@dataclass(frozen=True, slots=True)
class OptionScore:
    """How likely a model holds one option.

    Attributes:
        logprob: Natural logarithm of the probability of its tokens, given the prompt.
        n_bytes: Bytes of the option as it was given, to compare options of unlike length.
        n_tokens: Tokens it was scored as.
        end_logprob: Natural logarithm of the probability that the text ends after it; None if not requested.
    """

    logprob: float
    n_bytes: int
    n_tokens: int
    end_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of a text with the likeliest ones at its place.

    Attributes:
        token: Its id.
        logprob: Natural logarithm of its probability, given all before it; None where nothing predicts it.
        top: The likeliest tokens with their log-probabilities, largest first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def token_logprob(logits: NDArray[np.float32], token: int | None, n_top: int) -> TokenLogprob:
    """A token and the `n_top` likeliest ones, from a row of logits of shape (n_vocab,).

    Args:
        logits: Used at once, never kept.
        token: The token that came; None for the likeliest one.
        n_top: How many others to list; of equal ones the smallest id comes first.
    """
    total = log_sum_exp(logits)
    token = int(logits.argmax()) if token is None else token
    top: tuple[tuple[int, float], ...] = ()
    if n_top:
        head = np.argpartition(-logits, min(n_top, len(logits) - 1))[:n_top]
        ordered = sorted((int(i) for i in head), key=lambda i: (-float(logits[i]), i))
        top = tuple((i, float(logits[i]) - total) for i in ordered)
    return TokenLogprob(token, float(logits[token]) - total, top)


def log_sum_exp(logits: NDArray[np.float32]) -> float:
    """Log sum_i exp(z_i), summed in double precision."""
    peak = logits.max()
    return float(peak) + float(np.log(np.exp(logits - peak).sum(dtype=np.float64)))


def logprob_of(logits: NDArray[np.float32], token: int) -> float:
    """Log p(token) under the softmax of `logits`, shape (n_vocab,)."""
    return float(logits[token]) - log_sum_exp(logits)


def logprob_of_any(logits: NDArray[np.float32], tokens: Sequence[int]) -> float:
    """Log sum_t p(t) under the softmax of `logits`, shape (n_vocab,); minus infinity for no tokens."""
    return log_sum_exp(logits[list(tokens)]) - log_sum_exp(logits) if tokens else -math.inf


def token_score(
    logits: NDArray[np.float32],
    token: int,
    start: int,
    token_bytes: bytes,
    *,
    temperature_profile: bool = False,
) -> TokenScore:
    """Score the token that followed, given the row of logits of shape (n_vocab,) before it.

    Args:
        logits: Used at once, never kept.
        token: The token that came.
        start: Bytes of the text before it.
        token_bytes: Its bytes.
        temperature_profile: Whether to measure the softmax at other temperatures too; that takes ten times
            as long.
    """
    total = log_sum_exp(logits)
    top = int(logits.argmax())
    return TokenScore(
        start=start,
        token_bytes=token_bytes,
        logprob=float(logits[token]) - total,
        top_p=float(np.exp(float(logits[top]) - total)),
        top_is_token=top == token,
        temperature_profile=_temper(logits, token) if temperature_profile else None,
    )


def _temper(logits: NDArray[np.float32], token: int) -> TemperatureProfile:
    """Measure L at every inverse temperature; exp is taken thrice, its squares are the doubled ones."""
    below = logits - logits.max()
    squared = below * below
    moments = np.empty((len(INVERSE_TEMPERATURES), 3))
    for first in range(LADDER):
        weights = np.exp(below * np.float32(INVERSE_TEMPERATURES[first]))
        for i in range(first, len(INVERSE_TEMPERATURES), LADDER):
            moments[i] = weights.sum(), weights @ below, weights @ squared
            np.multiply(weights, weights, out=weights)
    total = moments[:, 0]
    mean = moments[:, 1] / total
    return TemperatureProfile(-float(below[token]), np.log(total), mean, moments[:, 2] / total - mean * mean)
