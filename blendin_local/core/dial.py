"""The alignment dial: every method's result moved along the line that begins at the base.

Here: `with_dial`, which puts the dial behind a method.
Not here: the formula (`core.blending.realign`).
Source: decoding-time realignment, Liu et al., ICML 2024: between a model and its aligned version, all
strengths of alignment lie on one geometric line. Here the second point is what the method makes of both
models, so that 1 is the method and the dial works for all of them.
"""

from __future__ import annotations

from dataclasses import replace

from blendin_local.core.blending import realign
from blendin_local.core.decisions import AnswerState, Decision, Method, MethodSteps, Mixture, Redrawn
from blendin_local.settings import BlendSettings


def with_dial(method: Method) -> Method:
    """The same method with the dial of the settings.

    The dial turns what was blended. It does not change whom a method asks, and leaves alone where a model
    decides without the other: the base where it is sure or its choice is kept, or the only model there is.
    """

    def turned(settings: BlendSettings, state: AnswerState) -> MethodSteps:
        decision = yield from method(settings, state)
        return decision if settings.dial == 1 else _turn(decision, settings.dial)

    return turned


def _turn(decision: Decision, dial: float) -> Decision:
    b, options = decision.base, decision.options
    if b is None or not isinstance(options, Mixture | Redrawn):
        return decision
    if dial == 0:
        return replace(decision, options=b, alpha=0.0, draft=(), of_base=None)
    turned = realign(b.candidates, options.distribution(), dial)
    return replace(decision, options=Mixture(turned, b.candidates))
