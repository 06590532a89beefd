"""The methods: rules that turn what the models predict into the options for the next candidate.

Here: one generator per method and step. It yields what it asks (`Ask`), receives the prediction, and returns
a `Decision`. A new method is a new function with a line in `METHODS`.
Not here: the loop over steps (`decode.respond`), the equations (`core.blending`), how vocabularies meet
(`core.bridge`).
Source: sections 3 and 4 of the paper (Algorithm 1, lines 6 to 14), and what it compares itself with. Silent
mass is a rule of this program: a base that makes no suggestion counts as uncertain, and where the guide makes
none, the base's own choice stays, as if nobody had been asked. Where neither does, it is the base's likeliest
candidate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping

from blendin_local.core.blending import auto_alpha, blend, steer
from blendin_local.core.bridge import project
from blendin_local.core.candidates import END, Distribution
from blendin_local.core.decisions import AnswerState, Ask, Decision, MethodSteps, Mixture, Role, certain
from blendin_local.core.distribution import Prediction
from blendin_local.settings import CALIBRATED_ALPHA, BlendSettings

__all__ = ["METHODS", "AnswerState", "Ask", "Decision", "Method", "MethodSteps", "Role", "roles_of"]

Method = Callable[[BlendSettings, AnswerState], MethodSteps]
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


def _is_certain(b: Prediction, settings: BlendSettings) -> bool:
    """Whether the base decides alone: u >= tau, and it makes a suggestion."""
    return b.top_p >= settings.threshold and not b.silent


def _own_choice(b: Prediction) -> Decision:
    """The base is sure, or left alone: its own top candidate, also when sampling."""
    return Decision(certain(b.top), base=b)


def _kept(b: Prediction, g: Prediction) -> Decision:
    """The guide was asked, and the base's own choice stays: a blend with alpha 0, also when sampling."""
    return Decision(certain(b.top), base=b, guide=g, alpha=0.0)


def _accepted(b: Prediction, g: Prediction) -> Decision:
    """The guide's top candidate: a blend with alpha 1."""
    return Decision(Mixture(g.candidates, b.candidates), base=b, guide=g, alpha=1.0)


def nudging(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """NUDGING, section 3.1: where u = max P_b(w) < tau, the guide's top candidate is taken."""
    b = yield Ask("base")
    if _is_certain(b, settings):
        return _own_choice(b)
    g = yield Ask("guide")
    return _kept(b, g) if g.silent else _accepted(b, g)


def capped(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """Intervention capping, section 3.3 and table 3: NUDGING, but no more once asked / steps > cap.

    The share is that of the answer so far, so guidance comes back when the base has spoken long enough.
    """
    b = yield Ask("base")
    if _is_certain(b, settings) or state.asked > settings.cap * state.steps:
        return _own_choice(b)
    g = yield Ask("guide")
    return _kept(b, g) if g.silent else _accepted(b, g)


def agrees(b: Prediction, g: Prediction, settings: BlendSettings) -> bool:
    """Agreement filter, appendix A.3: t_g is among the base's top-k candidates."""
    return g.top in list(b.candidates)[: settings.filter_top_k]


def more_confident(b: Prediction, g: Prediction, _: BlendSettings) -> bool:
    """Confidence competition, appendix A.3: max P_g(w) > max P_b(w)."""
    return g.top_p > b.top_p


def filtered(*filters: Filter) -> Method:
    """Discrete filtering, appendix A.3: NUDGING, but a suggestion must pass every filter.

    One that does not is rejected: the base's own choice stays, and the step counts as asked.
    """

    def method(settings: BlendSettings, _: AnswerState) -> MethodSteps:
        b = yield Ask("base")
        if _is_certain(b, settings):
            return _own_choice(b)
        g = yield Ask("guide")
        accepted = not g.silent and all(passes(b, g, settings) for passes in filters)
        return _accepted(b, g) if accepted else _kept(b, g)

    return method


def nudging_words(settings: BlendSettings, state: AnswerState) -> MethodSteps:
    """NUDGING as its authors ran it (Fei et al. 2025): hand-over by words, and only the guide's END ends.

    Where the base is unsure (or would end), the guide drafts 16 tokens. Its first word is taken; each further
    one unless the base takes over: its top token begins that word, or u >= tau. The base then goes on until
    it is unsure. If the guide ends inside its draft, all of it is taken unchecked, and the answer ends. Each
    word is one step. A last word that the draft may have cut is left out, unless it is the only one. The
    guide drafts greedily at any temperature. Left out: the authors' guards against repetition, which the loop
    guard stands for, and the base's chunks of 16 tokens, which only saved them calls.
    """
    b = yield Ask("base")
    draft = state.draft
    checked = draft[-1:] != (END,)
    begins_word = bool(draft and b.top) and draft[0].startswith(b.top)
    if checked and b.top != END and not b.silent and (b.top_p >= settings.threshold or begins_word):
        return _own_choice(b)
    g = yield Ask("guide")
    if g.silent:
        return _kept(b, g)
    if not draft:
        draft = yield from _draft(g)
    return Decision(certain(draft[0]), base=b, guide=g, alpha=1.0, draft=draft[1:])


def _draft(g: Prediction) -> Generator[Ask, Prediction, tuple[bytes, ...]]:
    """The words that the guide would say greedily from here, END last if it comes that far; never empty.

    Where it makes no suggestion the draft is over, its last word as whole as it will be.
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


def _weight(
    settings: BlendSettings, b: Prediction, g: Prediction, guided: Distribution, bonus: float
) -> float:
    """Equation 3; with alpha `calibrated`, confidences at the temperatures that `blendin check` fitted.

    Only eq. 3's confidences are tempered: the gate, the agreement term and the blend stay as they are.
    """
    confidences = None
    if settings.alpha == CALIBRATED_ALPHA:
        of_base, of_guide = settings.temperatures
        confidences = b.confidence(of_base), g.confidence(of_guide)
    return auto_alpha(b.candidates, guided, bonus, confidences)


def _blended(b: Prediction, g: Prediction, guided: Distribution, alpha: float) -> Decision:
    """Equation 4."""
    mixture = Mixture(blend(b.candidates, guided, alpha), b.candidates)
    return Decision(mixture, base=b, guide=g, alpha=alpha)


def blendin(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """BlendIn, section 4.1: where u = max P_b(w) < tau, both distributions are blended.

    alpha is eq. 3 unless the settings give a number; the blend is eq. 4.
    """
    b = yield Ask("base")
    if _is_certain(b, settings):
        return _own_choice(b)
    g = yield Ask("guide")
    if g.silent:
        return _kept(b, g)
    guided = yield from project(g, "guide", b, settings)
    alpha = settings.alpha
    if alpha is None or alpha == CALIBRATED_ALPHA:
        alpha = _weight(settings, b, g, guided, settings.agreement_bonus)
    return _blended(b, g, guided, alpha)


def ensemble(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """Confidence-based ensembling, which section 4.2 sets against BlendIn: a blend at every step.

    P(s) = w * g(s) + (1 - w) * b(s), w = max g / (max b + max g): eq. 3 and 4 without gate and agreement
    bonus. The paper cites Lakshminarayanan et al. 2017 for it. Their deep ensembles average networks of one
    kind, trained from different starts, with equal weights; that confidence weighs is how the paper describes
    the idea. A number for alpha is not read, for then nothing here would be about confidence.
    """
    b = yield Ask("base")
    g = yield Ask("guide")
    if g.silent:
        return Decision(b, base=b, guide=g, alpha=0.0)
    guided = yield from project(g, "guide", b, settings)
    return _blended(b, g, guided, _weight(settings, b, g, guided, bonus=0.0))


def proxy(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """Proxy tuning (Liu et al. 2024) at every step: log P = log b + log g - log a - log Z.

    a is the untuned model: the guide before it was tuned, so log g - log a is what tuning changed. This
    is also the implicit value function of Liu et al. 2024 (integrated value guidance) applied to single
    tokens; their search over chunks with a second, trained value function is not implemented.
    Exact: each probability is looked up under the full softmax, whichever string is considered. Over one
    shared vocabulary the result is therefore the sum of the three models' logits.
    Approximate: only the base's and the guide's top-k candidates are considered, as far as the base has a
    token for them, and Z is the sum over these. Across vocabularies strings meet through the bridge.
    Where the guide or the untuned model lacks a string, the base's probability stays. It also stays
    everywhere when one of the two makes no suggestion.
    """
    b = yield Ask("base")
    g = yield Ask("guide")
    a = yield Ask("untuned")
    if g.silent or a.silent:
        return Decision(b, base=b, guide=g, untuned=a)
    guided = yield from project(g, "guide", b, settings)
    untuned = yield from project(a, "untuned", b, settings)
    pieces = {**b.candidates, **guided}
    steered = steer(
        *(
            _probabilities(pieces, model, known)
            for model, known in ((b, b.candidates), (g, guided), (a, untuned))
        )
    )
    return Decision(Mixture(steered, b.candidates), base=b, guide=g, untuned=a)


def _probabilities(pieces: Mapping[bytes, float], model: Prediction, known: Distribution) -> Distribution:
    """The probability of every piece: as it was known, else as the model's full softmax has it."""
    found = {s: known.get(s) or model.probability(s) for s in pieces}
    return {s: p for s, p in found.items() if p is not None}


METHODS: Mapping[str, Method] = {
    "base": base,
    "guide": guide,
    "nudging": nudging,
    "nudging-words": nudging_words,
    "capped": capped,
    "agreement": filtered(agrees),
    "competition": filtered(more_confident),
    "agreement+competition": filtered(agrees, more_confident),
    "ensemble": ensemble,
    "proxy": proxy,
    "blendin": blendin,
}

ROLES: Mapping[str, tuple[Role, ...]] = {
    "base": ("base",),
    "guide": ("guide",),
    "proxy": ("base", "guide", "untuned"),
}
"""The models a method needs, where these are not base and guide."""

UNGATED = ("ensemble", "proxy")
"""The methods that ask at every step by what they are, however sure the base is."""


def roles_of(method: str) -> tuple[Role, ...]:
    """The roles that `method` may ask."""
    return ROLES.get(method, ("base", "guide"))
