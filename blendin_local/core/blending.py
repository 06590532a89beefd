"""The paper's equations 3, 4 and 5, and those of other methods, each a function on candidate distributions.

Here: alpha, the blend as a mean or a product, the greedy choice with its rule for ties, the shares of several
guides, the steered base, deferral, the alignment dial.
Not here: when to blend (`core.methods`), how sure a model is (`core.gates`), sampling (`core.sampling`).
Sources: Gan et al., BlendIn, Findings of ACL 2026, section 4.1; Liu et al., Tuning Language Models by Proxy,
2024; the knapsack approximation deferral of EACL 2026, arXiv 2510.27017; Liu et al., Decoding-time
Realignment of Language Models, ICML 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def guide_shares(confidences: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The share of each of several guides in what they say together.

    v_i = w_i * max g_i / (sum over j of w_j * max g_j)

    Equation 3, without its bonus, divides the weight between two models in proportion to their confidences,
    (1 - alpha) : alpha = max b : max g. The same division among the guides, with a weight for each, gives the
    shares. The guides then stand in equations 3 and 4 as one, whose distribution is their mean (`pool`)

    g(s) = sum over i of v_i * g_i(s), alpha_i = alpha * v_i, alpha = equation 3 of b and g,
    blend(s) = ((1 - alpha) * b(s) + sum over i of alpha_i * g_i(s)) / Z

    So one guide is equation 3, to the bit (v = 1, g = g_1). A guide named twice is the guide named once, to
    the bit (v = 1/2 each, g = g_1), and one named k times among others is one of k times the weight, up to
    rounding; if each guide were divided against the base by itself, max g_i / (max b + sum of max g_j),
    copies of one guide would outvote the base. Guides that contradict each other have a smaller max g than
    guides that agree, and so leave more of the weight to the base.

    Args:
        confidences: max g_i, the largest probability of each guide's candidates.
        weights: w_i, above 0; only their ratios matter.

    Returns:
        Numbers in [0, 1] whose sum is 1; in proportion to the weights alone if no guide has a candidate.
    """
    parts = [w * c for w, c in zip(weights, confidences, strict=True)]
    total = math.fsum(parts)
    return [part / total for part in parts] if total else guide_shares([1.0] * len(parts), weights)


def pool(distributions: Sequence[Distribution], shares: Sequence[float]) -> Distribution:
    """The mean of several guides' distributions, over the union of their candidates; not normalised.

    g(s) = sum over i of v_i * g_i(s), where a missing probability is 0

    The sums do not depend on the order of the guides (`math.fsum`); that of equal candidates does.

    Args:
        distributions: g_i, probabilities by byte string.
        shares: v_i in [0, 1], with the sum 1.

    Returns:
        Probabilities, largest first; their sum is the mean of the sums of the g_i.
    """
    pieces = {s: None for each in distributions for s in each}
    parts = list(zip(distributions, shares, strict=True))
    means = {s: math.fsum(v * each.get(s, 0.0) for each, v in parts) for s in pieces}
    return dict(sorted(means.items(), key=itemgetter(1), reverse=True))


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


def product(base: Distribution, guide: Distribution, alpha: float) -> Distribution:
    """The weighted product instead of the weighted average of equation 4, normalised.

    P(s) = b(s)^(1 - alpha) * g(s)^alpha / Z, where a missing probability is 0, 0^0 = 1, and Z is the sum of
    the numerator over all s

    So it is g for alpha 1, b for alpha 0, and between them only candidates of both lists have weight. If the
    lists share no candidate, there is no product, and the result is `blend`.

    Args:
        base: b, probabilities by byte string.
        guide: g, likewise.
        alpha: The guide's weight in [0, 1].

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    pieces = {**base, **guide}
    weights = {s: base.get(s, 0.0) ** (1 - alpha) * guide.get(s, 0.0) ** alpha for s in pieces}
    return _normalised(weights) or blend(base, guide, alpha)


def steer(
    base: Distribution, guide: Distribution, untuned: Distribution, weight: float = 1.0
) -> Distribution:
    """Proxy tuning: the base, shifted by the log ratio of the tuned to the untuned small model.

    log P(s) = log b(s) + w * (log g(s) - log a(s)) - log Z (natural logarithms), for every s of b

    Args:
        base: b, probabilities by byte string.
        guide: g, the tuned small model's, likewise.
        untuned: a, the same model's before tuning. Where g or a lacks s, P(s) = b(s) / Z. A g(s) or a(s)
            of 0 counts as `TINY`.
        weight: w in [0, 5]; 1 is proxy tuning as published.

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    shared = guide.keys() & untuned.keys()
    ratios = {s: (max(guide[s], TINY) / max(untuned[s], TINY)) ** weight for s in shared}
    return _normalised({s: b * ratios.get(s, 1.0) for s, b in base.items()})


def kept_by_deferral(base: Distribution, threshold: float) -> Distribution:
    """The candidates that the base does not defer to the guide: those with d(y) = 0.

    d(y) = 1 if b(y) < lambda else 0

    Args:
        base: b, probabilities by byte string.
        threshold: lambda in [0, 1]; at most 1 / lambda candidates reach it.
    """
    return {y: p for y, p in base.items() if p >= threshold}


def defer(kept: Distribution, guide: Distribution) -> Distribution:
    """Deferral: what the base does not keep goes to the guide, normalised.

    P(y) = (kept(y) + D * g(y)) / Z, D = 1 - sum over y of kept(y)

    With kept(y) = (1 - d(y)) * b(y) it is pi(y) = (1 - d(y)) * b(y) + g(y) * sum over y' of d(y') * b(y').
    D holds the base's whole remaining mass, also that outside its list of candidates.

    Args:
        kept: The base's kept candidates with their probabilities, whose sum is at most 1.
        guide: g, probabilities by byte string.

    Returns:
        Probabilities that sum to 1, largest first; empty if no candidate has weight.
    """
    deferred = deferred_mass(kept)
    pieces = {**kept, **guide}
    return _normalised({y: kept.get(y, 0.0) + deferred * guide.get(y, 0.0) for y in pieces})


def deferred_mass(kept: Distribution) -> float:
    """D = 1 - sum over y of kept(y), in [0, 1]: the guide's weight in `defer`."""
    return max(0.0, 1.0 - sum(kept.values()))


def realign(base: Distribution, result: Distribution, dial: float) -> Distribution:
    """The alignment dial: the geometric line from the base through a method's result, normalised.

    log P(s) = (1 - c) * log b(s) + c * log r(s) - log Z (natural logarithms)

    c = 0 is b and c = 1 is r, exactly. Between them, only candidates of both have weight. For c > 1 the
    base's probability divides, so a candidate that its list lacks counts there as the last of the list.

    Args:
        base: b, probabilities by byte string, above 0.
        result: r, what the method chooses from, likewise; not empty.
        dial: c, not negative.

    Returns:
        Probabilities that sum to 1, largest first; r where b and r share no candidate.
    """
    if dial in {0, 1}:
        return _normalised(result if dial else base)
    missing = min(base.values(), default=0.0) if dial > 1 else 0.0
    pairs = {s: (base.get(s) or missing, r) for s, r in result.items()}
    logs = {s: (1 - dial) * math.log(b) + dial * math.log(r) for s, (b, r) in pairs.items() if b and r}
    peak = max(logs.values(), default=0.0)
    return _normalised({s: math.exp(log - peak) for s, log in logs.items()}) or _normalised(result)


def _normalised(weights: Mapping[bytes, float]) -> Distribution:
    """The weights divided by their sum, largest first; candidates of weight 0 are left out."""
    total = sum(weights.values())
    return {s: w / total for s, w in sorted(weights.items(), key=itemgetter(1), reverse=True) if w > 0}


def greedy(blended: Distribution, base: Distribution) -> bytes:
    """Equation 5: argmax_s P(s); ties go to the larger b(s), then to the smaller byte string.

    Args:
        blended: P, the result of `blend`, `steer` or another formula of this module.
        base: b, the base's candidates; a missing probability is 0.

    Raises:
        ValueError: `blended` is empty.
    """
    return min(_peaks(blended), key=lambda s: (-base.get(s, 0.0), s))
