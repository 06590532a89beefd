"""The paper's equations 3, 4 and 5, and that of proxy tuning, each a function on candidate distributions.

Here: alpha, the blend, the greedy choice with its rule for ties, the steered base.
Not here: when to blend (`core.methods`), sampling (`core.sampling`).
Sources: Gan et al., BlendIn, ACL 2026, section 4.1; Liu et al., Tuning Language Models by Proxy, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from blendin_local.core.candidates import Distribution

TINY = 1e-38  # about the smallest probability that float32 logits give


def likeliest(distribution: Distribution) -> bytes:
    """T = argmax_s P(s); the smaller byte string among equals. Raises ValueError if there is none."""
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
    """Equation 3: how far the guide is trusted beside the base.

    alpha = clip(max g / (max b + max g) + lambda * b(t_g), 0, 1)

    Args:
        base: b, the base's candidates.
        guide: g, the guide's candidates; t_g is the likeliest of them.
        agreement_bonus: lambda, the reward for a guide whose choice the base holds possible.
        confidences: What stands for max b and max g, where these are not to be trusted as they are. The
            second term is not one of the paper's confidences but support in the distribution that equation 4
            blends, so it stays b(t_g).

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

    P(s) = (alpha * g(s) + (1 - alpha) * b(s)) / Z, missing probabilities being 0

    Args:
        base: b.
        guide: g.
        alpha: The guide's weight in [0, 1].

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    pieces = {**base, **guide}  # a dict keeps its order from run to run, a set of bytes does not
    return _normalised({s: alpha * guide.get(s, 0.0) + (1 - alpha) * base.get(s, 0.0) for s in pieces})


def steer(base: Distribution, guide: Distribution, untuned: Distribution) -> Distribution:
    """Proxy tuning: the base, moved as tuning moved the small model.

    log P(s) = log b(s) + log g(s) - log a(s) - log Z, for every s of b

    Args:
        base: b.
        guide: g, the tuned small model.
        untuned: a, the same small model untuned. Where g or a has no s, b(s) stays as it is.

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    known = guide.keys() & untuned.keys()
    shifts = {s: max(guide[s], TINY) / max(untuned[s], TINY) for s in known}
    return _normalised({s: b * shifts.get(s, 1.0) for s, b in base.items()})


def _normalised(weights: Mapping[bytes, float]) -> Distribution:
    """Divided by their sum, largest first; what has no weight drops out."""
    total = sum(weights.values())
    return {s: w / total for s, w in sorted(weights.items(), key=itemgetter(1), reverse=True) if w > 0}


def greedy(blended: Distribution, base: Distribution) -> bytes:
    """Equation 5: argmax_s P(s); ties go to the larger b(s), then to the smaller byte string."""
    return min(_peaks(blended), key=lambda s: (-base.get(s, 0.0), s))
