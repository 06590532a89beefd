"""The laws of methods find the faults they are for: each method here breaks one of them."""

from dataclasses import replace

import pytest

from blendin_local.core.candidates import END
from blendin_local.core.decisions import Ask, Decision, Mixture, certain
from blendin_local.core.methods import METHODS
from blendin_local.settings import BlendSettings
from blendin_local.testing import check_method


def loses_mass(settings, state):
    """A blend that was not normalised."""
    decision = yield from METHODS["blendin"](settings, state)
    if decision.alpha is None:
        return decision
    halved = {piece: p / 2 for piece, p in decision.options.distribution().items()}
    return replace(decision, options=Mixture(halved, decision.base.candidates))


def makes_mass(settings, state):
    """A candidate whose weight is added to a distribution that was whole."""
    decision = yield from METHODS["base"](settings, state)
    spread = {b"x": 0.9, **decision.options.distribution()}
    return replace(decision, options=Mixture(spread, spread))


def always_asks(settings, state):
    """No gate, though it says that it has one."""
    return (yield from METHODS["ensemble"](settings, state))


def never_asks(_, __):
    """It says that it may ask the guide, and never does."""
    b = yield Ask("base")
    return Decision(certain(b.top), base=b)


def asks_a_stranger(_, __):
    """It asks a model that nobody loaded."""
    b = yield Ask("base")
    yield Ask("untuned")
    return Decision(b, base=b)


def asks_without_end(_, __):
    """A draft that never stops."""
    while True:
        yield Ask("base")


def takes_the_least(_, __):
    """What it takes greedily is not what it would mostly draw."""
    b = yield Ask("base")
    worst = min(b.candidates, key=b.candidates.get)
    options = type("Options", (), {"best": lambda _: worst, "distribution": lambda _: b.candidates})
    return Decision(options(), base=b)


def hides_the_guide(settings, state):
    """A step of the guide that counts as one of the base."""
    decision = yield from METHODS["blendin"](settings, state)
    return replace(decision, guide=None)


def obeys_a_silent_guide(settings, _):
    """What a guide would hardly say is taken all the same."""
    b = yield Ask("base")
    if b.top_p >= settings.threshold and not b.silent:
        return Decision(certain(b.top), base=b)
    g = yield Ask("guide")
    return Decision(Mixture(g.candidates, b.candidates), base=b, guide=g, alpha=1.0)


def never_ends(_, __):
    """END is only one more candidate, and it leaves it out."""
    b = yield Ask("base")
    rest = {piece: p for piece, p in b.candidates.items() if piece != END} or {b"!": 1.0}
    total = sum(rest.values())
    spread = {piece: p / total for piece, p in rest.items()}
    return Decision(Mixture(spread, spread), base=b)


def forgetful():
    """A method that counts its steps itself, over all answers."""
    steps = []

    def method(settings, state):
        steps.append(state)
        return (yield from METHODS["base" if len(steps) % 2 else "nudging"](settings, state))

    return method


@pytest.mark.parametrize(
    ("method", "law"),
    [
        (loses_mass, "the_options_are_a_distribution"),
        (makes_mass, "the_options_are_a_distribution"),
        (always_asks, "the_gate_holds"),
        (never_asks, "the_gate_holds"),
        (asks_a_stranger, "only_its_roles_are_asked"),
        (asks_without_end, "1000 questions"),
        (takes_the_least, "the_greedy_choice_is_the_likeliest"),
        (hides_the_guide, "the_decision_says_who_was_asked"),
        (obeys_a_silent_guide, "a_silent_helper_changes_nothing"),
        (never_ends, "the_end_ends"),
        (forgetful(), "answers_are_independent"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_method_is_found(method, law):
    """The law that it breaks says so, and on which models."""
    with pytest.raises(AssertionError, match=law) as caught:
        check_method(method)

    assert "models" in str(caught.value) or "questions" in str(caught.value)


def test_a_method_that_draws_without_the_seed_is_found():
    """Two runs with one seed must be one answer: chance comes from the sampling, not from the method."""
    answers = iter(range(10**6))

    def method(_, __):
        b = yield Ask("base")
        return Decision(certain(b"%d" % next(answers)), base=b)

    with pytest.raises(AssertionError, match="the same seed gave another answer"):
        check_method(method, roles=("base",))


def test_a_method_that_names_its_want_of_a_gate_is_left_in_peace():
    """The same method passes where it says what it is, and fails where a gated one says it has none."""
    check_method(METHODS["ensemble"], gated=False, cases=3)
    with pytest.raises(AssertionError, match="the_gate_holds"):
        check_method(METHODS["blendin"], gated=False, cases=1)


def test_a_method_with_a_test_of_its_own_says_from_where_the_base_is_sure():
    """A bet does not ask from 1 - margin on, whatever the threshold; without saying so it breaks the law."""
    check_method(METHODS["bet"], sure_from=lambda settings: 1 - settings.margin, cases=1)
    with pytest.raises(AssertionError, match="the_gate_holds"):
        check_method(METHODS["bet"], cases=1)


def test_the_settings_reach_the_method():
    """A method that cannot run with what it is given says so itself."""

    def method(settings, state):
        assert settings.cap == 0.3, "cap"
        return (yield from METHODS["capped"](settings, state))

    check_method(method, settings=BlendSettings(cap=0.3), cases=1)
    with pytest.raises(AssertionError, match="cap"):
        check_method(method, cases=1)
