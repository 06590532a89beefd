"""One rule at every way into a pair: half of a character is refused, and nothing is asked."""

from __future__ import annotations

import pytest

from blendin_local.core.prompts import Message, PlainTemplate
from blendin_local.errors import UsageError
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.toys import make_toy

HALVES = ["caf\udce9", "\ud83d", "x\udfffy"]
QA = PlainTemplate("qa", "Q: {text}\nA:", " {text}\n")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    base, guide = make_toy(folder / "base.gguf", "plain"), make_toy(folder / "guide.gguf", "plain", seed=1)
    with Pair(PairSetup(base=base, guide=guide, template=QA)) as opened:
        yield opened


WAYS = {
    "a question": lambda pair, half: pair.respond(half),
    "a message": lambda pair, half: pair.stream([Message("user", half)]),
    "an answer before": lambda pair, half: pair.stream(
        [Message("user", "a"), Message("assistant", half), Message("user", "b")]
    ),
    "a system text": lambda pair, half: pair.respond("hello", system=half),
    "a stop string": lambda pair, half: pair.respond("hello", answer=AnswerSettings(stop=(half,))),
    "the prompts": lambda pair, half: pair.prompts(half),
    "a text to read": lambda pair, half: list(pair.read("base", half)),
    "an option": lambda pair, half: pair.option_logprobs("base", [Message("user", "a")], [half]),
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("way", list(WAYS))
def test_half_of_a_character_is_refused_at_every_way_in(pair, way, half):
    """It is a UsageError that says where, before a token is evaluated."""
    before = pair.tokens_evaluated
    with pytest.raises(UsageError, match=r"half of a character|is not UTF-8: byte 0x"):
        WAYS[way](pair, half)

    assert pair.tokens_evaluated == before


def test_among_many_requests_it_costs_its_own_answer(pair):
    """The others are answered."""
    settings = (BlendSettings(), SamplingSettings(), AnswerSettings(max_tokens=2))
    requests = [Request(name, (Message("user", name),), *settings) for name in ("one", "\ud800", "two")]
    found = {request.key: answer for request, answer in pair.answer_all(requests)}

    assert isinstance(found["\ud800"], UsageError)
    assert found["one"].text is not None
    assert found["two"].text is not None
