"""Bets, deferral, gates, first steps and the alignment dial, on models whose distributions are written."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.candidates import END
from blendin_local.core.methods import ASKING_IF_IT_MATTERS, METHODS, UNGATED
from blendin_local.core.methods import ROLES as MODELS
from blendin_local.core.records import summarize
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing import always, converse, random_script

EVERYWHERE = 1000  # more first steps than any answer here has
GUIDED = [method for method in METHODS if len(MODELS.get(method, ("base", "guide"))) > 1]
GATED = [method for method in GUIDED if method not in {*UNGATED, *ASKING_IF_IT_MATTERS}]
DECIDED = settings(deadline=None, max_examples=60)


def run(method, base, guide, untuned=None, *, n=12, temperature=0.0, seed=0, **blend):
    return converse(
        base,
        guide,
        untuned or always(a=0.5),
        blend=BlendSettings(method=method, **blend),
        sampling=SamplingSettings(temperature=temperature, seed=seed),
        answer=AnswerSettings(max_tokens=n, loop_guard=False, top_logprobs=5),
    )


def told(steps):
    return [(step.bytes, step.source, step.alpha) for step in steps]


def sentence(*distributions):
    """A model that predicts these distributions one after another (each step adds one letter), then ends."""
    return lambda text: distributions[len(text)] if len(text) < len(distributions) else {END: 1.0}


def words(steps, ending):
    return [step.bytes for step in steps], ending.stopped_by


def models(seed):
    return [random_script(seed, role) for role in ("base", "guide", "untuned")]


# Sequences worked out by hand

BASE = sentence({b"a": 0.85}, {b"a": 0.6}, {b"a": 0.6}, {b"a": 0.3}, {b"a": 0.48, b"b": 0.45})
GUIDE = sentence({b"g": 1.0}, {b"g": 0.7}, {b"g": 0.9}, {b"g": 0.4}, {b"b": 0.8})


def test_a_bet_by_hand():
    """Margin 0.2: 0.85 is not asked about; 0.6 stands against 0.7, falls to 0.9; 0.3 stands against 0.4."""
    steps, _, roles = run("bet", BASE, GUIDE)

    assert told(steps) == [
        (b"a", "base", None),
        (b"a", "kept", 0.0),
        (b"g", "changed", 1.0),
        (b"a", "kept", 0.0),
        (b"b", "changed", 1.0),
    ]
    assert roles["guide"].questions == [b"a", b"aa", b"aag", b"aaga"]


def test_a_bet_that_blends_by_hand():
    """As the bet, but a rejected 0.6 meets the guide's 0.9 with alpha 0.9 / 1.5 = 0.6: 0.54 against 0.24."""
    steps, _, _ = run("bet-blend", BASE, GUIDE)
    blend = {c.bytes: c.p for c in steps[2].candidates.blend}

    assert [step.bytes for step in steps] == [b"a", b"a", b"g", b"a", b"b"]
    assert [step.alpha for step in steps] == [
        None,
        0.0,
        pytest.approx(0.6),
        0.0,
        pytest.approx(0.8 / 1.28 + 0.1 * 0.45),
    ]
    assert blend == pytest.approx({b"g": 0.54 / 0.78, b"a": 0.24 / 0.78})


def test_a_bet_that_blends_may_still_keep_the_base():
    """Rejected by 0.9 - 0.2 > 0.6, but a weight of 0.1 leaves the base's candidate the largest."""
    [step] = run("bet-blend", always(a=0.6), always(g=0.9), n=1, alpha=0.1)[0]

    assert told([step]) == [(b"a", "kept", 0.1)]


def test_deferral_by_hand():
    """Lambda 0.4: 0.85 and 0.6 keep themselves; 0.3 is deferred whole; 0.48 loses to 0.45 + 0.07 * 0.8."""
    steps, _, roles = run("kad", BASE, GUIDE)

    assert told(steps) == [
        (b"a", "base", None),
        (b"a", "base", None),
        (b"a", "base", None),
        (b"g", "changed", 1.0),
        (b"b", "changed", pytest.approx(0.07, abs=1e-6)),
    ]
    assert roles["guide"].questions == [b"aaa", b"aaag"]


def test_deferral_changes_the_winner_where_nudging_does_not():
    """0.45 is kept, 0.55 deferred: 0.45 against 0.55 * 0.9. At 0.4 nudging would not ask."""
    base, guide = always(a=0.45, c=0.3), always(b=0.9)

    assert run("kad", base, guide, n=1)[0][0].bytes == b"b"
    assert run("nudging", base, guide, n=1)[0][0].bytes == b"a"
    assert run("kad", base, always(b=0.7), n=1)[0][0].bytes == b"a"


def test_the_end_is_whose_part_of_it_is_larger():
    """Deferral: 0.55 kept against 0.45 * 0.95. A blend with weight 0.2: 0.8 * 0.55 against 0.2 * 0.9."""
    deferral = run("kad", lambda _: {END: 0.55}, lambda _: {END: 0.95}, always_first=1)
    mostly_base, mostly_guide = (
        run("bet-blend", lambda _: {END: 0.55}, lambda _: {END: 0.9}, alpha=alpha, temperature=1.0)
        for alpha in (0.2, 0.8)
    )

    assert deferral[1].stopped_by == "base_end"
    assert mostly_base[1].stopped_by == "base_end"
    assert mostly_guide[1].stopped_by == "guide_end"


def test_gated_proxy_tuning_by_hand():
    """Where the base is sure nobody else is asked; where not, b g / a decides, and the weight counts."""
    base = sentence({b"a": 0.6, b"b": 0.2}, {b"a": 0.36, b"b": 0.2})
    guide, untuned = always(a=0.2, b=0.4), always(a=0.2, b=0.25)
    steps, _, roles = run("gated-proxy", base, guide, untuned)
    strong, _, _ = run("gated-proxy", base, guide, untuned, proxy_weight=2)

    assert told(steps) == [(b"a", "base", None), (b"a", "kept", None)]
    assert told(strong) == [(b"a", "base", None), (b"b", "changed", None)]
    assert [len(role.questions) for role in roles.values()] == [3, 1, 1]


@pytest.mark.parametrize(("combine", "said"), [("mixture", b"g"), ("product", b"b")])
def test_a_product_wants_both_models_to_agree(combine, said):
    """The mean follows the guide's 0.6, the product the candidate that both hold for possible."""
    base, guide = always(a=0.3, b=0.25), always(g=0.6, b=0.3)

    for method in ("blendin", "ensemble", "bet-blend"):
        assert run(method, base, guide, n=1, combine=combine)[0][0].bytes == said


@pytest.mark.parametrize(
    ("gate", "asked"),
    [("top1", [False, False, True]), ("margin", [False, True, True]), ("entropy", [True, False, True])],
)
def test_every_gate_asks_where_its_measure_is_low(gate, asked):
    """0.5 over many others has a high entropy, 0.5 and 0.5 no margin, 0.3 is unsure by any measure."""
    many = {b"%c" % (98 + i): 0.03 for i in range(16)}
    base = sentence({b"a": 0.52, **many}, {b"a": 0.51, b"b": 0.49}, {b"a": 0.3})
    for method in {*GATED} - {"nudging-words"}:
        steps, _, _ = run(method, base, always(a=0.9), n=3, gate=gate, cap=1)
        assert [step.asked for step in steps] == asked, method


@pytest.mark.parametrize("method", GUIDED)
@pytest.mark.parametrize("m", [0, 1, 3])
def test_the_first_steps_ask_however_sure_the_base_is(method, m):
    """A base that is always sure is asked about in the first M steps only; no cap holds there."""
    steps, _, _ = run(method, always(a=0.99), always(a=0.9), n=5, always_first=m)

    asked = 5 if method in UNGATED else m
    assert [step.asked for step in steps] == [True] * asked + [False] * (5 - asked)


def test_the_guide_decides_the_first_steps():
    """Nudging takes the guide's words there, also where the base would begin the same word."""
    steps, _, _ = run("nudging", always(a=0.99), always(g=0.9), n=4, always_first=2)
    by_words, _, _ = run(
        "nudging-words",
        lambda _: {b" w": 0.99},
        lambda text: {b" w%d" % text.count(b"w"): 0.9},
        n=3,
        always_first=2,
    )

    assert b"".join(step.bytes for step in steps) == b"ggaa"
    assert [step.bytes for step in by_words] == [b" w0", b" w1", b" w"]


# Laws


@given(
    st.integers(0, 10_000),
    st.sampled_from(sorted(ASKING_IF_IT_MATTERS)),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]),
    st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.7, 1.0]),
)
@settings(deadline=None, max_examples=300)
def test_where_the_guide_is_not_asked_it_would_have_changed_nothing(seed, method, margin, threshold):
    """The lazy answer is the one where the guide is asked at every step, to the byte."""
    chosen = {"margin": margin, "threshold": threshold}
    lazy, lazy_ending, _ = run(method, *models(seed), **chosen)
    eager, eager_ending, _ = run(method, *models(seed), **chosen, always_first=EVERYWHERE)

    assert words(lazy, lazy_ending) == words(eager, eager_ending)
    assert all(step.asked for step in eager)


@given(st.integers(0, 10_000))
@DECIDED
def test_the_margin_has_the_base_and_the_surer_model_as_its_limits(seed):
    """At margin 1 nobody is asked and the base speaks; at 0 every step is the surer model's."""
    base, guide, _ = models(seed)
    alone = run("base", base, guide)
    free = run("bet", base, guide, margin=1)
    steps, ending, _ = run("bet", base, guide, margin=0)

    assert words(*free[:2]) == words(*alone[:2])
    assert free[2]["guide"].questions == []
    for step in [*steps, *([ending.end] if ending.end else [])]:
        if step.asked and step.guide_top.p > step.base_top.p:
            assert step.alpha == 1.0
        else:
            assert step.source in {"base", "kept"}
    competing = run("competition", base, guide, threshold=1)
    assert words(steps, ending) == words(*competing[:2])


@given(st.integers(0, 10_000), st.sampled_from(GUIDED))
@DECIDED
def test_the_dial_is_the_base_at_0_and_the_method_at_1(seed, method):
    """Greedily, and the method at 1 also when sampled; at 0 no step is changed."""
    own = run("base", *models(seed))
    at_0, ending, _ = run(method, *models(seed), dial=0, cap=0.5)
    if method != "nudging-words":  # which goes on where the base would end, until the guide is asked
        assert words(at_0, ending) == words(*own[:2])
    assert summarize(at_0).changed == 0
    for temperature in (0.0, 1.0):
        plain = run(method, *models(seed), temperature=temperature, seed=seed)
        assert run(method, *models(seed), temperature=temperature, seed=seed, dial=1)[0] == plain[0]


@pytest.mark.parametrize("method", [m for m in GUIDED if m not in {"nudging-words", "gated-proxy"}])
def test_the_dial_moves_from_the_base_to_the_guide_and_past_it(method):
    """Both know a, b and c; the guide's own choice is b, and c is what it raised most over the base."""
    base = always(a=0.38, b=0.3, c=0.02, d=0.3)
    guide = always(a=0.2, b=0.6, c=0.15, d=0.05)
    untuned = always(a=0.38, b=0.3, c=0.02, d=0.3)
    said = {
        dial: run(method, base, guide, untuned, n=1, dial=dial, margin=0.1)[0][0].bytes
        for dial in (0.0, 1.0, 2.0)
    }

    assert (said[0.0], said[1.0]) == (b"a", b"b")
    assert said[2.0] in {b"b", b"c"}
    if method in {"nudging", "proxy"}:
        assert said[2.0] == (b"b" if 0.6**2 / 0.3 > 0.15**2 / 0.02 else b"c")


def test_the_dial_of_nudging_is_decoding_time_realignment():
    """P is b^(1 - c) g^c, worked out for c = 0.25 and 1.75."""
    base, guide = {b"a": 0.38, b"b": 0.3, b"c": 0.02}, {b"a": 0.2, b"b": 0.6, b"c": 0.15}
    for dial in (0.25, 1.75):
        [step] = run("nudging", lambda _: base, lambda _: guide, n=1, dial=dial)[0]
        weights = {s: base[s] ** (1 - dial) * guide[s] ** dial for s in base}
        expected = {s: w / sum(weights.values()) for s, w in weights.items()}
        assert {c.bytes: c.p for c in step.candidates.blend} == pytest.approx(expected, rel=1e-5)


def test_the_dial_of_proxy_tuning_is_its_weight():
    """C times the shift, as the weight has it: the same distribution."""
    trio = always(a=0.5, b=0.3, c=0.2), always(a=0.2, b=0.6, c=0.2), always(a=0.4, b=0.2, c=0.4)
    [dialled] = run("proxy", *trio, n=1, dial=1.5)[0]
    [weighted] = run("proxy", *trio, n=1, proxy_weight=1.5)[0]

    assert {c.bytes: c.p for c in dialled.candidates.blend} == pytest.approx(
        {c.bytes: c.p for c in weighted.candidates.blend}
    )


# Sampling


def test_a_sampled_bet_draws_tests_and_draws_again():
    """Margin 0.2 and max g 0.6: a (0.5) stands; b (0.3) and c (0.2) give way to draws of the guide."""
    base, guide = always(a=0.5, b=0.3, c=0.2), always(x=0.6, a=0.4)
    n = 3000
    steps, _, _ = run("bet", base, guide, n=n, temperature=1.0, seed=3)
    shares = {s: sum(step.bytes == s for step in steps) / n for s in (b"a", b"b", b"c", b"x")}

    assert shares == pytest.approx({b"a": 0.5 + 0.5 * 0.4, b"b": 0, b"c": 0, b"x": 0.5 * 0.6}, abs=0.03)
    assert [step.alpha for step in steps] == pytest.approx([0.5] * n)
    assert {c.bytes: c.p for c in steps[0].candidates.blend} == pytest.approx({b"a": 0.7, b"x": 0.3})


@given(st.integers(0, 10_000), st.sampled_from(["bet", "bet-blend"]), st.sampled_from([0.0, 0.2, 0.4]))
@DECIDED
def test_a_bet_that_is_sampled_coldly_is_the_greedy_one(seed, method, margin):
    """Near temperature 0 both draws are their likeliest: the test sees the base's own candidate.

    Whose END it was may differ: that is told from the weights before temperature, where both draws count.
    """
    greedy, greedy_ending, _ = run(method, *models(seed), margin=margin)
    cold, cold_ending, _ = run(method, *models(seed), margin=margin, temperature=1e-9, seed=seed)

    assert [step.bytes for step in cold] == [step.bytes for step in greedy]
    assert cold_ending.text == greedy_ending.text
    assert cold_ending.stopped_by.endswith("_end") == greedy_ending.stopped_by.endswith("_end")


def test_a_penalty_acts_on_both_draws():
    """What was said last comes up in neither: after x, all of the 0.2 / 0.98 that fall to the guide are y."""
    base, guide = always(a=0.4, b=0.38, c=0.2), always(x=0.55, y=0.45)
    steps, _, _ = converse(
        base,
        guide,
        blend=BlendSettings(method="bet"),
        sampling=SamplingSettings(temperature=1, seed=1, presence_penalty=100, repeat_last_n=1),
        answer=AnswerSettings(max_tokens=3000, loop_guard=False),
    )
    said = [step.bytes for step in steps]
    after_x = [now for before, now in pairwise(said) if before == b"x"]

    assert {*said} == {b"a", b"b", b"x", b"y"}
    assert all(now != before for before, now in pairwise(said))
    assert after_x.count(b"y") / len(after_x) == pytest.approx(0.2 / 0.98, abs=0.06)
