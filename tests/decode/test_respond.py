"""The rule of one answer on scripted models: what real models rarely do."""

import pytest

from blendin_local.core.candidates import END
from blendin_local.core.text import REPLACEMENT
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import converse, spoken

EMOJI = "😊".encode()
UNSURE = 0.2


def text_of(steps):
    return b"".join(step.bytes for step in steps)


def test_a_sure_base_never_asks():
    """At or above the threshold the base speaks for itself and the guide is not run."""
    steps, ending, roles = converse(spoken([b"Hel", b"lo"], 0.4), spoken([b"Bye"], 0.9))

    assert [step.source for step in steps] == ["base", "base"]
    assert (ending.text, ending.stopped_by) == (b"Hello", "base_end")
    assert roles["guide"].questions == []


def test_an_unsure_base_asks_and_the_surer_guide_wins():
    """Below the threshold the distributions are blended with eq. 3."""
    steps, ending, _ = converse(lambda _: {b"a": UNSURE}, spoken([b"Sure"], 0.9))

    assert steps[0].bytes == b"Sure"
    assert steps[0].source == "changed"
    assert steps[0].alpha == pytest.approx(0.9 / 1.1)
    assert (ending.text, ending.stopped_by) == (b"Sure", "guide_end")


def test_kept_is_an_asked_step_where_the_base_got_its_way():
    """The base's own first choice won although the guide was asked."""
    steps, _, _ = converse(
        lambda text: {b"x": 0.39} if not text else {END: 0.9}, lambda _: {b"y": 0.1, b"x": 0.05}
    )

    assert steps[0].source == "kept"
    assert steps[0].asked


def test_nudging_takes_the_guide_where_blendin_would_not():
    """Nudging takes the guide's top candidate however unsure the guide is."""
    base, guide = (lambda text: {b"x": 0.39} if not text else {END: 0.9}), (lambda _: {b"y": 0.1})

    nudged, _, _ = converse(base, guide, blend=BlendSettings(method="nudging"))
    blended, _, _ = converse(base, guide)

    assert (nudged[0].bytes, blended[0].bytes) == (b"y", b"x")


def test_half_an_emoji_is_finished_by_the_guide_that_won_it():
    """Half a character is completed by its proposer before the step ends."""
    halves = [EMOJI[:2], EMOJI[2:]]
    steps, ending, roles = converse(lambda _: {b"a": UNSURE}, spoken(halves, 0.9))

    assert [step.bytes for step in steps] == [EMOJI]
    assert ending.text == EMOJI
    assert roles["guide"].questions[:2] == [b"", EMOJI[:2]]
    assert roles["base"].questions == [b"", EMOJI]


def test_half_a_character_of_a_sure_base_is_finished_by_the_base():
    """The guide is not asked in the middle of the base's own character."""
    steps, _, roles = converse(spoken([EMOJI[:1], EMOJI[1:3], EMOJI[3:]], 0.9))

    assert [step.bytes for step in steps] == [EMOJI]
    assert roles["guide"].questions == []


@pytest.mark.parametrize("following", [b"abc", END, EMOJI, b"\xff"])
def test_a_character_that_never_comes_becomes_a_replacement(following):
    """Bytes that cannot be finished turn into U+FFFD, and the answer goes on."""
    steps, ending, _ = converse(
        lambda text: {EMOJI[:2]: 0.9} if not text else {following if text == EMOJI[:2] else END: 0.9}
    )

    assert [step.bytes for step in steps] == [REPLACEMENT]
    assert ending.text == REPLACEMENT


def test_a_model_that_never_closes_a_character_cannot_loop():
    """Every piece opens a new character: the step ends all the same."""
    steps, _, _ = converse(
        lambda text: {EMOJI[:3] if not text else EMOJI[3:] + EMOJI[:3]: 0.9},
        answer=AnswerSettings(max_tokens=2, loop_guard=False),
    )

    assert len(steps) == 2
    for step in steps:
        step.bytes.decode()


def test_the_guides_end_in_the_middle_of_a_word_ends_the_answer():
    """END takes part in the blend like any candidate."""
    steps, ending, _ = converse(
        lambda text: {b"wo": 0.9} if not text else {b"rd": UNSURE}, lambda _: {END: 0.9}
    )

    assert ending.text == b"wo"
    assert ending.stopped_by == "guide_end"
    assert ending.end is not None
    assert ending.end.bytes == END
    assert ending.end.source == "changed"
    assert len(steps) == 1


def test_every_step_adds_something():
    """No step is empty, so an answer cannot run on without growing."""
    steps, ending, _ = converse(
        lambda _: {b"a": 0.3, b"\xff": 0.3}, lambda _: {b"\x80": 0.9}, answer=AnswerSettings(max_tokens=40)
    )

    assert all(step.bytes for step in steps)
    assert ending.stopped_by == "max_tokens"
    assert len(steps) == 40


def test_a_tie_goes_to_the_base():
    """Two equal blended candidates: the one the base holds likelier wins."""
    blend = BlendSettings(alpha=0.5)
    steps, _, _ = converse(
        lambda text: {b"z": 0.3, b"a": 0.1} if not text else {END: 0.9},
        lambda _: {b"a": 0.3, b"z": 0.1},
        blend=blend,
    )

    assert steps[0].bytes == b"z"


def test_a_stop_string_is_cut_off_but_stays_in_the_steps():
    """The text ends before the stop string; the steps still say what was generated."""
    steps, ending, _ = converse(
        spoken([b"Paris.", b"\nQues", b"tion: What"], 0.9), answer=AnswerSettings(stop=("\nQuestion:",))
    )

    assert (ending.text, ending.stopped_by) == (b"Paris.", "stop_string")
    assert text_of(steps) == b"Paris.\nQuestion: What"


def test_repetition_ends_an_answer_unless_it_is_let():
    """The loop guard stops an endless answer and can be switched off."""
    guarded, ending, _ = converse(lambda _: {b"la ": 0.9}, answer=AnswerSettings(max_tokens=200))
    free, free_ending, _ = converse(
        lambda _: {b"la ": 0.9}, answer=AnswerSettings(max_tokens=200, loop_guard=False)
    )

    assert ending.stopped_by == "repetition"
    assert len(guarded) < len(free) == 200
    assert free_ending.stopped_by == "max_tokens"


def test_sampling_draws_from_the_blend_and_repeats_with_its_seed():
    """With a temperature the blended distribution is sampled; the same seed gives the same answer."""
    base, guide = (lambda _: {b"a": 0.2, b"b": 0.2}), (lambda _: {b"c": 0.5, b"d": 0.5})
    settings = AnswerSettings(max_tokens=30, loop_guard=False)
    runs = [
        text_of(
            converse(base, guide, sampling=SamplingSettings(temperature=1, seed=seed), answer=settings)[0]
        )
        for seed in (1, 1, 2)
    ]

    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) >= 3


def test_a_sure_base_is_not_sampled():
    """The gate comes first: above the threshold the top candidate is taken at any temperature."""
    steps, _, _ = converse(
        lambda _: {b"a": 0.5, b"b": 0.5 - 1e-3},
        sampling=SamplingSettings(temperature=5, seed=3),
        answer=AnswerSettings(max_tokens=50, loop_guard=False),
    )

    assert text_of(steps) == b"a" * 50


def test_the_base_alone_is_sampled():
    """Method base has no gate, so its whole distribution is drawn from."""
    steps, _, _ = converse(
        lambda _: {b"a": 0.5, b"b": 0.5},
        blend=BlendSettings(method="base"),
        sampling=SamplingSettings(temperature=1, seed=3),
        answer=AnswerSettings(max_tokens=50, loop_guard=False),
    )

    assert set(text_of(steps)) == set(b"ab")


def test_the_guide_alone():
    """Method guide asks no base and names itself in every step."""
    steps, ending, roles = converse(
        spoken([b"no"], 0.9), spoken([b"yes"], 0.3), blend=BlendSettings(method="guide")
    )

    assert [(step.bytes, step.source, step.base_top) for step in steps] == [(b"yes", "guide", None)]
    assert ending.stopped_by == "guide_end"
    assert roles["base"].questions == []


def test_candidates_are_kept_where_they_are_wanted():
    """With top_logprobs each step holds the heads of base, guide and blend."""
    steps, _, _ = converse(
        lambda text: {b"a": 0.3, b"b": 0.2} if not text else {END: 0.9},
        lambda _: {b"b": 0.6},
        answer=AnswerSettings(top_logprobs=2),
    )

    lists = steps[0].candidates
    assert [c.bytes for c in lists.guide][:1] == [b"b"]
    assert [c.bytes for c in lists.base] == [b"a", b"b"]
    assert lists.blend[0].bytes == b"b"
