"""The gate: at which steps the base decides alone.

Here: three measures of how sure the base is, each a function, and `is_certain`, which compares the one that
the settings name with the threshold.
Not here: what happens where it is not sure (`core.methods`). Methods that ask wherever the guide can matter
have a test of their own instead of the threshold (`core.bets`).
Sources: Gan et al., BlendIn, Findings of ACL 2026, section 3.1 (top-1); the other two are usual measures,
entropy as in "SIA", arXiv 2602.21215. The scale exp(-H) is this program's, so that one threshold serves all.

All three lie in [0, 1], are 1 for a base that knows its next token, and, but for ids that share their bytes,
neither of the others exceeds the top-1 probability: at an equal threshold they ask at least as often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from blendin_local.core.decisions import AnswerState
from blendin_local.core.distribution import Prediction
from blendin_local.settings import BlendSettings, Gate


def top1(base: Prediction) -> float:
    """U = max_i P_b(i), the top-1 probability."""
    return base.top_p


def margin(base: Prediction) -> float:
    """P_b(s1) - P_b(s2), the difference between the two likeliest candidates."""
    return base.margin


def entropy(base: Prediction) -> float:
    """exp(-H(b)): one over the number of equally likely tokens that would have the same entropy.

    H(b) > h nats is exp(-H(b)) < exp(-h); the threshold 0.4 is h = 0.92.
    """
    return math.exp(-base.entropy)


CERTAINTIES: Mapping[Gate, Callable[[Prediction], float]] = {
    "top1": top1,
    "margin": margin,
    "entropy": entropy,
}


def must_ask(base: Prediction, settings: BlendSettings, state: AnswerState) -> bool:
    """Whether the guide is asked however sure the base is.

    It is in the first steps that the settings name, and where the base makes no suggestion.
    """
    return state.steps < settings.always_first or base.silent


def is_certain(base: Prediction, settings: BlendSettings, state: AnswerState) -> bool:
    """Whether the base decides alone: its certainty is at least tau, and nothing requires the guide."""
    if must_ask(base, settings, state):
        return False
    return CERTAINTIES[settings.gate](base) >= settings.threshold
