"""Every method against a sequence worked out by hand, and laws that hold for all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS, UNGATED, roles_of
from blendin_local.core.record_json import step_to_json
from blendin_local.core.records import summarize
from blendin_local.errors import UsageError
from blendin_local.settings import BRIDGES, AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing import always, check_method, converse, random_script, spoken

UNSURE, SURE = 0.3, 0.9


def written(text_to_next, otherwise=None):
    """A model that goes on from each text as the table says."""
    return lambda text: text_to_next.get(text, otherwise or {END: SURE})


def counting(text):
    """A guide that says ` w0 w1 w2 ...`, whatever else was said in between, and ends after ` w4`."""
    number = text.count(b"w")
    return {f" w{number}".encode(): SURE} if number < 5 else {END: SURE}


def endless(text):
    return {f" w{text.count(b'w')}".encode(): SURE}


NOBODY = always(x=1.0)


def run(method, base, guide, untuned=NOBODY, *, n=64, top_logprobs=0, **blend):
    return converse(
        base,
        guide,
        untuned,
        blend=BlendSettings(method=method, **blend),
        answer=AnswerSettings(max_tokens=n, loop_guard=False, top_logprobs=top_logprobs),
    )


def told(steps):
    return [(step.bytes, step.source) for step in steps]


def test_nudging_hands_over_by_words():
    """First word taken; the base takes over where its token begins the next word, or where it is sure."""
    base = written(
        {
            b"": {b"q": UNSURE},
            b" w0": {b"q": UNSURE},
            b" w0 w1": {b" w": UNSURE},
            b" w0 w1 w": {b"q": UNSURE},
            b" w0 w1 w w3": {b"!": SURE},
            b" w0 w1 w w3!": {b"q": UNSURE},
        }
    )
    steps, _, roles = run("nudging-words", base, endless, n=6)

    assert told(steps) == [
        (b" w0", "changed"),
        (b" w1", "changed"),
        (b" w", "base"),
        (b" w3", "changed"),
        (b"!", "base"),
        (b" w4", "changed"),
    ]
    assert [step.alpha for step in steps] == [1.0, 1.0, None, 1.0, None, 1.0]
    assert roles["base"].questions == [b"", b" w0", b" w0 w1", b" w0 w1 w", b" w0 w1 w w3", b" w0 w1 w w3!"]
    assert len(roles["guide"].questions) == 3 * 16 + 1


def test_nudging_by_words_takes_a_draft_that_ends_unchecked():
    """The guide ends inside its look-ahead: all is taken, though the base was sure, and the answer ends."""
    steps, ending, _ = run("nudging-words", written({b"": {b"q": UNSURE}}, {b" w": SURE}), counting)

    assert [step.bytes for step in steps] == [b" w0", b" w1", b" w2", b" w3", b" w4"]
    assert {step.source for step in steps} == {"changed"}
    assert ending.stopped_by == "guide_end"
    assert (ending.end.source, ending.end.guide_top.bytes) == ("changed", END)


def test_in_nudging_by_words_only_the_guide_ends():
    """A base that is sure of its END hands over instead; a guide that ends at once ends the answer."""
    steps, ending, _ = run("nudging-words", always(), endless, n=3)
    at_once = run("nudging-words", spoken([b"Hi"], SURE), spoken([], SURE))

    assert told(steps) == [(b" w0", "changed"), (b" w1", "changed"), (b" w2", "changed")]
    assert ending.stopped_by == "max_tokens"
    assert told(at_once[0]) == [(b"Hi", "base")]
    assert at_once[1].stopped_by == "guide_end"


def test_a_word_that_the_draft_may_have_cut_is_left_out_unless_it_is_the_only_one():
    """Sixteen tokens of one word each: fifteen are surely whole. One long word is taken as far as it goes."""
    several = run("nudging-words", always(q=UNSURE), endless, n=16)
    one_long = run("nudging-words", always(q=UNSURE), always(ab=SURE), n=2)

    assert several[0][-1].bytes == b" w15"
    assert several[2]["guide"].questions.count(b"".join(step.bytes for step in several[0][:15])) == 2
    assert [step.bytes for step in one_long[0]] == [b"ab" * 16] * 2


def test_a_word_cut_inside_a_character_is_finished_by_the_guide():
    """The draft's sixteenth token is half of an emoji; the guide, who said it, finishes it."""
    halves = {0: b"\xf0\x9f", 1: b"\x98\x8a"}
    guide = lambda text: {(b"a" if not text else halves[text.count(b"\x9f") - text.count(b"\x98")]): SURE}  # noqa: E731
    steps, _, roles = run("nudging-words", always(q=UNSURE), guide, n=1)

    assert steps[0].text == "a" + "😊" * 8
    assert roles["base"].questions == [b""]


def test_capped_nudging_stops_asking_above_its_share():
    """After one asked step of one the share is 100 %: the base goes on alone until it is 15 % again."""
    steps, _, roles = run("capped", always(a=UNSURE), always(b=0.2), n=24)
    asked = [step.i for step in steps if step.asked]

    assert asked == [0, 7, 14, 20]
    assert len(roles["guide"].questions) == 4
    assert {step.source for step in steps if not step.asked} == {"base"}
    assert [
        step.i for step in run("capped", always(a=UNSURE), always(b=0.2), n=6, cap=1)[0] if step.asked
    ] == list(range(6))


@pytest.mark.parametrize(
    ("method", "guide", "accepted"),
    [
        ("agreement", {"c": 0.1}, True),
        ("agreement", {"d": 0.9}, False),
        ("agreement", {"e": 0.9}, False),
        ("competition", {"e": 0.31}, True),
        ("competition", {"a": 0.29}, False),
        ("agreement+competition", {"c": 0.31}, True),
        ("agreement+competition", {"c": 0.29}, False),
        ("agreement+competition", {"e": 0.9}, False),
    ],
)
def test_discrete_filters_accept_or_keep_the_base(method, guide, accepted):
    """The guide's choice must be among the base's first three, or likelier than the base's own, or both."""
    steps, _, _ = run(method, always(a=0.3, b=0.2, c=0.15, d=0.1), always(**guide), n=1, filter_top_k=3)
    [step] = steps

    assert step.bytes == (next(iter(guide)).encode() if accepted else b"a")
    assert (step.source, step.alpha) == (("changed", 1.0) if accepted else ("kept", 0.0))


def test_a_rejected_suggestion_is_not_sampled():
    """Rejected means the base's own choice, at any temperature."""
    steps, _, _ = converse(
        always(a=0.3, b=0.2, c=0.2),
        always(z=0.9),
        blend=BlendSettings(method="agreement"),
        sampling=SamplingSettings(temperature=5, seed=1),
        answer=AnswerSettings(max_tokens=30, loop_guard=False),
    )

    assert set(told(steps)) == {(b"a", "kept")}


def test_an_ensemble_blends_where_the_base_is_sure_too():
    """W = 0.6 / (0.9 + 0.6), no bonus for b(t_g) = 0.05: 0.4 * 0.6 for b and 0.6 * 0.9 for a."""
    steps, _, _ = run("ensemble", always(a=0.9, b=0.05), always(b=0.6), n=2, top_logprobs=2, alpha=0.99)
    blend = {c.bytes: c.p for c in steps[0].candidates.blend}

    assert [(step.bytes, step.source) for step in steps] == [(b"a", "kept")] * 2
    assert steps[0].alpha == pytest.approx(0.4)
    assert blend == pytest.approx({b"a": 0.54 / 0.81, b"b": 0.27 / 0.81})


@pytest.mark.parametrize("method", METHODS)
def test_only_methods_without_a_gate_intervene_where_the_base_is_sure(method):
    """With a base that is always sure the intervention rate is 0, and 1 for the methods named ungated."""
    steps, ending, _ = run(method, always(a=SURE), always(a=SURE), n=3)

    assert summarize(steps).intervention_rate == float(method in UNGATED)
    assert ending.stopped_by == "max_tokens"


def test_proxy_tuning_moves_the_base_as_tuning_moved_the_small_model():
    """B g / a by hand: 0.25, 0.9 and 0.1 over 1.25."""
    steps, _, roles = run(
        "proxy",
        always(a=0.5, b=0.3, c=0.2),
        always(a=0.2, b=0.6, c=0.2),
        always(a=0.4, b=0.2, c=0.4),
        n=1,
        top_logprobs=3,
    )
    blend = {c.bytes: c.p for c in steps[0].candidates.blend}

    assert (steps[0].bytes, steps[0].source, steps[0].alpha) == (b"b", "changed", None)
    assert blend == pytest.approx({b"b": 0.72, b"a": 0.2, b"c": 0.08})
    assert step_to_json(steps[0])["untuned_top"]["text"] in {"a", "c"}
    assert [len(role.questions) for role in roles.values()] == [1, 1, 1]


def test_proxy_tuning_leaves_alone_what_the_small_models_do_not_know():
    """A string unknown to a small model keeps the base's probability; one the base lacks is not said."""
    steps, ending, _ = run(
        "proxy",
        written({b"": {b"a": 0.4, b"x": 0.6}}),
        written({b"": {b"a": 0.2, b"g": 0.8}}, {END: SURE}),
        written({b"": {b"a": 0.4, b"g": 0.1}}, {END: SURE}),
        top_logprobs=4,
    )

    assert {c.bytes: c.p for c in steps[0].candidates.blend} == pytest.approx({b"x": 0.75, b"a": 0.25})
    assert ending.stopped_by == "base_end"


def test_the_untuned_model_proposes_nothing_and_ends_nothing():
    """The guide ends an answer; that the untuned model wanted to end it earlier only spoke against that."""
    steps, ending, _ = run(
        "proxy",
        always(a=0.7, **{"": 0.3}),
        lambda text: {END: 0.9, b"a": 0.1} if text else {b"a": 0.9, END: 0.1},
        lambda text: {END: 0.1, b"a": 0.9} if text else {b"a": 0.1, END: 0.9},
    )

    assert [step.bytes for step in steps] == [b"a"]
    assert ending.stopped_by == "guide_end"


def test_only_proxy_steps_have_an_untuned_model():
    """The step record grows only where a third model was asked."""
    steps, _, _ = run("blendin", always(a=UNSURE), always(b=SURE), n=1)

    assert "untuned_top" not in step_to_json(steps[0])


def test_calibrated_alpha_uses_tempered_confidences():
    """At temperature 1 it is eq. 3 as it was; a hotter guide is trusted less, its agreement term staying."""
    base, guide = always(a=0.3, b=0.2, c=0.5 - 1e-6), always(b=0.8, a=0.2)
    plain = run("blendin", base, guide, n=1, threshold=1.0)[0][0].alpha
    same, cooler = (
        run(
            "blendin",
            base,
            guide,
            n=1,
            threshold=1.0,
            alpha="calibrated",
            base_temperature=1.0,
            guide_temperature=t,
        )[0][0].alpha
        for t in (1.0, 2.0)
    )
    tempered = 0.8**0.5 / (0.8**0.5 + 0.2**0.5)

    assert same == pytest.approx(plain)
    assert cooler == pytest.approx(tempered / (0.5 + tempered) + 0.1 * 0.2, abs=1e-4)


def test_calibrated_alpha_without_temperatures_says_who_fits_them():
    """One clear line with the command that helps."""
    with pytest.raises(UsageError, match=r"calibrated .* blendin check --write"):
        BlendSettings(alpha="calibrated", base_temperature=1.2)


def test_blendin_bridges_by_beginnings_where_that_is_wanted():
    """The guide's numbers of three digits count for the base's first digit only with `prefix`."""
    base, guide = always(**{"1": 0.36, "2": 0.34, "9": 0.3}), always(**{"123": 0.3, "124": 0.25, "200": 0.4})

    assert run("blendin", base, guide, n=1)[0][0].bytes == b"200"
    assert run("blendin", base, guide, n=1, bridge="prefix")[0][0].bytes == b"1"


SURE_FROM = {
    "bet": lambda settings: 1 - settings.margin,
    "bet-blend": lambda settings: 1 - settings.margin,
    "kad": lambda settings: max(settings.threshold, 0.5),
}


def hold(method, *, seed=0, cases=1, **blend):
    """The laws of `blendin_local.testing` for a method of this program."""
    own_test = {"sure_from": SURE_FROM[method]} if method in SURE_FROM else {}
    check_method(
        METHODS[method],
        roles=roles_of(method),
        gated=method not in UNGATED,
        settings=BlendSettings(base_temperature=1.5, guide_temperature=0.8, **blend),
        cases=cases,
        seed=seed,
        **own_test,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_laws(method):
    """What is shipped for others holds for the methods of this program, with their defaults."""
    hold(method)


@pytest.mark.slow
@given(
    st.sampled_from(sorted(METHODS)),
    st.sampled_from(BRIDGES),
    st.integers(0, 10_000),
    st.sampled_from([None, 0.3, "calibrated"]),
    st.fixed_dictionaries(
        {
            "gate": st.sampled_from(["top1", "margin", "entropy"]),
            "combine": st.sampled_from(["mixture", "product"]),
            "always_first": st.sampled_from([0, 0, 4]),
            "dial": st.sampled_from([1.0, 1.0, 0.0, 0.5, 2.0]),
            "margin": st.sampled_from([0.2, 0.5]),
            "proxy_weight": st.sampled_from([1.0, 3.0]),
        }
    ),
)
@settings(max_examples=300, deadline=None)
def test_every_method_keeps_the_laws_with_any_settings(method, bridge, seed, alpha, others):
    """Other models, bridges, weights, gates and dials change nothing about that."""
    hold(method, seed=seed, bridge=bridge, alpha=alpha, **others)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.15, 0.5, 1.0]))
@settings(max_examples=50, deadline=None)
def test_a_capped_method_asks_no_more_than_its_share(seed, cap):
    """One question more at most, the one that goes over."""
    models = [random_script(seed, role) for role in ("base", "guide", "untuned")]
    steps, _, _ = run("capped", *models, n=12, cap=cap)
    summary = summarize(steps)

    assert summary.asked <= cap * summary.steps + 1


def accepts(method, b, g, top_k):
    """Appendix A.3 in plain words, on the two models' masses at the first step."""
    suggestion = max(g, key=g.get)
    among_the_first = suggestion in sorted(b, key=b.get, reverse=True)[:top_k]
    surer = max(g.values()) > max(b.values())
    return {
        "nudging": True,
        "capped": True,
        "blendin": True,
        "agreement": among_the_first,
        "competition": surer,
        "agreement+competition": among_the_first and surer,
    }[method]


FILTERED = ["nudging", "capped", "blendin", "agreement", "competition", "agreement+competition"]


@given(st.integers(0, 10_000), st.sampled_from(FILTERED))
@settings(max_examples=200, deadline=None)
def test_filters_can_only_withhold(seed, method):
    """What passes the filter is said as by the guide alone, what does not as by the base alone."""
    base, guide = random_script(seed), random_script(seed, "guide")
    b, g = base(b""), guide(b"")

    def first(name, **more):
        steps, ending, _ = run(name, base, guide, n=1, filter_top_k=2, **more)
        return steps[0].bytes if steps else ending.end.bytes

    asked = max(b.values()) < BlendSettings().threshold
    accepted = asked and accepts(method, b, g, top_k=2)
    more = {"alpha": 1.0} if method == "blendin" else {}

    assert first(method, **more) == first("guide" if accepted else "base")
