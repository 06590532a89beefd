"""Answers that are begun and must have a form: with a text, or with steps of another and a candidate."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from blendin_local.core.answer_start import AnswerStart, fork, start_steps, state_after
from blendin_local.core.methods import METHODS
from blendin_local.core.records import Completion
from blendin_local.errors import UsageError
from blendin_local.grammar.definition import definition_of
from blendin_local.pair.constraints import Constraints
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from blendin_local.testing import converse, random_script
from tests.prompts import TEMPLATE
from tests.toys import make_toy

FORM = "(a| ab|😊|12){2,4}( abc 1(a|b|1)){2}(\n\n12)?"
LETTERS = [b" ", b"a", b"b", b"c", b"1", b"2", b"\n", *[bytes([byte]) for byte in "😊".encode()]]
LIMITS = AnswerSettings(max_tokens=40, loop_guard=False, top_logprobs=4, regex=FORM)
SAMPLED = SamplingSettings(temperature=1.0, seed=3)
BY_BYTES = Constraints(())
DRAFTING = {"nudging-words"}  # what is left of a draft is not in the record, so another one is made
EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["hello", "world"]}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}
AS_PERSON = AnswerSettings(max_tokens=40, draft="off", json_schema=json.dumps(PERSON), schema_in_prompt=False)


def able(script):
    """A model that can also say every letter of the form."""
    return lambda text: dict.fromkeys(LETTERS, 1e-4) | dict(script(text))


def answer(seed, method="blendin", sampling=None, start: AnswerStart = ()):
    steps = start_steps(start)
    blend = BlendSettings(method=method, threshold=0.4, cap=0.4)
    models = [able(random_script(seed, role)) for role in ("base", "guide", "untuned")]
    constraint = BY_BYTES.of(definition_of(LIMITS), steps)
    made, ending, _ = converse(
        *models, blend=blend, sampling=sampling, answer=LIMITS, start=steps, constraint=constraint
    )
    return Completion(ending.text.decode(), tuple(made), ending.stopped_by, ending.end)


@pytest.mark.parametrize("method", sorted(set(METHODS) - DRAFTING))
@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_an_answer_begun_with_its_own_steps_is_the_same(method, sampling):
    """Before and after forced text; a method that counts its steps counts the same ones."""
    for seed in range(2):
        first = answer(seed, method, sampling)
        for k in range(0, len(first.steps) + 1, 2):
            assert answer(seed, method, sampling, first.steps[:k]) == first


def test_forced_text_is_no_step_of_a_model():
    """What a method knows of the start counts the steps that were decided."""
    steps = answer(0).steps
    decided = [step for step in steps if step.source != "forced"]
    assert state_after(steps) == state_after(decided)
    assert len(decided) < len(steps)


@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_a_fork_has_the_form_or_is_refused(sampling):
    """With every candidate of every step: a legal one leads to an answer of the form, none other begins."""
    n_refused = 0
    for seed in range(2):
        first = answer(seed, "blendin", sampling)
        for i, step in enumerate(first.steps):
            before = "".join(each.text for each in first.steps[:i])
            for candidate in ["a", " ab", "12", "1", " ", "😊", "\n", "b", step.text]:
                begun = fork(first, i, candidate)
                if not is_beginning(before + candidate):
                    n_refused += 1
                    with pytest.raises(UsageError, match=r"goes on with the chosen candidate"):
                        answer(seed, "blendin", sampling, begun)
                    continue
                forked = answer(seed, "blendin", sampling, begun)
                assert forked.text.startswith(before + candidate)
                assert forked.stopped_by == "max_tokens" or re.fullmatch(FORM, forked.text)
    assert n_refused


def is_beginning(text):
    """Whether a text of the form begins so, by trying how it may go on."""
    return any(re.fullmatch(FORM, text + tail) for tail in TAILS)


UNIT = " abc 1a"
TAILS = [
    piece + more + ends
    for piece in ["", "2", "b", "ab", *[UNIT[n:] for n in range(1, 7)], "\n12", "12", "2"]
    for more in ["", "a", "aa", "aaa"]
    for ends in ["", UNIT, UNIT * 2]
]


def test_half_a_character_may_be_chosen_where_it_can_be_completed():
    """The model completes it within the form; one that no text of the form goes on with is refused."""
    first = answer(1)
    forked = answer(1, start=fork(first, 0, "😊".encode()[:2]))
    assert forked.text.startswith("😊")
    with pytest.raises(UsageError, match="chosen candidate: '�'"):
        answer(1, start=fork(first, 0, "é".encode()[:1]))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two toys."""
    folder = tmp_path_factory.mktemp("begun")
    base, guide = (make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1))
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT)) as open_pair:
        yield open_pair


@pytest.mark.parametrize("begun", ["{", '{"name"', '{"name": "w', '{"name": "hello", "old": tr'])
def test_a_given_text_is_continued_in_the_form(pair, begun):
    """Inside a string, between tokens, and where all that follows is forced."""
    completion = pair.respond("the hello world", answer=AS_PERSON, answer_start=begun)
    assert completion.text.startswith(begun)
    assert completion.complete
    jsonschema.validate(json.loads(completion.text), PERSON)
    assert completion.steps[0].source == "given"
    if begun.endswith("tr"):
        assert [step.text for step in completion.steps[1:]] == ["ue}"]
        assert completion.usage.base_tokens_evaluated == 0
        assert completion.stopped_by == "complete"


def test_a_whole_answer_that_is_given_is_complete_at_once(pair):
    """Nothing is added, and no model is asked."""
    whole = '{"name": "world", "old": true}'
    completion = pair.respond("the", answer=AS_PERSON, answer_start=whole)
    assert (completion.text, completion.stopped_by, completion.complete) == (whole, "complete", True)


def test_forks_of_a_pair_s_answer(pair):
    """At a forced step only what it is, or begins with, can be chosen; elsewhere what the form allows."""
    first = pair.respond("the hello world", answer=AS_PERSON)
    [forced] = [step for step in first.steps if step.text == '{"name": "']
    at = next(step for step in first.steps if step.text[0] in "hw")
    other = "world" if at.text[0] == "h" else "hello"

    def forked(i, candidate):
        return pair.respond("the hello world", answer=AS_PERSON, answer_start=fork(first, i, candidate))

    assert f'"name": "{other}"' in forked(at.i, other[0]).text
    assert forked(forced.i, '{"na').text.startswith('{"name": "')
    for i, candidate in ((forced.i, "["), (at.i, "x"), (forced.i, '{"name": "x')):
        with pytest.raises(UsageError, match="no answer that matches the JSON Schema goes on"):
            forked(i, candidate)
    begun = fork(first, at.i, other)
    with pytest.raises(UsageError, match="matches the regular expression"):
        pair.respond("the", answer=AnswerSettings(regex="[a-z]+"), answer_start=begun)
