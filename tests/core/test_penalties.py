"""Penalties on repetition: formulas, a slow twin of DRY, and what they do to an answer of scripted models."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.candidates import END
from blendin_local.core.penalties import (
    counts_of,
    last,
    penalize,
    repeated_lengths,
    repetition_of,
    sequence_penalty,
    since_breaker,
    suffix_matches,
    token_penalty,
)
from blendin_local.decode.respond import respond
from blendin_local.errors import UsageError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import ScriptedRole, always, converse, play

windows = st.lists(st.sampled_from([b"a", b"b", b".", b"c\n", None]), max_size=24)
strengths = st.builds(
    SamplingSettings,
    repeat_penalty=st.sampled_from([1.0, 1.1, 2.0]),
    presence_penalty=st.sampled_from([0.0, 0.5]),
    frequency_penalty=st.sampled_from([0.0, 0.3]),
    dry_multiplier=st.sampled_from([0.0, 0.8]),
    dry_base=st.sampled_from([1.0, 1.75]),
    repeat_last_n=st.sampled_from([-1, 0, 4]),
    dry_penalty_last_n=st.sampled_from([-1, 0, 6]),
)


@pytest.mark.parametrize(
    ("logit", "count", "expected"),
    [
        (3.0, 0, 3.0),
        (3.0, 1, 3.0 / 1.5 - 0.25 - 0.5),
        (3.0, 4, 3.0 / 1.5 - 4 * 0.25 - 0.5),
        (-3.0, 1, -3.0 * 1.5 - 0.25 - 0.5),
        (0.0, 2, -2 * 0.25 - 0.5),
    ],
)
def test_a_said_token_is_divided_or_multiplied_then_lowered(logit, count, expected):
    """Positive logits are divided, others multiplied, so that a penalty never makes a token likelier."""
    settings = SamplingSettings(repeat_penalty=1.5, frequency_penalty=0.25, presence_penalty=0.5)

    assert token_penalty(logit, count, settings) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0.0), (1, 0.0), (2, 0.8), (3, 0.8 * 1.75), (6, 0.8 * 1.75**4), (10_000, 0.8 * 1.75**158)],
)
def test_dry_grows_with_the_repetition_up_to_what_float32_holds(length, expected):
    """M * b^(l - a) from the allowed length on; the exponent stops where llama.cpp's does."""
    assert sequence_penalty(length, SamplingSettings(dry_multiplier=0.8)) == pytest.approx(expected)


def test_a_window_is_the_end_of_the_history():
    """-1 is all, 0 nothing, and a window longer than the history is the history."""
    history = [b"a", None, b"b"]

    assert [last(history, n) for n in (-1, 0, 2, 9)] == [history, [], [None, b"b"], history]
    assert counts_of([b"a", None, b"b", b"a"]) == {b"a": 2, b"b": 1}


@given(windows)
def test_matches_are_those_found_by_comparing(window):
    """The linear-time search finds what comparing all pairs does; tokens without bytes equal nothing."""

    def matched(k):
        n = 0
        while n + k < len(window) and None is not window[-1 - n] == window[-1 - n - k]:
            n += 1
        return n

    assert list(suffix_matches(window))[1:] == [matched(k) for k in range(1, len(window))]


@given(windows, st.lists(st.sampled_from([b".", b"\n", b"b.", b"ab"]), max_size=2))
def test_nothing_before_a_breaker_counts(window, breakers):
    """The tokens since a breaker are those that begin at or after the place where the last one ends."""
    text = b"".join(piece or b"" for piece in window)
    ends = [i + len(b) for b in breakers for i in range(len(text)) if text.startswith(b, i)]
    starts = [len(b"".join(piece or b"" for piece in window[:i])) for i in range(len(window))]

    expected = sum(start >= max(ends, default=0) for start in starts)
    assert since_breaker(window, breakers) == expected


@given(windows, st.integers(1, 3))
def test_dry_finds_the_longest_repetition_that_each_token_would_continue(window, allowed):
    """Brute force over all earlier places and all lengths gives the same lengths."""
    breakers = [b"."]
    limit = since_breaker(window, breakers)
    expected = {}
    for place in range(1, len(window)):
        piece = window[place]
        if piece is None or b"." in piece:
            continue
        for length in range(allowed, min(place, limit) + 1):
            ending = window[len(window) - length :]
            if None not in ending and window[place - length : place] == ending:
                expected[piece] = max(expected.get(piece, 0), length)

    assert repeated_lengths(window, breakers, allowed) == expected


@given(windows, strengths)
def test_a_penalty_never_raises_what_was_said_above_what_was_not(history, settings):
    """The result is a distribution; the ratios of unsaid candidates stay, those that were said only sink."""
    options = {b"a": 0.4, b"x": 0.3, b"b": 0.2, b"y": 0.05}
    counts, lengths = repetition_of(history, settings)
    after = penalize(options, 3.0, counts, lengths, settings)

    assert sum(after.values()) == pytest.approx(1)
    assert list(after.values()) == sorted(after.values(), reverse=True)
    assert after[b"x"] / after[b"y"] == pytest.approx(6)
    for said in (b"a", b"b"):
        assert after.get(said, 0) / after[b"x"] <= options[said] / options[b"x"] * (1 + 1e-9)


@given(windows)
def test_only_the_repeat_penalty_depends_on_the_size_of_logits(history):
    """Presence, frequency and DRY are differences, so adding to all logits changes nothing."""
    settings = SamplingSettings(presence_penalty=0.4, frequency_penalty=0.2, dry_multiplier=1.0)
    found = repetition_of(history, settings)
    options = {b"a": 0.5, b"b": 0.3, b"x": 0.2}

    assert penalize(options, 0.0, *found, settings) == pytest.approx(
        penalize(options, 20.0, *found, settings)
    )


def test_probabilities_near_one_are_penalized_by_their_logits():
    """With log P for a logit a sure candidate would keep its place; the model's own logit is divided."""
    options, settings = {b"a": 0.98, b"x": 0.02}, SamplingSettings(repeat_penalty=1.3)

    as_logprobs = penalize(options, 0.0, {b"a": 1}, {}, settings)
    as_logits = penalize(options, 18.0, {b"a": 1}, {}, settings)

    assert as_logprobs[b"a"] > 0.97
    assert as_logits[b"x"] > as_logits[b"a"] == pytest.approx(1 / (1 + math.exp(4.0 / 1.3 - 3.9)), abs=0.3)


LOOP = always(**{" ha": 0.9, " so": 0.08})
SHORT = AnswerSettings(max_tokens=12, loop_guard=False)


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(dry_multiplier=0.8),
        SamplingSettings(frequency_penalty=1.0),
        SamplingSettings(dry_multiplier=0.8, temperature=0.5, seed=1),
    ],
)
def test_a_sure_base_that_loops_is_penalized_without_asking(sampling):
    """An unasked step takes the base's largest candidate after the penalty; the guide is still not run."""
    steps, _, roles = converse(LOOP, answer=SHORT, sampling=sampling)

    assert {step.bytes for step in steps} == {b" ha", b" so"}
    assert {step.source for step in steps} == {"base"}
    assert roles["guide"].questions == []
    for step in steps:
        instead = step.instead_of and step.instead_of.bytes
        assert instead == (None if step.bytes == b" ha" else b" ha")


def test_the_gate_does_not_see_the_penalty():
    """The guide is asked where the base is unsure before the penalty, and nowhere else."""
    unsure = always(**{" ha": 0.3, " so": 0.2})
    sampling = SamplingSettings(presence_penalty=5.0)
    asked = [
        [step.asked for step in converse(base, always(**{" go": 0.5}), answer=SHORT, sampling=each)[0]]
        for base in (LOOP, unsure)
        for each in (SamplingSettings(), sampling)
    ]

    assert asked == [[False] * 12, [False] * 12, [True] * 12, [True] * 12]


def test_changed_and_kept_compare_with_the_base_before_the_penalty():
    """Where the penalty changes an asked step's outcome, `instead_of` has what would have won."""
    base, guide = always(**{" ha": 0.35, " so": 0.3}), always(**{" ha": 0.3})
    [first, second], _, _ = converse(
        base,
        guide,
        answer=AnswerSettings(max_tokens=2),
        sampling=SamplingSettings(presence_penalty=4.0),
    )

    assert (first.bytes, first.source, first.instead_of) == (b" ha", "kept", None)
    assert (second.bytes, second.source, second.instead_of.bytes) == (b" so", "changed", b" ha")
    assert second.base_top.bytes == b" ha"


def test_the_prompt_counts():
    """Its last tokens are penalized like those of the answer, within the window."""
    for last_n, expected in ((2, b" so"), (1, b" ha")):
        settings = SamplingSettings(presence_penalty=4.0, repeat_last_n=last_n)
        running = respond(
            BlendSettings(), settings, AnswerSettings(max_tokens=1), prompt=[None, b" ha", b"\n"]
        )
        [step] = play(running, {"base": ScriptedRole(LOOP)})
        assert step.bytes == expected


def test_an_end_that_is_penalized_nowhere_ends():
    """END is no token of an answer, so no penalty puts it off; where all else sinks, it comes."""
    steps, ending, _ = converse(
        lambda _: {b" ha": 0.9, END: 0.05}, sampling=SamplingSettings(frequency_penalty=1.5)
    )

    assert len(steps) == 2
    assert ending.stopped_by == "base_end"
    assert ending.end.instead_of.bytes == b" ha"


def test_sampling_without_an_effect_draws_the_same():
    """Penalties that concern no candidate leave a seeded answer as it is."""
    drawn = [
        converse(
            always(a=0.2, b=0.2, c=0.2),
            always(a=0.3, b=0.2, d=0.2),
            sampling=SamplingSettings(
                temperature=1.0, seed=3, dry_multiplier=multiplier, dry_allowed_length=60
            ),
            answer=SHORT,
        )[0]
        for multiplier in (0.0, 1.0)
    ]

    assert drawn[0] == drawn[1]


def test_an_empty_breaker_is_refused_and_escapes_are_read():
    """As on llama.cpp's command line, where a line break is typed as two characters."""
    assert SamplingSettings(dry_sequence_breaker=(r"\n", "x")).dry_sequence_breaker == ("\n", "x")
    with pytest.raises(UsageError, match="breaker of DRY is empty"):
        SamplingSettings(dry_sequence_breaker=("",))


def test_records_of_old_have_no_penalties_and_neither_do_those_without():
    """So that a batch of an earlier version can be resumed."""
    assert set(SamplingSettings().to_json()) == {"temperature", "top_k", "top_p", "min_p", "seed"}
    assert SamplingSettings(dry_multiplier=1.0).to_json()["dry_sequence_breaker"] == ["\n", ":", '"', "*"]
