"""Methods that ask the guide wherever it can matter: the bets and deferral.

Here: `bet`, `bet_blend`, `kad`. Each has a test of its own instead of the gate, which shows from the base's
top-1 probability alone that no prediction of the guide could change the greedy choice.
Not here: the formula of deferral (`core.blending`), the two draws of a sampled bet (`core.sampling`).
Sources: Hammal, Zweigenbaum and Corro, ACL 2026 (short), arXiv 2604.16146, who read nudging and its relatives
as drafts of the base that a test rejects; KAD, EACL 2026, arXiv 2510.27017. Written from the formulas.

Symbols as in `core.methods`; v is the base's candidate, m the margin, lambda the threshold.
"""

from __future__ import annotations

from blendin_local.core.blending import defer, deferred_mass, kept_by_deferral
from blendin_local.core.candidates import Distribution
from blendin_local.core.decisions import AnswerState, Ask, Decision, MethodSteps, Mixture, Redrawn
from blendin_local.core.distribution import Prediction
from blendin_local.core.gates import must_ask
from blendin_local.core.guides import ask_guides, projected
from blendin_local.core.outcomes import accepted, combined, guide_weight, kept, own_choice
from blendin_local.settings import BlendSettings

MAJORITY = 0.5  # all other candidates together have less than one that has more than this


def is_rejected(p: float, guide_peak: float, margin: float) -> bool:
    """The conservative confidence bet: the base's candidate v is rejected iff b(v) < max g - m.

    Since max g <= 1, a candidate with b(v) >= 1 - m is never rejected, whatever the guide says.

    Args:
        p: b(v), the probability in [0, 1] that the base gives its candidate.
        guide_peak: max g, the guide's top-1 probability in [0, 1].
        margin: m in [0, 1].
    """
    return p < guide_peak - margin


def bet(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """The bet: the guide speaks where it is surer of its candidate than the base of its own, by a margin.

    Greedy: where u < max g - m, the guide's top candidate, else the base's own. When sampling: v is drawn
    from b, and where it is rejected, a candidate is drawn from g.
    """
    b = yield Ask("base")
    if _is_safe(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    if g.silent:
        return kept(b, g)
    if state.sampled:
        return _redrawn(b, g, g.candidates, 1.0, settings)
    return accepted(b, g) if _rejects_top(b, g, settings) else kept(b, g)


def bet_blend(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """The bet whose rejected candidates give way to BlendIn's blend instead of to the guide alone."""
    b = yield Ask("base")
    if _is_safe(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    if g.silent or not (state.sampled or _rejects_top(b, g, settings)):
        return kept(b, g)
    guided = yield from projected(g, b, settings)
    alpha = guide_weight(b, g, guided, settings)
    spread = combined(b, guided, alpha, settings)
    if state.sampled:
        return _redrawn(b, g, spread, alpha, settings)
    return Decision(Mixture(spread, b.candidates), base=b, guide=g, alpha=alpha)


def _is_safe(b: Prediction, settings: BlendSettings, state: AnswerState) -> bool:
    """Whether no guide could reject the base's top candidate, and nothing requires that it is asked."""
    return not (must_ask(b, settings, state) or is_rejected(b.top_p, 1.0, settings.margin))


def _rejects_top(b: Prediction, g: Prediction, settings: BlendSettings) -> bool:
    """The test for v = argmax b; a base that makes no suggestion has nothing to bet on."""
    return b.silent or is_rejected(b.top_p, g.top_p, settings.margin)


def _redrawn(
    b: Prediction, g: Prediction, second: Distribution, alpha: float, settings: BlendSettings
) -> Decision:
    """The bet of a sampled answer: a draw of b, and of `second` where that is rejected.

    With R for the probability of a second draw, and alpha for the guide's weight there, the guide's weight in
    the step is R * alpha.
    """
    listed = {} if b.silent else b.candidates
    taken = {v: p for v, p in listed.items() if not is_rejected(p, g.top_p, settings.margin)}
    options = Redrawn(b.candidates, taken.keys(), second)
    share = (1 - alpha) * options.rejected_mass
    of_base = {v: taken.get(v, 0.0) + share * p for v, p in b.candidates.items()}
    return Decision(options, base=b, guide=g, alpha=alpha * options.rejected_mass, of_base=of_base)


def kad(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """Deferral, in its dual form: what the base holds for unlikely, below lambda, it leaves to the guide.

    The base alone decides where u >= lambda and u > 1/2: it keeps its top candidate, and all else together,
    whatever the guide makes of the deferred mass, has at most 1 - u < u.
    """
    b = yield Ask("base")
    is_kept = b.top_p >= settings.threshold and b.top_p > MAJORITY
    if is_kept and not must_ask(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    if g.silent:
        return kept(b, g)
    guided = yield from projected(g, b, settings)
    own = {} if b.silent else kept_by_deferral(b.candidates, settings.threshold)
    mixture = Mixture(defer(own, guided), b.candidates)
    return Decision(mixture, base=b, guide=g, alpha=deferred_mass(own), of_base=own)
