"""Penalties on repetition: llama.cpp's family, on candidates that are byte strings.

Here: one function per formula, and `penalize`, which applies them to a distribution.
Not here: where a penalty acts (`core.sampling`), the settings (`settings.table`).
Sources: repeat penalty, Keskar et al., CTRL, 2019, section 4.1; presence and frequency penalties, OpenAI's
API; DRY, p-e-w, 2024 (oobabooga/text-generation-webui, pull request 5677). Where they differ, llama.cpp's
`llama_sampler_init_penalties` and `llama_sampler_init_dry` are followed.

llama.cpp compares token ids. Candidates of two vocabularies have none in common, so here two tokens are the
same if they have the same bytes. What was said is a `History`: the tokens of the prompt, then those of the
answer.

Symbols: s is a candidate; z(s) = log P(s) + log Z is its logit, where log Z makes it the logit that the model
gave (`Decision.log_normalizer`). All logarithms are natural.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from blendin_local.core.candidates import Distribution
from blendin_local.settings import SamplingSettings

History = Sequence[bytes | None]
"""The bytes of the tokens so far, oldest first. None is a token without bytes, equal to no other."""

MAX_LOG = 88.7228391  # log of the largest float32: where llama.cpp stops DRY's exponent


def last(history: History, n: int) -> History:
    """The last n tokens; all of them for n = -1."""
    return history if n < 0 else history[max(0, len(history) - n) :]


def counts_of(window: History) -> Mapping[bytes, int]:
    """n(s): how often each byte string is a token of the window."""
    return Counter(piece for piece in window if piece is not None)


def token_penalty(logit: float, count: int, settings: SamplingSettings) -> float:
    """The logit after the repeat, frequency and presence penalties.

    z' = (z / r if z > 0 else z * r) - n * f - p   for n > 0;   z' = z for n = 0

    Args:
        logit: z.
        count: n, how often the candidate is among the last `repeat_last_n` tokens.
        settings: r, f and p are `repeat_penalty`, `frequency_penalty` and `presence_penalty`.
    """
    if count == 0:
        return logit
    scaled = logit / settings.repeat_penalty if logit > 0 else logit * settings.repeat_penalty
    return scaled - count * settings.frequency_penalty - settings.presence_penalty


def since_breaker(window: History, breakers: Sequence[bytes]) -> int:
    """How many tokens follow the last one in which a breaker ends; the window's length if there is none.

    A breaker is looked for in the joined bytes, so it may begin in one token and end in another.
    """
    text = b"".join(piece or b"" for piece in window)
    end = max((at + len(b) for b in breakers if (at := text.rfind(b)) >= 0), default=-1)
    if end < 0:
        return len(window)
    sizes = (len(piece or b"") for piece in reversed(window))
    starts = (len(text) - size for size in accumulate(sizes))
    return next((i for i, start in enumerate(starts) if start < end), len(window))


def suffix_matches(window: History) -> Sequence[int]:
    """For each k: for how many tokens, read backwards, the window's end equals what stands k tokens earlier.

    The Z-function of the reversed window, in linear time (Gusfield 1997, section 1.4); entry 0 is unused.

    Returns:
        Length len(window).
    """
    text = [i if piece is None else piece for i, piece in enumerate(reversed(window))]
    matches, left, right = [0] * len(text), 0, 0  # text[left:right] is the match that reaches furthest
    for k in range(1, len(text)):
        n = min(matches[k - left], right - k) if k < right else 0
        while k + n < len(text) and text[n] == text[k + n]:
            n += 1
        matches[k] = n
        if k + n > right:
            left, right = k, k + n
    return matches


def repeated_lengths(window: History, breakers: Sequence[bytes], allowed: int) -> Mapping[bytes, int]:
    """DRY's l(s): of how many tokens the repetition is that s would continue.

    l(s) = max { l : the last l tokens also stand earlier in the window, and s follows them there }

    A repetition does not reach back over a breaker, and a candidate that contains one continues none.

    Args:
        window: The last tokens.
        breakers: Byte strings, none of them empty.
        allowed: Shorter repetitions are left out; at least 1.
    """
    limit = since_breaker(window, breakers)
    if limit < allowed or len(window) <= allowed:
        return {}
    lengths: dict[bytes, int] = {}
    for k, n in enumerate(suffix_matches(window)):
        piece = window[-k] if k else None  # what follows the earlier place
        if n >= allowed and piece is not None and not any(breaker in piece for breaker in breakers):
            lengths[piece] = max(lengths.get(piece, 0), min(n, limit))
    return lengths


def sequence_penalty(length: int, settings: SamplingSettings) -> float:
    """DRY's penalty, which is subtracted from the logit.

    m * b^(l - a)   for l >= a;   0 for l < a

    Args:
        length: l, of `repeated_lengths`.
        settings: m, b and a are `dry_multiplier`, `dry_base` and `dry_allowed_length`.
    """
    if length < settings.dry_allowed_length:
        return 0.0
    exponent = length - settings.dry_allowed_length
    if settings.dry_base > 1.000001:
        exponent = min(exponent, int(MAX_LOG / math.log(settings.dry_base)))
    return settings.dry_multiplier * math.pow(settings.dry_base, exponent)


def repetition_of(
    history: History, settings: SamplingSettings
) -> tuple[Mapping[bytes, int], Mapping[bytes, int]]:
    """n(s) and l(s) of every candidate that a penalty concerns; empty where that penalty is off."""
    counts: Mapping[bytes, int] = {}
    lengths: Mapping[bytes, int] = {}
    if settings.penalizes_tokens:
        counts = counts_of(last(history, settings.repeat_last_n))
    if settings.penalizes_sequences:
        breakers = [breaker.encode() for breaker in settings.dry_sequence_breaker]
        window = last(history, settings.dry_penalty_last_n)
        lengths = repeated_lengths(window, breakers, settings.dry_allowed_length)
    return counts, lengths


def penalize(
    options: Distribution,
    log_normalizer: float,
    counts: Mapping[bytes, int],
    lengths: Mapping[bytes, int],
    settings: SamplingSettings,
) -> Distribution:
    """The distribution after all penalties: P'(s) = exp z'(s) / sum_t exp z'(t).

    z'(s) is `token_penalty` of z(s) = log P(s) + log Z, less `sequence_penalty`: first the one, then the
    other, as in llama.cpp.

    Args:
        options: P, probabilities above 0 by byte string; they need not sum to 1.
        log_normalizer: log Z.
        counts: n(s) by byte string.
        lengths: l(s) by byte string.
        settings: The strengths.

    Returns:
        Probabilities that sum to 1, largest first, those of equals in the order of `options`.
    """
    logits = {
        s: token_penalty(math.log(p) + log_normalizer, counts.get(s, 0), settings)
        - sequence_penalty(lengths.get(s, 0), settings)
        for s, p in options.items()
    }
    peak = max(logits.values())
    weights = {s: math.exp(z - peak) for s, z in sorted(logits.items(), key=lambda item: -item[1])}
    total = sum(weights.values())
    return {s: w / total for s, w in weights.items() if w > 0}
