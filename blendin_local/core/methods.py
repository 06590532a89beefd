"""The methods: rules that turn what the models predict into the options for the next candidate.

Here: one generator per method and step. It yields requests for predictions (`Ask`), receives each prediction,
and returns a `Decision`. A new method is a new function with a line in `METHODS`.
Not here: the bets and deferral (`core.bets`), when the base is sure (`core.gates`), the decisions that
methods share (`core.outcomes`), the alignment dial (`core.dial`), the loop over steps (`decode.respond`), the
equations (`core.blending`), the mapping between vocabularies (`core.bridge`).
Source: sections 3 and 4 of the paper (Algorithm 1, lines 6 to 14) and the methods that it compares with. The
rule for silent mass is this program's: a base that makes no suggestion counts as uncertain; where the guide
makes none, the base decides alone, even if it makes none either.

Symbols: P_b(w) and P_g(w) are the probabilities that the base and the guide give token w, under the full
softmax; u = max_w P_b(w); tau is the threshold; t_g is the guide's top candidate; b and g are the lists of
candidates with their probabilities. All of these are plain probabilities in [0, 1], not logarithms.
Several guides are one here: P_g and g are what they say together (`core.guide_pool`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import replace

from blendin_local.core.bets import bet, bet_blend, kad
from blendin_local.core.blending import steer
from blendin_local.core.bridge import project
from blendin_local.core.candidates import END, Distribution
from blendin_local.core.decisions import (
    AnswerState,
    Ask,
    Decision,
    Method,
    MethodSteps,
    Mixture,
    TopOf,
    certain,
)
from blendin_local.core.dial import with_dial
from blendin_local.core.distribution import Prediction
from blendin_local.core.gates import is_certain, must_ask
from blendin_local.core.guides import ask_guides, projected
from blendin_local.core.outcomes import accepted, auto_weight, blended, guide_weight, kept, own_choice
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES, Role
from blendin_local.errors import PairError, UsageError
from blendin_local.settings import CALIBRATED_ALPHA, BlendSettings

__all__ = ["METHODS", "AnswerState", "Ask", "Decision", "Method", "MethodSteps", "Role", "roles_of"]

Filter = Callable[[Prediction, Prediction, BlendSettings], bool]

LOOK_AHEAD = 16  # tokens that the guide drafts at once, Fei et al. 2025
WORD = re.compile(rb"\s*\S+|\s+")


def base(_: BlendSettings, __: AnswerState) -> MethodSteps:
    """The base alone: w = argmax P_b(w)."""
    prediction = yield Ask("base")
    return Decision(prediction, base=prediction)


def guide(_: BlendSettings, __: AnswerState) -> MethodSteps:
    """The guide alone: w = argmax P_g(w)."""
    prediction = yield Ask("guide")
    return Decision(prediction, guide=prediction)


def steered(_: BlendSettings, __: AnswerState) -> MethodSteps:
    """InferAligner (Wang et al. 2024): the base alone, its layers shifted where the prompt opens the gate.

    The shift and the gate are the base's control vector's, and happen inside the model (`decode.steering`).
    """
    prediction = yield Ask("base")
    return Decision(prediction, base=prediction)


def nudging(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """NUDGING, section 3.1: where u = max P_b(w) < tau, the guide's top candidate is taken."""
    b = yield Ask("base")
    if is_certain(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    return kept(b, g) if g.silent else accepted(b, g)


def capped(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """Intervention capping, section 3.3 and table 3: NUDGING, without the guide while asked / steps > cap.

    Both counts are of the answer so far, so the guide is asked again once the base has decided enough steps.
    The first steps at which the settings require the guide count too, but are not capped.
    """
    b = yield Ask("base")
    is_over = state.steps >= settings.always_first and state.asked > settings.cap * state.steps
    if is_over or is_certain(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    return kept(b, g) if g.silent else accepted(b, g)


def agrees(b: Prediction, g: Prediction, settings: BlendSettings) -> bool:
    """Agreement filter, appendix A.3: t_g is among the base's top-k candidates."""
    return g.top in list(b.candidates)[: settings.filter_top_k]


def more_confident(b: Prediction, g: Prediction, _: BlendSettings) -> bool:
    """Confidence competition, appendix A.3: max P_g(w) > max P_b(w)."""
    return g.top_p > b.top_p


def filtered(*filters: Filter) -> Method:
    """Discrete filtering, appendix A.3: NUDGING, but the guide's candidate must pass every filter.

    If it fails one, the base's top candidate is kept, and the step still counts as asked.
    """

    def method(settings: BlendSettings, state: AnswerState) -> MethodSteps:
        b = yield Ask("base")
        if is_certain(b, settings, state):
            return own_choice(b)
        g = yield from ask_guides(settings, state)
        all_pass = not g.silent and all(passes(b, g, settings) for passes in filters)
        return accepted(b, g) if all_pass else kept(b, g)

    return method


def nudging_words(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """NUDGING as its authors ran it (Fei et al. 2025): the models alternate by words; only the guide ends.

    Where the base is unsure (u < tau) or would end the answer, the guide drafts 16 tokens, greedily at any
    temperature. Each word of the draft is one step. The first is accepted, and each further one until the
    base takes over: u >= tau, or the base's top token begins that word. The base then continues until it is
    unsure. If the draft contains the guide's END, all of it is accepted unchecked and the answer ends. A last
    word that the draft may have cut short is dropped unless it is the only one. Differences from the authors'
    code: the loop guard replaces their checks for repetition, and the base does not decode in chunks of 16
    tokens, which only saved API calls.
    """
    b = yield Ask("base")
    draft = state.draft
    checked = draft[-1:] != (END,)
    begins_word = bool(draft and b.top) and draft[0].startswith(b.top)
    takes_over = begins_word or is_certain(b, settings, state)
    if checked and b.top != END and takes_over and not must_ask(b, settings, state):
        return own_choice(b)
    g = yield Ask("guide")
    if g.silent:
        return kept(b, g)
    if not draft:
        draft = yield from _draft(g)
    return Decision(certain(draft[0]), base=b, guide=g, alpha=1.0, draft=draft[1:])


def _draft(g: Prediction) -> Generator[Ask, Prediction, tuple[bytes, ...]]:
    """The words that the guide decodes greedily, with END last if it is reached; never empty.

    If the guide makes no suggestion, the draft ends there and its last word is kept.
    """
    text = b""
    for _ in range(LOOK_AHEAD - 1):
        if g.top == END or g.silent:
            break
        text += g.top
        g = yield Ask("guide", after=text)
    if g.silent:
        return tuple(WORD.findall(text))
    if g.top == END:
        return (*WORD.findall(text), END)
    words = WORD.findall(text + g.top)
    return tuple(words[:-1] or words)


def blendin(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """BlendIn, section 4.1: where u = max P_b(w) < tau, both distributions are blended.

    alpha is eq. 3 unless the settings give a number; the blend is eq. 4.
    """
    b = yield Ask("base")
    if is_certain(b, settings, state):
        return own_choice(b)
    g = yield from ask_guides(settings, state)
    if g.silent:
        return kept(b, g)
    guided = yield from projected(g, b, settings)
    return blended(b, g, guided, guide_weight(b, g, guided, settings), settings)


def ensemble(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """Confidence-based ensembling, the baseline of section 4.2: a blend at every step.

    P(s) = (w * g(s) + (1 - w) * b(s)) / Z, w = max g / (max b + max g): eq. 3 and 4 without gate and
    agreement bonus. The paper cites Lakshminarayanan et al. 2017, whose deep ensembles average networks of
    one architecture, trained from different initial weights, all weighted equally. Weighting by confidence is
    the paper's description. A number for alpha is ignored: the weight would no longer be a confidence.
    """
    b = yield Ask("base")
    g = yield from ask_guides(settings, state)
    if g.silent:
        return Decision(b, base=b, guide=g, alpha=0.0)
    guided = yield from projected(g, b, settings)
    return blended(b, g, guided, auto_weight(b, g, guided, settings, bonus=0.0), settings)


def proxy(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """Proxy tuning (Liu et al. 2024) at every step: log P = log b + w * (log g - log a) - log Z.

    a is the untuned model: the guide before it was tuned, so log g - log a is what tuning changed; w is 1
    unless the settings give another weight. With a weight this is also the implicit value function of Liu et
    al. 2024 (integrated value guidance) applied to single tokens; their search is `decode.search`.
    Exact: each probability is from the full softmax, also outside a model's top-k. With one shared vocabulary
    the result is therefore the softmax of base + w * (guide - untuned) logits over the strings considered.
    Approximate: only the base's and the guide's top-k candidates are considered, if the base has a token for
    them, and Z is the sum over these. Between different vocabularies the bridge maps probabilities.
    A string that the guide or the untuned model lacks keeps the base's probability before normalisation. If
    either model makes no suggestion, the base's distribution is used unchanged.
    """
    b = yield Ask("base")
    return (yield from _steered(b, settings))


def gated_proxy(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """Proxy tuning only where the base is unsure; elsewhere no other model is asked.

    What tuning changes in a small model concerns few tokens, mostly where entropy is high ("Logit Grafting",
    OpenReview yWJLnCEKBI, which gates the same sum).
    """
    b = yield Ask("base")
    if is_certain(b, settings, state):
        return own_choice(b)
    decision = yield from _steered(b, settings)
    return decision if isinstance(decision.options, Mixture) else replace(decision, options=TopOf(b))


def _steered(b: Prediction, settings: BlendSettings) -> MethodSteps:
    """Ask the guide and the untuned model, and shift the base by what tuning changed."""
    g = yield Ask("guide")
    a = yield Ask("untuned")
    if g.silent or a.silent:
        return Decision(b, base=b, guide=g, untuned=a)
    guided = yield from project(g, "guide", b, settings)
    untuned = yield from project(a, "untuned", b, settings)
    pieces = {**b.candidates, **guided}
    models = ((b, b.candidates), (g, guided), (a, untuned))
    of_base, of_guide, of_untuned = (_probabilities(pieces, model, listed) for model, listed in models)
    steered = steer(of_base, of_guide, of_untuned, settings.proxy_weight)
    return Decision(Mixture(steered, b.candidates), base=b, guide=g, untuned=a)


def _probabilities(pieces: Mapping[bytes, float], model: Prediction, listed: Distribution) -> Distribution:
    """The probability of every piece: from `listed`, else from the model's full softmax."""
    found = {s: listed.get(s) or model.probability(s) for s in pieces}
    return {s: p for s, p in found.items() if p is not None}


RULES: Mapping[str, Method] = {
    "base": base,
    "guide": guide,
    "steer": steered,
    "nudging": nudging,
    "nudging-words": nudging_words,
    "capped": capped,
    "agreement": filtered(agrees),
    "competition": filtered(more_confident),
    "agreement+competition": filtered(agrees, more_confident),
    "bet": bet,
    "bet-blend": bet_blend,
    "kad": kad,
    "ensemble": ensemble,
    "proxy": proxy,
    "gated-proxy": gated_proxy,
    "blendin": blendin,
}

METHODS: Mapping[str, Method] = {name: with_dial(rule) for name, rule in RULES.items()}

STEERED = "steer"
"""The method that needs a control vector with a gate."""

ROLES: Mapping[str, tuple[Role, ...]] = {
    "base": ("base",),
    "guide": ("guide",),
    STEERED: ("base",),
    "proxy": ("base", "guide", "untuned"),
    "gated-proxy": ("base", "guide", "untuned"),
}
"""The models that a method needs, if not base and guide."""

BRIDGED = ("blendin", "bet-blend", "kad", "ensemble", "proxy", "gated-proxy")
"""The methods that join the candidates of two vocabularies, by the bridge that the settings name."""

UNGATED = ("ensemble", "proxy")
"""The methods that ask the guide at every step, however confident the base is."""

ASKING_IF_IT_MATTERS = ("bet", "bet-blend", "kad")
"""The methods that ask the guide wherever it can matter. That they ask often is no sign of a bad pair."""


ONE_GUIDE: Mapping[str, str] = {
    "nudging-words": "one guide writes its words",
    "proxy": "the untuned model is the partner of one guide",
    "gated-proxy": "the untuned model is the partner of one guide",
}
"""The methods that do not take several guides, and why. `base` asks none, and `guide` is the first alone."""


def roles_of(method: str, opened: Collection[Role] = ()) -> tuple[Role, ...]:
    """The roles that `method` may ask.

    Args:
        method: Its name.
        opened: The roles that there are models for; with further guides, methods that blend ask those too.
    """
    roles = ROLES.get(method, ("base", "guide"))
    further = tuple(role for role in FURTHER_GUIDES if role in opened)
    return (*roles, *further) if {"base", "guide"} <= set(roles) and method not in ONE_GUIDE else roles


def require_guides(opened: Collection[Role], settings: BlendSettings) -> None:
    """Raise `UsageError` unless the settings go with the guides that there are.

    Args:
        opened: The roles that there are models for.
        settings: What depends on several guides: their weights, and an alpha that is fitted for one.
    """
    method = settings.method
    n_guides = sum(role in opened for role in GUIDES)
    weights = settings.guide_weight
    if weights and len(weights) != n_guides and n_guides > 1:
        given = ", ".join(f"{weight:g}" for weight in weights)
        raise UsageError(
            f"guide-weight is {given}, but there are {n_guides} guides", "give a weight for each"
        )
    if n_guides < 2:
        return
    if method in ONE_GUIDE:
        raise UsageError(
            f"method {method} works with one guide: {ONE_GUIDE[method]}", "name one with --guide"
        )
    if settings.alpha == CALIBRATED_ALPHA:
        raise UsageError(
            "alpha calibrated works with one guide, for which it is fitted", "choose --alpha auto"
        )


def required_roles(settings: BlendSettings, opened: Collection[Role]) -> tuple[Role, ...]:
    """The roles that a method may ask.

    Args:
        settings: Its name, and what depends on several guides.
        opened: The roles of the models that are loaded.

    Raises:
        UsageError: There is no such method, or the settings do not go with several guides.
        PairError: A model that it needs is not loaded.
    """
    method = settings.method
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}", f"choose one of {', '.join(METHODS)}")
    require_guides(opened, settings)
    roles = roles_of(method, opened)
    missing = [role for role in roles if role not in opened]
    if missing:
        needed = "a third model, the untuned guide" if missing[0] == "untuned" else f"a {missing[0]}"
        raise PairError(
            f"method {method} needs {needed}, and none was opened", f"name one with --{missing[0]}"
        )
    return roles
