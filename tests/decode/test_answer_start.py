"""Answers that are begun: with a text, or with steps of an earlier answer and another candidate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blendin_local.core.answer_start import fork, start_steps
from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS
from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.core.text import StopStringBuffer
from blendin_local.engine.model import MemoryKind
from blendin_local.errors import ContextFullError, UsageError
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from blendin_local.testing import converse, random_script, spoken
from tests.near_ties import is_near_tie, whole
from tests.prompts import TEMPLATE
from tests.toys import KINDS, make_toy

EMOJI = "😊".encode()
LIMITS = AnswerSettings(max_tokens=24, loop_guard=False, top_logprobs=4)
DRAFTING = {"nudging-words"}  # what is left of a draft is not in the record, so another one is made
SAMPLED = SamplingSettings(temperature=1.0, seed=3)


def scripts(seed):
    """Three models that know nothing of each other."""
    return [random_script(seed, role) for role in ("base", "guide", "untuned")]


def answer(seed, method="blendin", sampling=None, start=(), limits=LIMITS):
    blend = BlendSettings(method=method, threshold=0.4, cap=0.4)
    steps, ending, _ = converse(*scripts(seed), blend=blend, sampling=sampling, answer=limits, start=start)
    return Completion(ending.text.decode(), tuple(steps), ending.stopped_by, ending.end)


@pytest.mark.parametrize("method", sorted(set(METHODS) - DRAFTING))
@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_an_answer_begun_with_its_own_steps_is_the_same(method, sampling):
    """From any step on it is decided as before, with the same random numbers, up to the same end."""
    for seed in range(8):
        first = answer(seed, method, sampling)
        for k in range(len(first.steps) + 1):
            assert answer(seed, method, sampling, first.steps[:k]) == first


@pytest.mark.parametrize("method", sorted(set(METHODS) - DRAFTING - {"capped"}))  # capped counts its steps
def test_an_answer_begun_with_its_own_text_goes_on_as_before(method):
    """Greedily: what follows depends on the text alone."""
    for seed in range(8):
        first = answer(seed, method)
        for k in range(1, len(first.steps)):
            text = b"".join(step.bytes for step in first.steps[:k]).decode()
            begun = answer(seed, method, start=start_steps(text))
            assert begun.text.startswith(text)
            followed = [(step.bytes, step.source) for step in first.steps[k:]]
            assert [(step.bytes, step.source) for step in begun.steps[1:]][: len(followed)] == followed


@pytest.mark.parametrize("method", sorted(set(METHODS) - DRAFTING))
@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_a_fork_to_the_winner_itself_is_the_same_answer(method, sampling):
    """Only the source of that step differs: it says who chose."""
    for seed in range(8):
        first = answer(seed, method, sampling)
        for i, step in enumerate(first.steps):
            forked = answer(seed, method, sampling, fork(first, i, step.bytes))
            assert forked.text == first.text
            assert forked.stopped_by == first.stopped_by
            assert forked.steps[i].source == "chosen"
            assert forked.steps[i + 1 :] == first.steps[i + 1 :]


def test_a_fork_keeps_what_came_before_and_goes_on_from_the_other_candidate():
    """The steps before it are the records of the first answer; its own has the models' candidates."""
    follow = {b"": b"Hel", b"Hel": b"lo", b"Help": b" me"}
    base = lambda text: {follow.get(text, END): 0.8, b"p": 0.1}  # noqa: E731
    steps, ending, _ = converse(base, answer=LIMITS)
    first = Completion(ending.text.decode(), tuple(steps), ending.stopped_by, ending.end)

    steps, ending, roles = converse(base, answer=LIMITS, start=fork(first, 1, "p"))

    assert ending.text == b"Help me"
    assert steps[0] == first.steps[0]
    assert (steps[1].source, steps[1].base_top) == ("chosen", first.steps[1].base_top)
    assert steps[1].candidates == first.steps[1].candidates
    assert roles["base"].questions[0] == b"Help"


def test_the_end_of_an_answer_can_be_replaced():
    """A fork at the step of END makes the answer go on."""
    base = lambda text: {b"Yes" if not text else b" indeed" if text == b"Yes," else END: 0.9}  # noqa: E731
    steps, ending, _ = converse(base)
    first = Completion(ending.text.decode(), tuple(steps), ending.stopped_by, ending.end)

    assert converse(base, start=fork(first, 1, ","))[1].text == b"Yes, indeed"


def test_half_a_character_that_was_chosen_is_completed_by_the_model_that_listed_it():
    """Every step of an answer is whole characters."""
    guide = spoken([EMOJI[:2], EMOJI[2:]], 0.9)
    steps, ending, _ = converse(lambda _: {b"a": 0.2}, guide, answer=LIMITS)
    first = Completion(ending.text.decode(), tuple(steps), ending.stopped_by, ending.end)
    half = fork(first, 0, EMOJI[:2])

    begun, ending, roles = converse(lambda _: {b"a": 0.2}, guide, answer=LIMITS, start=half)

    assert begun[0].bytes == EMOJI
    assert roles["guide"].questions[0] == EMOJI[:2]
    assert ending.text.startswith(EMOJI)


@pytest.mark.parametrize(
    ("start", "stop", "text"),
    [("a Stop b", "Stop", "a Stop bcd"), ("a St", "tc", "a S"), ("a", "d", "ac"), ("a d", "d", "a dc")],
)
def test_a_stop_string_inside_the_start_ends_nothing(start, stop, text):
    """One that begins in the start and ends after it does, and what is shown is the answer."""
    limits = replace(LIMITS, stop=(stop,))
    base = spoken([b"c", b"d"], 0.9)
    follow = lambda said: base(said.removeprefix(start.encode()))  # noqa: E731

    steps, ending, _ = converse(follow, answer=limits, start=start_steps(start))

    assert ending.text.decode() == text
    shown = StopStringBuffer(limits.stop, 1)
    parts = [part for step in steps for _, part in shown.feed(step)]
    assert text != "a Stop bcd" or "".join(parts) == text  # nothing waits for the end
    assert "".join([*parts, *(part for _, part in shown.flush())]) == text


def test_a_given_text_is_not_counted_as_a_step_of_a_model():
    """Neither by max_tokens nor by the rates."""
    limits = replace(LIMITS, max_tokens=2)
    steps, ending, _ = converse(lambda _: {b"x": 0.9}, answer=limits, start=start_steps("Well,"))

    assert ending.text == b"Well,xx"
    assert [step.i for step in steps] == [0, 1, 2]
    assert Completion(ending.text.decode(), tuple(steps), ending.stopped_by).blend.steps == 2


def test_what_cannot_begin_an_answer_is_refused():
    """Each with the reason."""
    first = answer(1)
    with pytest.raises(UsageError, match="there is no step 99"):
        fork(first, 99, "x")
    with pytest.raises(UsageError, match="END cannot be chosen"):
        fork(first, 0, b"")
    with pytest.raises(UsageError, match="lone surrogate"):
        start_steps("\ud800")
    with pytest.raises(UsageError, match="inside a character"):
        start_steps([replace(first.steps[0], bytes=EMOJI[:2]), first.steps[0]])


EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
QUESTION = "hello world, the hell or a wheel of the world told "
FIRM = {"blend": BlendSettings(threshold=1), "sampling": SamplingSettings(temperature=4, seed=1)}


@pytest.fixture(scope="module", params=KINDS)
def toys(request, tmp_path_factory):
    """Base and guide of one kind of memory."""
    folder = tmp_path_factory.mktemp("starts")
    return [make_toy(folder / f"{seed}.gguf", request.param, seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def pair(toys):
    with Pair(PairSetup(*toys, TEMPLATE, EXACT, EXACT)) as opened:
        yield opened


def test_models_go_on_from_a_fork_as_they_did(pair):
    """On every kind of memory: what was evaluated after the fork is forgotten, and nothing else."""
    first = pair.respond(QUESTION, **FIRM, answer=LIMITS)
    for i in (0, 5, len(first.steps) - 1):
        forked = pair.respond(
            QUESTION, **FIRM, answer=LIMITS, answer_start=fork(first, i, first.steps[i].bytes)
        )
        assert forked.text == first.text
        assert forked.n_start == i + 1
        assert forked.signature["answer_start"]["steps"] == i + 1
    assert pair.respond(QUESTION, **FIRM, answer=LIMITS).steps == first.steps


def test_steps_of_an_earlier_answer_keep_what_decided_them(pair):
    """Every candidate that was kept of them stays, so that the whole answer can be replayed."""
    limits = replace(LIMITS, evidence=True)
    first = pair.respond(QUESTION, **FIRM, answer=limits)
    assert first.steps[0].candidates is not None
    again = pair.respond(QUESTION, **FIRM, answer=limits, answer_start=first.steps[:4])
    assert again.steps[:4] == first.steps[:4]


def test_a_last_message_of_the_assistant_is_continued(pair, toys):
    """It is the answer's beginning, whether the models have said it or read it now, alone or among others."""
    messages = [Message("user", QUESTION), Message("assistant", "the hell")]
    begun = pair.respond(messages, answer=LIMITS)
    assert begun.text.startswith("the hell")
    assert begun.steps[0].source == "given"
    assert begun.steps == pair.respond(QUESTION, answer=LIMITS, answer_start="the hell").steps
    assert pair.prompts(messages) == pair.prompts(QUESTION)
    with Pair(PairSetup(*toys, TEMPLATE, EXACT, EXACT)) as fresh:
        anew = fresh.respond(messages, answer=LIMITS)
        assert anew.text == begun.text
        if pair._models["base"].model.memory_kind in {MemoryKind.PLAIN, MemoryKind.SLIDING}:
            assert anew.steps == begun.steps  # to the last bit: it is read in the same shapes
    with Pair(PairSetup(*toys, TEMPLATE, EXACT, EXACT, n_parallel=2)) as fresh:
        requests = [Request(str(i), messages, answer=LIMITS) for i in range(2)]
        for _, each in fresh.answer_all(requests):
            assert each.text == begun.text
            assert whole(each)[0].source == "given"


def test_an_answer_has_one_beginning(pair):
    """Two are refused."""
    with pytest.raises(UsageError, match="two beginnings"):
        pair.respond([Message("user", "the"), Message("assistant", "a")], answer_start="b")


def test_a_start_that_does_not_fit_is_an_error_with_its_length(pair):
    """Prompt and start together."""
    with pytest.raises(ContextFullError):
        pair.respond("the", answer_start="hello " * 600)


@pytest.fixture(scope="module")
def demo(demo_base_path, demo_guide_path):
    settings = ModelSettings(ctx_size=1024, threads=1)
    with Pair(PairSetup(demo_base_path, demo_guide_path, TEMPLATE, settings, settings)) as opened:
        yield opened


def test_real_models_go_on_from_their_own_beginning(demo):
    """A fork to the winner gives the same answer; its text alone does up to near-ties."""
    limits = replace(LIMITS, max_tokens=32)
    for question in ("Why do cats purr?", "Name three planets."):
        first = demo.respond(question, answer=limits)
        for i in (3, 12, len(first.steps) - 1):
            forked = demo.respond(question, answer=limits, answer_start=fork(first, i, first.steps[i].bytes))
            assert_as_before(first, forked, i + 1, forked.steps[i + 1 :])
            text = b"".join(step.bytes for step in first.steps[:i]).decode()
            begun = demo.respond(question, answer=limits, answer_start=text)
            assert begun.text.startswith(text)
            assert_as_before(first, begun, i, begun.steps[1:])


def assert_as_before(first, now, i, steps):
    """From step `i` on they are the steps of the first answer, or part at a near-tie."""
    followed = first.steps[i:]
    pairs = zip(followed, steps, strict=False)
    parted = next(((a, b) for a, b in pairs if (a.bytes, a.asked) != (b.bytes, b.asked)), None)
    assert parted is None or any(is_near_tie(step, 0.4) for step in parted)
    assert parted or len(steps) >= len(followed), now.text
