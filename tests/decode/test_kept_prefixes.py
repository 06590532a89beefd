"""Laws of a conversation's turns on toys of every memory: what is kept of the last, what is read anew."""

from __future__ import annotations

import pytest

from blendin_local.core.prompts import Message
from blendin_local.engine.model import MemoryKind
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.prompts import TEMPLATE
from tests.toys import KINDS, make_toy

EXACT = ModelSettings(ctx_size=1024, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=12, loop_guard=False)
ASKED = BlendSettings(threshold=1)
SAMPLED = SamplingSettings(temperature=4, seed=1)  # else a toy only says its prompt's last token again
ANY_TAIL = {MemoryKind.PLAIN, MemoryKind.SLIDING}
LONG = "hello world, the hell or a wheel of the world told "


@pytest.fixture(scope="module", params=KINDS)
def toys(request, tmp_path_factory):
    """Base and guide of one kind of memory."""
    folder = tmp_path_factory.mktemp("turns")
    return [make_toy(folder / f"{seed}.gguf", request.param, seed=seed) for seed in range(2)]


@pytest.fixture
def pair(toys):
    """A fresh pair."""
    with Pair(PairSetup(*toys, TEMPLATE, EXACT, EXACT)) as opened:
        yield opened


def answer(pair, messages):
    return pair.respond(messages, blend=ASKED, sampling=SAMPLED, answer=LIMITS)


def evaluated(completion, role):
    return getattr(completion.usage, f"{role}_tokens_evaluated")


def check_prompts(pair, messages):
    """The tokens of every sequence's prompt say what was to be read."""
    for role, prompt in pair.prompts(messages).items():
        sequence, pieces = pair._slots[0][role].sequence, pair._models[role].table.pieces
        assert b"".join(pieces[i] for i in sequence.ids[: sequence.n_prompt]) == prompt.encode()


@pytest.mark.parametrize("told", [str, str.strip], ids=["as it was said", "without its edges"])
def test_a_longer_conversation_reads_only_what_is_new(pair, told):
    """Each turn reads its own text and no more, and the whole prompt is what the models have then read."""
    messages = [Message("user", LONG * 6)]
    last = answer(pair, messages)
    for _ in range(3):
        assert last.text.strip()
        messages += [Message("assistant", told(last.text)), Message("user", LONG)]
        known = {role: place.sequence.n_prompt for role, place in pair._slots[0].items()}

        last = answer(pair, messages)

        check_prompts(pair, messages)
        for role, n_known in known.items():
            grown = pair._slots[0][role].sequence.n_prompt - n_known
            if pair._models[role].model.memory_kind in ANY_TAIL:
                assert 0 < evaluated(last, role) <= 2 * grown + len(LONG) < n_known


def test_another_conversation_is_read_as_by_a_fresh_pair(pair, toys):
    """A prompt that goes on from the last one, but not from its answer, is a new one."""
    answer(pair, [Message("user", LONG)])
    others = (
        [Message("user", LONG), Message("assistant", "I never said that."), Message("user", "or")],
        [Message("user", "the world")],
        [Message("user", LONG), Message("assistant", "Nor that."), Message("user", LONG)],
    )
    for messages in others:
        warm = answer(pair, messages)
        check_prompts(pair, messages)
        with Pair(PairSetup(*toys, TEMPLATE, EXACT, EXACT)) as fresh:
            assert warm.steps == answer(fresh, messages).steps


def test_the_same_question_again_reads_one_token_of_each_prompt(pair):
    """And gives the same steps to the last bit."""
    first, repeat = (answer(pair, [Message("user", LONG)]) for _ in range(2))

    assert repeat.steps == first.steps
    for role in ("base", "guide"):
        n_prompt = pair._slots[0][role].sequence.n_prompt
        assert evaluated(first, role) - evaluated(repeat, role) == n_prompt - 1


def test_the_time_of_a_prompt_is_counted_where_one_is_read(pair):
    """Seconds of evaluations that read a prompt are more than nothing and no more than all."""
    role_context = pair._slots[0]["base"]
    completion = answer(pair, [Message("user", LONG)])

    assert 0 < role_context.sequence.counter.prompt_s <= role_context.context.counter.decode_s + 0.1
    assert completion.timings.prompt_ms > 0
    answer(pair, [Message("user", LONG)])
    assert role_context.sequence.counter.prompt_s == 0  # nothing of it was left to read
