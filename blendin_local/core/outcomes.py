"""Decisions that several methods come to.

Here: the base's own choice, the base's choice kept, the guide's choice accepted, a blend of both.
Not here: when a method comes to which (`core.methods`, `core.bets`), the equations (`core.blending`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from blendin_local.core.blending import auto_alpha, blend, product
from blendin_local.core.candidates import Distribution
from blendin_local.core.decisions import Decision, Mixture, TopOf
from blendin_local.core.distribution import Prediction
from blendin_local.settings import CALIBRATED_ALPHA, BlendSettings, Combine

COMBINATIONS: Mapping[Combine, Callable[[Distribution, Distribution, float], Distribution]] = {
    "mixture": blend,
    "product": product,
}


def own_choice(b: Prediction) -> Decision:
    """The base decides alone: its top candidate, even when sampling."""
    return Decision(TopOf(b), base=b)


def kept(b: Prediction, g: Prediction) -> Decision:
    """The guide was asked but the base's top candidate is kept: alpha 0, even when sampling."""
    return Decision(TopOf(b), base=b, guide=g, alpha=0.0)


def accepted(b: Prediction, g: Prediction) -> Decision:
    """The guide's top candidate: a blend with alpha 1."""
    return Decision(Mixture(g.candidates, b.candidates), base=b, guide=g, alpha=1.0)


def guide_weight(b: Prediction, g: Prediction, guided: Distribution, settings: BlendSettings) -> float:
    """Alpha: the number that the settings give, or equation 3."""
    if settings.alpha is None or settings.alpha == CALIBRATED_ALPHA:
        return auto_weight(b, g, guided, settings, settings.agreement_bonus)
    return settings.alpha


def auto_weight(
    b: Prediction, g: Prediction, guided: Distribution, settings: BlendSettings, bonus: float
) -> float:
    """Equation 3; with alpha `calibrated`, confidences at the temperatures that `blendin check` fitted.

    Only eq. 3's confidences are tempered: the gate, the agreement term and the blend stay as they are.
    """
    confidences = None
    if settings.alpha == CALIBRATED_ALPHA:
        of_base, of_guide = settings.temperatures
        confidences = b.confidence(of_base), g.confidence(of_guide)
    return auto_alpha(b.candidates, guided, bonus, confidences)


def blended(
    b: Prediction, g: Prediction, guided: Distribution, alpha: float, settings: BlendSettings
) -> Decision:
    """Equation 4, or the product in its place."""
    mixture = Mixture(combined(b, guided, alpha, settings), b.candidates)
    return Decision(mixture, base=b, guide=g, alpha=alpha)


def combined(b: Prediction, guided: Distribution, alpha: float, settings: BlendSettings) -> Distribution:
    """The blend as the settings combine it."""
    return COMBINATIONS[settings.combine](b.candidates, guided, alpha)
