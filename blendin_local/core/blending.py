"""The paper's equations 3, 4 and 5, and that of proxy tuning, each a function on candidate distributions.

Here: alpha, the blend, the greedy choice with its rule for ties, the steered base.
Not here: when to blend (`core.methods`), sampling (`core.sampling`).
Sources: Gan et al., BlendIn, ACL 2026, section 4.1; Liu et al., Tuning Language Models by Proxy, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from blendin_local.core.candidates import Distribution

TINY = 1e-38  # about the smallest normal float32: avoids division by a probability of 0


def likeliest(distribution: Distribution) -> bytes:
    """The most probable candidate: argmax_s P(s); among equals the smallest byte string.

    Args:
        distribution: P, probabilities by byte string.

    Raises:
        ValueError: `distribution` is empty.
    """
    return min(_peaks(distribution))


def _peaks(distribution: Distribution) -> list[bytes]:
    """The candidates that share the largest probability; nearly always one."""
    peak = max(distribution.values())
    return [piece for piece, p in distribution.items() if p == peak]


def auto_alpha(
    base: Distribution,
    guide: Distribution,
    agreement_bonus: float,
    confidences: tuple[float, float] | None = None,
) -> float:
    """Equation 3: the guide's weight in the blend.

    alpha = clip(max g / (max b + max g) + lambda * b(t_g), 0, 1)

    Args:
        base: b, the base's candidates: probabilities in [0, 1] by byte string.
        guide: g, the guide's candidates, likewise; t_g is the likeliest of them.
        agreement_bonus: lambda, not negative: the weight of the base's probability for the guide's choice.
        confidences: Replacements for max b and max g, such as calibrated probabilities. They do not replace
            b(t_g), which is not a confidence but a probability in the distribution that equation 4 blends.

    Returns:
        A number in [0, 1]; 0.5 where neither model has a candidate.
    """
    base_peak, guide_peak = confidences or tuple(max(d.values(), default=0.0) for d in (base, guide))
    if base_peak + guide_peak == 0:
        return 0.5
    agreement = base.get(likeliest(guide), 0.0) if guide else 0.0
    alpha = guide_peak / (base_peak + guide_peak) + agreement_bonus * agreement
    return min(max(alpha, 0.0), 1.0)


def blend(base: Distribution, guide: Distribution, alpha: float) -> Distribution:
    """Equation 4: the weighted average over the union of both candidate lists, normalised.

    P(s) = (alpha * g(s) + (1 - alpha) * b(s)) / Z, where a missing probability is 0 and Z is the sum of
    the numerator over all s

    Args:
        base: b, probabilities by byte string.
        guide: g, likewise.
        alpha: The guide's weight in [0, 1].

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    weights = {s: (1 - alpha) * p for s, p in base.items()}
    for s, p in guide.items():
        weights[s] = alpha * p + weights.get(s, 0.0)
    return _normalised(weights)


def steer(base: Distribution, guide: Distribution, untuned: Distribution) -> Distribution:
    """Proxy tuning: the base, shifted by the log ratio of the tuned to the untuned small model.

    log P(s) = log b(s) + log g(s) - log a(s) - log Z (natural logarithms), for every s of b

    Args:
        base: b, probabilities by byte string.
        guide: g, the tuned small model's, likewise.
        untuned: a, the same model's before tuning. Where g or a lacks s, P(s) = b(s) / Z. A g(s) or a(s)
            of 0 counts as `TINY`.

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    shared = guide.keys() & untuned.keys()
    ratios = {s: max(guide[s], TINY) / max(untuned[s], TINY) for s in shared}
    return _normalised({s: b * ratios.get(s, 1.0) for s, b in base.items()})


def _normalised(weights: Mapping[bytes, float]) -> Distribution:
    """The weights divided by their sum, largest first; candidates of weight 0 are left out."""
    total = sum(weights.values())
    return {s: w / total for s, w in sorted(weights.items(), key=itemgetter(1), reverse=True) if w > 0}


def greedy(blended: Distribution, base: Distribution) -> bytes:
    """Equation 5: argmax_s P(s); ties go to the larger b(s), then to the smaller byte string.

    Args:
        blended: P, the result of `blend` or `steer`.
        base: b, the base's candidates; a missing probability is 0.

    Raises:
        ValueError: `blended` is empty.
    """
    return min(_peaks(blended), key=lambda s: (-base.get(s, 0.0), s))
