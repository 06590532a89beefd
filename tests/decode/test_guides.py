"""Answers with several guides: laws on scripted models for all methods, and what the records say."""

from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.answer_start import forked_steps, proposer_of
from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS, ONE_GUIDE, ROLES, UNGATED, require_guides, roles_of
from blendin_local.core.record_json import step_from_json, step_to_json
from blendin_local.core.records import no_suggestion_notices, summarize
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing import check_method, converse, random_script
from blendin_local.testing.scripted import SILENT
from tests.cli_runner import SCHEMA
from tests.jobs.replays import answered, chatter, stored

SEVERAL = sorted(set(METHODS) - set(ONE_GUIDE) - {"base", "guide", "steer"})
SURE_FROM = {
    "bet": lambda settings: 1 - settings.margin,
    "bet-blend": lambda settings: 1 - settings.margin,
    "kad": lambda settings: max(settings.threshold, 0.51),
}
WARM = SamplingSettings(temperature=0.7, seed=3)
methods = st.sampled_from(SEVERAL)
seeds = st.integers(0, 10_000)
samplings = st.sampled_from([SamplingSettings(), WARM])
bridges = st.sampled_from(["bytes", "prefix"])
LIMIT = AnswerSettings(max_tokens=12, loop_guard=False, top_logprobs=100)


def say(method, base, guides, sampling=WARM, **blend):
    first, *further = guides
    named = BlendSettings(method=method, **blend)
    return converse(base, first, blend=named, sampling=sampling, answer=LIMIT, further_guides=further)


def everywhere(**masses):
    told = {SILENT if word == "silent" else word.encode(): p for word, p in masses.items()}
    return lambda _: told


@pytest.mark.parametrize("method", SEVERAL)
def test_every_method_keeps_the_laws_of_methods_with_three_guides(method):
    """They ask all guides or none, lose no mass, name whom they asked and obey the seed."""
    sure_from = SURE_FROM.get(method, lambda settings: settings.threshold)
    roles = roles_of(method, ("guide2", "guide3"))

    assert roles == ("base", "guide", "guide2", "guide3")
    check_method(
        METHODS[method],
        roles=roles,
        gated=method not in UNGATED,
        settings=BlendSettings(method=method, guide_weight=(1, 2, 0.5)),
        sure_from=sure_from,
        cases=5,
    )


@given(methods, seeds, samplings, bridges)
@settings(max_examples=150, deadline=None)
def test_two_equal_guides_are_one(method, seed, sampling, bridge):
    """The same model twice makes the answer that it makes once, to the bit; the record names both."""
    base, guide = random_script(seed), random_script(seed, "guide", silence=0.1)
    alone, ending, _ = say(method, base, [guide], sampling, bridge=bridge)
    both, ending_of_both, _ = say(method, base, [guide, guide], sampling, bridge=bridge)

    def without_guides(step):
        silent = tuple(role for role in step.silent if role != "guide2")
        return replace(step, guides=(), proposer="", silent=silent)

    assert [without_guides(step) for step in both] == alone
    assert (ending_of_both.text, ending_of_both.stopped_by) == (ending.text, ending.stopped_by)


@given(methods, seeds, samplings, bridges)
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_guides_does_not_matter(method, seed, sampling, bridge):
    """Weights go with their guides; the steps are the same, and the same models have the same parts."""
    base, roles = random_script(seed), ("guide", "guide2", "guide3")
    guides = [random_script(seed, role, silence=0.1) for role in roles]
    weight = (1.0, 2.0, 0.5)
    steps, _, _ = say(method, base, guides, sampling, bridge=bridge, guide_weight=weight)
    backwards, _, _ = say(method, base, guides[::-1], sampling, bridge=bridge, guide_weight=weight[::-1])

    assert [step.bytes for step in backwards] == [step.bytes for step in steps]
    for step, other in zip(steps, backwards, strict=True):
        assert (other.alpha, other.guide_top) == (step.alpha, step.guide_top)
        assert [(part.alpha, part.top) for part in other.guides[::-1]] == [
            (part.alpha, part.top) for part in step.guides
        ]


@given(seeds, samplings)
@settings(max_examples=50, deadline=None)
def test_the_parts_add_up(seed, sampling):
    """The guides' weights sum to alpha, and alpha_1 * g_1 + alpha_2 * g_2 + (1 - alpha) * b is the blend."""
    base, guides = random_script(seed), [random_script(seed, role) for role in ("guide", "guide2")]
    steps, _, _ = say("blendin", base, guides, sampling, threshold=0.8)

    for step in steps:
        if step.guides:
            assert sum(part.alpha for part in step.guides) == pytest.approx(step.alpha)
            parts = [(part.alpha, part.candidates) for part in step.guides]
            total = {}
            for weight, candidates in [*parts, (1 - step.alpha, step.candidates.base)]:
                for each in candidates:
                    total[each.bytes] = total.get(each.bytes, 0.0) + weight * each.p
            mass = sum(total.values())
            blend = {each.bytes: each.p for each in step.candidates.blend}
            assert blend == pytest.approx({s: p / mass for s, p in total.items() if p}, abs=1e-9)


def test_the_record_says_whose_word_it_is():
    """At alpha 0.64 the second guide, surer than the first, wins with its word, and has the larger part."""
    base = everywhere(a=0.3)
    steps, _, roles = say(
        "blendin", base, [everywhere(b=0.3), everywhere(c=0.6)], SamplingSettings(), agreement_bonus=0.0
    )
    [first, *_] = steps

    assert first.bytes == b"c"
    assert first.proposer == "guide2"
    assert [part.role for part in first.guides] == ["guide", "guide2"]
    assert first.guide_top.p == pytest.approx(0.4)  # 2/3 of 0.6
    assert first.alpha == pytest.approx(0.4 / 0.7)
    assert [part.alpha for part in first.guides] == pytest.approx([0.4 / 2.1, 0.8 / 2.1])
    assert roles["guide2"].questions == roles["guide"].questions != []
    counts = summarize(steps).guides
    assert (counts["guide"].changed, counts["guide2"].changed) == (0, len(steps))
    record = step_to_json(first)
    schema = {**SCHEMA, **SCHEMA["$defs"]["step"], "required": []}
    jsonschema.validate(record, schema)
    assert step_from_json(record) == first


def test_the_weights_decide_between_guides():
    """Ten times the weight lets the less sure guide win."""
    guides = [everywhere(b=0.3), everywhere(c=0.6)]
    [first, *_], _, _ = say(
        "nudging", everywhere(a=0.3), guides, SamplingSettings(), guide_weight=(10.0, 1.0)
    )

    assert (first.bytes, first.proposer) == (b"b", "guide")


def test_the_guide_that_proposed_half_a_character_completes_it():
    """The other guides are not asked for it."""
    emoji = "😊".encode()

    def second(text):
        return {emoji[:2]: 0.9} if not text else {emoji[2:]: 0.9} if text == emoji[:2] else {END: 0.9}

    steps, ending, roles = say(
        "nudging", everywhere(a=0.3), [everywhere(b=0.2), second], SamplingSettings(), threshold=0.5
    )

    assert steps[0].text == "😊"
    assert steps[0].proposer == "guide2"
    assert emoji[:2] in roles["guide2"].questions
    assert emoji[:2] not in roles["guide"].questions
    assert (ending.stopped_by, ending.end.proposer) == ("guide_end", "guide2")


def test_a_guide_that_makes_no_suggestion_is_told_by_its_name():
    """The other one is heard; only where both are silent does the guide as a whole make none."""
    guides = [everywhere(b=0.2, silent=0.7), everywhere(c=0.6)]
    steps, _, _ = say("blendin", everywhere(a=0.3), guides, SamplingSettings())
    summary = summarize(steps)

    assert {step.bytes for step in steps} == {b"c"}
    assert steps[0].silent == ("guide",)
    assert (summary.guide_silent, summary.guides["guide"].silent, summary.guides["guide2"].silent) == (
        0,
        12,
        0,
    )
    assert no_suggestion_notices(summary) == (
        "the guide made no suggestion at 12 of 12 asked steps: its weight was on control tokens",
    )


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ({"method": "proxy"}, "method proxy works with one guide"),
        ({"method": "gated-proxy"}, "method gated-proxy works with one guide"),
        ({"method": "nudging-words"}, "method nudging-words works with one guide"),
        ({"guide_weight": (1, 2, 3)}, "guide-weight is 1, 2, 3, but there are 2 guides"),
        (
            {"alpha": "calibrated", "base_temperature": 1.0, "guide_temperature": 1.0},
            "alpha calibrated works with one guide",
        ),
    ],
)
def test_what_does_not_go_with_several_guides_is_refused(blend, message):
    """With one line, and not where there is one guide."""
    require_guides(("base", "guide"), BlendSettings(**blend))
    with pytest.raises(UsageError, match=message):
        require_guides(("base", "guide", "guide2"), BlendSettings(**blend))


def test_the_methods_of_one_model_ask_it_alone():
    """`base` and `guide` are what they are without further guides."""
    assert [roles_of(name, ("guide2",)) for name in ("base", "guide")] == [("base",), ("guide",)]
    assert set(ONE_GUIDE) <= set(METHODS)
    assert {name for name, roles in ROLES.items() if len(roles) > 1} <= set(ONE_GUIDE)


blends = st.builds(
    BlendSettings,
    method=methods,
    guide_weight=st.sampled_from([(), (1.0, 3.0)]),
    threshold=st.sampled_from([0.4, 0.8]),
)


@given(st.tuples(blends, blends), seeds, samplings)
@settings(max_examples=100, deadline=None)
def test_an_answer_follows_from_its_record(tmp_path_factory, change, seed, sampling):
    """Decided again it is the same; with other settings, it is what would be said, as far as it is known."""
    path = tmp_path_factory.mktemp("answers") / "answer.jsonl"
    base, guide, guide2 = (chatter(seed + i, 0.5, 0.1) for i in range(3))
    before, after = (answered(base, guide, each, sampling, further_guides=[guide2]) for each in change)
    recorded = stored(path, before)
    replayed = replay_answer(recorded, change[1])
    n = len(replayed.steps)

    assert recorded.steps == before.steps
    assert replay_answer(recorded, change[0]).outcome == "same"
    assert [step.bytes for step in replayed.steps] == [step.bytes for step in after.steps[:n]]


def test_a_forked_step_is_completed_by_the_guide_that_listed_it():
    """Of a part of a character that no other model has: its rest is asked of that guide alone."""
    emoji = "😊".encode()

    def second(text):
        return {emoji[2:]: 0.9} if text == emoji[:2] else {b"c": 0.5, emoji[:2]: 0.3}

    guides, more = [everywhere(b=0.2), second], {"threshold": 0.5}
    [first, *_], _, _ = say("blendin", everywhere(a=0.3), guides, SamplingSettings(), **more)
    start = forked_steps([first], 0, emoji[:2])

    assert proposer_of(start[0]) == "guide2"
    steps, _, roles = converse(
        everywhere(a=0.3),
        guides[0],
        blend=BlendSettings(**more),
        answer=LIMIT,
        start=start,
        further_guides=guides[1:],
    )
    assert steps[0].text == "😊"
    assert emoji[:2] in roles["guide2"].questions
    assert emoji[:2] not in roles["base"].questions
