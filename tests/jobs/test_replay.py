"""Deciding a stored answer again: laws on scripted models, then examples and broken files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS
from blendin_local.core.record_json import step_from_json, step_to_json
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import spoken
from tests.jobs.replays import EMOJI, FORMS, answered, chatter, json_object, stored, trace_lines

blends = st.builds(
    BlendSettings,
    method=st.sampled_from(sorted(set(METHODS) - {"proxy", "gated-proxy"})),
    threshold=st.sampled_from([0.0, 0.3, 0.4, 0.5, 0.7, 1.0]),
    alpha=st.sampled_from([None, "calibrated", 0.0, 0.3, 0.5, 0.9, 1.0]),
    top_k=st.sampled_from([3, 100]),
    cap=st.sampled_from([0.0, 0.15, 0.5]),
    filter_top_k=st.sampled_from([1, 3]),
    gate=st.sampled_from(["top1", "top1", "margin", "entropy"]),
    always_first=st.sampled_from([0, 0, 2]),
    combine=st.sampled_from(["mixture", "mixture", "product"]),
    dial=st.sampled_from([1.0, 1.0, 0.0, 0.5, 2.0]),
    margin=st.sampled_from([0.0, 0.2, 0.5]),
    base_temperature=st.just(1.4),
    guide_temperature=st.just(2.5),
)
samplings = st.builds(
    SamplingSettings,
    temperature=st.sampled_from([0.0, 0.0, 0.8, 1.5]),
    top_p=st.sampled_from([1.0, 0.8]),
    seed=st.integers(0, 99),
    repeat_penalty=st.sampled_from([1.0, 1.0, 1.5]),
    frequency_penalty=st.sampled_from([0.0, 0.0, 0.7]),
    repeat_last_n=st.sampled_from([-1, 3, 64]),
    dry_multiplier=st.sampled_from([0.0, 0.0, 1.0]),
)
models = st.builds(
    chatter, st.integers(0, 999), st.sampled_from([0.2, 0.6, 0.9]), st.sampled_from([0.0, 0.0, 0.3])
)
duos = st.tuples(models, models)
changes = st.tuples(blends, blends)
limits = st.builds(
    AnswerSettings,
    max_tokens=st.integers(1, 24),
    stop=st.sampled_from([(), (".\n",), ("a b",)]),
    regex=st.sampled_from([None, None, *FORMS]),
    evidence=st.just(True),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("replay") / "trace.jsonl"


def said(steps):
    return [(step.bytes, step.source) for step in steps]


@given(duos, blends, samplings, limits)
@settings(deadline=None)
def test_the_same_settings_decide_the_same(path, duo, blend, sampling, limit):
    """Replayed with its own settings, every step, its source, its alpha and the end come out again."""
    completion = answered(*duo, blend, sampling, limit)

    again = replay_answer(stored(path, completion), blend)

    assert again.outcome == "same"
    assert [replace(step, candidates=None, further=()) for step in again.steps] == [
        replace(step, candidates=None, further=()) for step in completion.steps
    ]
    assert again.stopped_by == completion.stopped_by
    assert (again.recorded_rates, again.unknown) == (completion.blend, 0)


@pytest.mark.slow
@given(duos, changes, samplings, limits)
@settings(deadline=None, max_examples=300)
def test_other_settings_agree_with_really_running_them(path, duo, change, sampling, limit):
    """A real run with the new settings takes the replayed steps, and differs where the replay says so."""
    blend, other = change
    completion = answered(*duo, blend, sampling, limit)
    really = answered(*duo, other, sampling, limit)

    again = replay_answer(stored(path, completion), other)

    assert said(again.steps) == said(really.steps[: len(again.steps)])
    recorded = [*completion.steps, *([completion.end] if completion.end else [])]
    decisions = [*really.steps, *([really.end] if really.end else [])]
    if again.outcome == "same":
        assert (really.text, really.stopped_by) == (completion.text, again.stopped_by)
        assert said(again.steps) == said(really.steps)
    elif again.outcome == "differs":
        assert (
            again.after.bytes
            == decisions[again.step].bytes
            != recorded[again.step].bytes
            == again.before.bytes
        )
        assert again.after.source == decisions[again.step].source
    else:
        assert again.step == len(again.steps)
        assert again.reason


@given(duos, blends, samplings)
@settings(deadline=None)
def test_a_step_survives_being_written_and_read(duo, blend, sampling):
    """A step's JSON read back is the step, with every list and all that was heard."""
    limit = AnswerSettings(max_tokens=8, evidence=True, top_logprobs=4)
    for step in answered(*duo, blend, sampling, limit).steps:
        assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


def test_the_old_name_of_the_untuned_model_is_read():
    """A record of version 0.1 says `anti` where today's says `untuned`."""
    limit = AnswerSettings(max_tokens=4, evidence=True, top_logprobs=4)
    proxy = answered(chatter(1, 0.5, 0.0), chatter(2, 0.5, 0.0), BlendSettings(method="proxy"), answer=limit)
    step = replace(proxy.steps[0], silent=("untuned",))
    old = json.dumps(step_to_json(step)).replace("untuned", "anti")
    assert '"anti_top"' in old
    assert '"role": "anti"' in old
    assert step_from_json(json.loads(old)) == step


@pytest.mark.slow
@given(duos, changes, st.sampled_from([0, 2, 100]))
@settings(deadline=None)
def test_what_json_keeps_is_never_taken_for_more(path, duo, change, kept):
    """From `--json --top-logprobs N` nothing else is claimed than from a trace, only less."""
    blend, other = change
    completion = answered(*duo, blend)
    path.write_text(json_object(completion, kept))
    [poorer] = read_answers(path).answers

    little, much = replay_answer(poorer, other), replay_answer(stored(path, completion), other)

    assert said(little.steps) == said(much.steps[: len(little.steps)])
    if little.outcome != "unknown":
        assert (little.outcome, little.step) == (much.outcome, much.step)
    elif kept == 100 and much.outcome != "unknown":
        pytest.fail(f"all lists are there, but: {little.reason}")


def half_sure(text):
    """A base that is unsure of its first word, less so of the second, then ends."""
    return {b"x": 0.35} if not text else {b"y": 0.45} if text in {b"x", b"g"} else {END: 0.9}


def eager(_):
    """A guide that always says g."""
    return {b"g": 0.9}


def trace_of(path, blend=None, **limits):
    completion = answered(
        half_sure, eager, blend or BlendSettings(), answer=AnswerSettings(evidence=True, **limits)
    )
    return completion, stored(path, completion)


def test_a_lower_threshold_that_frees_the_base_differs_there(path):
    """At 0.3 the base's 0.35 is sure: its own x replaces the guide's g, and what came after is unknown."""
    _, recording = trace_of(path)

    again = replay_answer(recording, BlendSettings(threshold=0.3))

    assert (again.outcome, again.step, again.unknown) == ("differs", 0, 1)
    assert (again.before.bytes, again.after.bytes) == (b"g", b"x")
    assert (again.before.source, again.after.source) == ("changed", "base")
    assert (again.recorded_rates.intervention_rate, again.replayed_rates.intervention_rate) == (1.0, 0.0)
    assert again.before.candidates.blend[0].bytes == b"g"


def test_a_lower_threshold_where_the_base_would_have_won_anyway_goes_on(path):
    """An asked step whose winner was the base's own stays the same when it is no longer asked."""
    completion = answered(
        half_sure, lambda _: {b"y": 0.1}, BlendSettings(), answer=AnswerSettings(evidence=True)
    )

    again = replay_answer(stored(path, completion), BlendSettings(threshold=0.3))

    assert again.outcome == "same"
    assert [step.source for step in again.steps] == ["base", "base"]
    assert [step.source for step in completion.steps] == ["kept", "base"]


def test_a_higher_threshold_ends_where_the_guide_was_not_asked(path):
    """That is no difference: it is where knowledge ends."""
    _, recording = trace_of(path)

    again = replay_answer(recording, BlendSettings(threshold=0.5))

    assert (again.outcome, again.step, again.unknown) == ("unknown", 1, 1)
    assert again.reason == "the guide was not asked here"


def test_an_end_that_loses_is_a_difference_at_the_end(path):
    """Where the guide's END ended the answer and would not now, the step at the end differs."""
    completion = answered(
        lambda _: {b"x": 0.35}, lambda text: {END: 0.9}, BlendSettings(), answer=AnswerSettings(evidence=True)
    )

    again = replay_answer(stored(path, completion), BlendSettings(alpha=0.1))

    assert (again.outcome, again.step, again.steps[0].bytes) == ("differs", 0, b"x")
    assert again.before.bytes == END


def test_an_end_that_wins_now_leaves_the_rest_unknown(path):
    """Where END would win now and another candidate won then, the steps after that one are unknown."""
    guide = lambda _: {END: 0.9}  # noqa: E731
    blend = BlendSettings(alpha=0.0)
    completion = answered(
        lambda _: {b"x": 0.35}, guide, blend, answer=AnswerSettings(max_tokens=5, evidence=True)
    )

    again = replay_answer(stored(path, completion), BlendSettings(alpha=1.0))

    assert (again.outcome, again.step, again.known, again.unknown) == ("differs", 0, 0, 4)
    assert (again.before.bytes, again.after.bytes) == (b"x", END)


def test_a_wider_list_than_was_kept_is_not_made_up(path):
    """Replayed with more candidates than entered the blend, knowledge ends at the first asked step."""
    completion = answered(
        chatter(3, 0.2),
        chatter(4, 0.2),
        BlendSettings(threshold=1.0, top_k=2),
        answer=AnswerSettings(max_tokens=9, evidence=True),
    )

    again = replay_answer(stored(path, completion), BlendSettings(threshold=1.0, top_k=50))

    assert again.outcome == "unknown"
    assert "first 2 candidates" in again.reason


def test_an_answer_the_user_stopped_is_known_as_far_as_it_got(path):
    """The reason says that it was stopped."""
    completion = answered(half_sure, eager, BlendSettings())
    completion = replace(completion, stopped_by="user", end=None)

    again = replay_answer(stored(path, completion), BlendSettings())

    assert (again.outcome, again.step) == ("unknown", 2)
    assert again.reason == "the recorded answer was stopped here"


@pytest.mark.parametrize(
    "blend",
    [BlendSettings(method="proxy"), BlendSettings(method="gated-proxy"), BlendSettings(bridge="prefix")],
    ids=["proxy", "gated-proxy", "prefix"],
)
def test_what_reads_whole_vocabularies_is_refused(path, blend):
    """Such settings cannot be decided out of any record, and the error says what can."""
    _, recording = trace_of(path)

    with pytest.raises(UsageError, match="whole vocabularies") as caught:
        replay_answer(recording, blend)
    assert "--bridge bytes" in caught.value.hint


def test_a_proxy_answer_can_be_replayed_with_another_method(path):
    """What base and guide said is in its trace like in any other."""
    _, recording = trace_of(path, BlendSettings(method="proxy"), max_tokens=4)

    again = replay_answer(recording, BlendSettings(method="nudging", threshold=1.0))

    assert again.outcome in {"same", "differs"}
    assert again.replayed_rates.intervention_rate == 1.0


@pytest.mark.parametrize(
    ("gate", "threshold", "asked"),
    [
        ("top1", 0.45, [False, True]),
        ("margin", 0.25, [True, False]),
        ("entropy", 0.5, [True, True]),
        ("entropy", 0.3, [False, True]),
        ("entropy", 0.15, [False, False]),
    ],
)
def test_another_gate_is_decided_from_a_trace(path, gate, threshold, asked):
    """Recorded with a guide that is asked everywhere: 0.5 and 0.48, then 0.4 and 0.1 of much else."""
    much = {b"%d" % i: 0.1 for i in range(6)}
    base = lambda text: {b"x": 0.4, **much} if text else {b"x": 0.5, b"y": 0.48, b"z": 0.02}  # noqa: E731
    limit = AnswerSettings(max_tokens=2, evidence=True)
    completion = answered(base, lambda _: {b"x": 0.9}, BlendSettings(method="ensemble"), answer=limit)

    again = replay_answer(
        stored(path, completion), BlendSettings(method="blendin", gate=gate, threshold=threshold)
    )

    assert again.outcome == "same"
    assert [step.asked for step in again.steps] == asked


def test_a_gate_is_unknown_where_its_measure_was_not_kept(path):
    """Without a trace there is no entropy, and a margin only where two candidates were kept."""
    completion = answered(half_sure, eager, BlendSettings(), answer=AnswerSettings(max_tokens=2))
    for gate, kept, reason in (("entropy", 100, "entropy"), ("margin", 0, "candidates were not kept")):
        path.write_text(json_object(completion, kept))
        [poorer] = read_answers(path).answers
        again = replay_answer(poorer, BlendSettings(gate=gate))
        assert (again.outcome, again.step) == ("unknown", 0)
        assert reason in again.reason


def test_calibrated_is_decided_where_temperatures_were_known(path):
    """The fitted temperatures' confidences stand in the trace; at others they are not known."""
    fitted = BlendSettings(base_temperature=1.3, guide_temperature=3.0)
    _, recording = trace_of(path, fitted)

    again = replay_answer(recording, replace(fitted, alpha="calibrated"))
    other = replay_answer(recording, replace(fitted, alpha="calibrated", guide_temperature=4.0))

    assert again.outcome == "same"
    assert again.steps[0].alpha != recording.steps[0].alpha
    assert (other.outcome, other.step) == ("unknown", 0)
    assert "temperature 4" in other.reason


def test_an_emoji_finished_by_the_guide_is_replayed(path):
    """Half a character that the guide completed is completed again out of the record."""
    guide = spoken([EMOJI[:2], EMOJI[2:]], 0.9)
    completion = answered(lambda _: {b"a": 0.2}, guide, BlendSettings(), answer=AnswerSettings(evidence=True))

    again = replay_answer(stored(path, completion), BlendSettings(method="nudging"))

    assert completion.steps[0].further[0].after == EMOJI[:2]
    assert (again.outcome, again.steps[0].bytes) == ("same", EMOJI)


def test_a_trace_that_was_cut_works_up_to_its_last_whole_line(path):
    """A torn last line is left out and said; a missing end as well."""
    completion, _ = trace_of(path)
    whole = "\n".join(trace_lines(completion))
    for cut in (whole[:-30], whole[: whole.rindex("\n") - 20]):
        path.write_text(cut)
        stored_answers = read_answers(path)
        [recording] = stored_answers.answers
        again = replay_answer(recording, BlendSettings())
        assert stored_answers.truncated
        assert again.outcome == "unknown"
        assert again.reason == "the record is cut off here"
        assert again.known == len(recording.steps)


def broken_files():
    completion = answered(half_sure, eager, BlendSettings(), answer=AnswerSettings(evidence=True))
    start, *steps, end = trace_lines(completion)
    newer = json.dumps({**json.loads(start), "version": 99})
    foreign = json.loads(start)
    foreign["signature"]["blend"]["charm"] = 3
    strange = json.dumps({**json.loads(steps[0]), "source": "oracle"})
    no_top = json.dumps({k: v for k, v in json.loads(steps[0]).items() if k != "base_top"})
    half = json.dumps({**json.loads(steps[0]), "bytes": [0xF0]})
    no_steps = json.dumps({k: v for k, v in json.loads(json_object(completion, 0)).items() if k != "steps"})
    return {
        "nothing": ("", ["holds no stored answer"]),
        "prose": ("Once upon a time", ["line 1", "not a record"]),
        "other json": ('{"a": 1}', ["line 1", "no stored answer"]),
        "a list": ("[1, 2]", ["line 1", "no JSON object"]),
        "newer": ("\n".join([newer, *steps, end]), ["version 99", "up to version 2"]),
        "newer settings": ("\n".join([json.dumps(foreign), *steps, end]), ["no setting 'charm'"]),
        "a bad line": ("\n".join([start, steps[0], "{oops", end]), ["line 3", "not a record"]),
        "a strange step": ("\n".join([start, strange, *steps[1:], end]), ["line 2", "'oracle'"]),
        "a step without its base": ("\n".join([start, no_top, *steps[1:], end]), ["line 2", "'base_top'"]),
        "half a character": ("\n".join([start, half, *steps[1:], end]), ["line 2", "step"]),
        "a missing step": ("\n".join([start, *steps[1:], end]), ["line 2", "step 1, where step 0 belongs"]),
        "no steps": (no_steps, ["has no steps", "--steps"]),
        "bytes": (b"\xff\xfe\x00", ["line 1"]),
    }


@pytest.mark.parametrize("name", sorted(broken_files()))
def test_a_file_that_is_none_is_refused_in_words(path, name):
    """Each is one clear error that says where it is."""
    text, words = broken_files()[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(UsageError) as caught:
        read_answers(path)

    for word in words:
        assert word in caught.value.message + caught.value.hint
    assert str(path) in caught.value.message


def test_a_trace_that_was_changed_is_found_out(path):
    """A record that does not follow from its own settings is refused, with the step."""
    completion, _ = trace_of(path)
    start, first, *rest = trace_lines(completion)
    forged = {**json.loads(first), "bytes": [104], "text": "h"}
    path.write_text("\n".join([start, json.dumps(forged), *rest]))
    [recording] = read_answers(path).answers

    with pytest.raises(UsageError, match=r"step 0 of trace\.jsonl does not follow"):
        replay_answer(recording, BlendSettings(threshold=0.3))


def test_lines_of_a_batch_in_both_forms_are_read(path):
    """Rows of the own form and of OpenAI's are told apart and named by their ids."""
    completion = answered(half_sure, eager, BlendSettings())
    record = json.loads(json_object(completion, 100))
    lines = [{"custom_id": "a", **record}, {"custom_id": "b", "response": {"body": record}}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    recordings = read_answers(path).answers

    assert [recording.name for recording in recordings] == ["a", "b"]
    assert {replay_answer(recording, BlendSettings(threshold=0.3)).step for recording in recordings} == {0}
