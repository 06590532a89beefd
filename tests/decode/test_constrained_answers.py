"""Answers with a prescribed form: both models follow the text, whoever wrote it and however it was read."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest
from llguidance import LLMatcher

from blendin_local.core.methods import METHODS
from blendin_local.core.prompts import Message
from blendin_local.decode import drafter
from blendin_local.decode.driver import drive
from blendin_local.decode.respond import Question, respond
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import UsageError
from blendin_local.grammar.matcher import GrammarConstraint
from blendin_local.grammar.vocabulary import GrammarVocabulary
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.decode.scripted_contexts import finish, role_contexts
from tests.prompts import TEMPLATE
from tests.toys import KINDS, make_toy

SENTENCES = "( the| a)( cats?| 😊| 😃)( sat){0,3}\\.( the cats?| a 😊)?( sat sat sat)?"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "likes": {"type": "array", "items": {"enum": ["tea", "the sea", "😊"]}, "maxItems": 3},
        "old": {"type": "boolean"},
    },
    "required": ["name", "likes", "old"],
    "additionalProperties": False,
}
SCHEMA = json.dumps(PERSON)
EXACT = ModelSettings(ctx_size=768, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=80, draft="off", json_schema=SCHEMA, schema_in_prompt=False)
SAMPLED = SamplingSettings(temperature=0.9, seed=3)
MODES = ("guide", "ngram", "both", "auto")


@pytest.mark.parametrize("method", ["base", "guide", "nudging", "nudging-words", "blendin"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_cached_loop_equals_its_slow_twin_exactly(method, temperature, seed):
    """Whatever is forced or chosen, both models have read exactly the text, so every step is the same."""
    rules = (
        BlendSettings(method=method, threshold=0.5),
        SamplingSettings(temperature=temperature, seed=seed),
        AnswerSettings(max_tokens=60, loop_guard=False, top_logprobs=5),
    )
    made = role_contexts(seed)
    tables = [role_context.table for role_context in made.values()]
    grammar = LLMatcher.grammar_from_regex(SENTENCES)
    allowed = GrammarConstraint(GrammarVocabulary(tables), grammar)
    for role_context in made.values():
        role_context.begin([Span("Question", trusted=False)], 100, constraint=allowed)

    cached = finish(drive(respond(*rules, constraint=allowed), made))
    slow = without_a_cache(respond(*rules, constraint=allowed), role_contexts(seed), allowed)

    assert cached == slow
    assert re.fullmatch(SENTENCES, cached[1].text.decode())
    assert any(step.source == "forced" for step in cached[0])


def without_a_cache(answer, made, allowed):
    """The slow twin: every question is answered from the text alone."""
    steps, exchange = [], next(answer)
    while True:
        try:
            if isinstance(exchange, Question):
                role_context = made[exchange.role]
                role_context.begin([Span("Question", trusted=False)], 100)
                raw = role_context.predict(exchange.text, lambda: False)
                exchange = answer.send(allowed.condition(raw, exchange.text))
            else:
                steps.append(exchange)
                exchange = answer.send(None)
        except StopIteration as finished:
            return steps, finished.value


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch):
    """`auto` leaves models as fast as toys alone."""
    monkeypatch.setattr(drafter, "MIN_EVALUATION_S", 0.0)


@pytest.fixture(scope="module", params=["guide is the base", "guide is another"])
def trio(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trio")
    base, other, untuned = (make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in range(3))
    guide = base if request.param == "guide is the base" else other
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=3, untuned=untuned)) as opened:
        yield opened


def said(completion):
    steps = [(step.bytes, step.source) for step in completion.steps]
    return steps, completion.stopped_by, completion.complete


def assert_has_the_form(completion):
    if completion.complete:
        jsonschema.validate(json.loads(completion.text), PERSON)
    else:
        assert completion.finish_reason == "length"


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"steer"}))
@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_drafts_change_no_constrained_answer(trio, method, sampling):
    """For every method, greedy and sampled, whoever makes the drafts; forced text may be part of them."""
    blend = BlendSettings(method=method, threshold=0.3)
    plain = trio.respond("the hello", blend=blend, sampling=sampling, answer=LIMITS)
    assert_has_the_form(plain)
    for mode in MODES:
        drafted = trio.respond(
            "the hello", blend=blend, sampling=sampling, answer=replace(LIMITS, draft=mode)
        )
        assert said(drafted) == said(plain)


@pytest.mark.parametrize("mode", ["off", "both"])
def test_many_answers_of_different_forms_are_those_made_alone(trio, mode):
    """Each answer follows its own constraint; some have none."""
    forms = [
        {"json_schema": SCHEMA},
        {"regex": "(yes|no)!{1,3}"},
        {},
        {"grammar": 'root ::= "<" [a-z]{1,4} ">" root?'},
    ]
    rows = [
        Request(
            f"{i} {method}",
            (Message("user", "the hello world" * (i + 1)),),
            BlendSettings(method=method, threshold=0.3),
            SAMPLED if i % 2 else SamplingSettings(),
            AnswerSettings(max_tokens=30, draft=mode, **form),
        )
        for i, form in enumerate(forms)
        for method in ("base", "guide", "nudging", "nudging-words", "blendin")
    ]

    together = {row.key: completion for row, completion in trio.answer_all(rows)}
    for row in rows:
        alone = trio.respond(
            row.messages, blend=row.blend, sampling=row.sampling, answer=replace(row.answer, draft="off")
        )
        assert said(together[row.key]) == said(alone), row.key


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_memory_makes_constrained_answers(kind, tmp_path):
    """Forced text is read like any other, also by models that cannot go back."""
    base, guide = (make_toy(tmp_path / f"{seed}.gguf", kind, seed=seed) for seed in (0, 1))
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT)) as pair:
        for method in ("base", "guide", "blendin"):
            made = pair.respond("hello", blend=BlendSettings(method=method), answer=LIMITS)
            assert_has_the_form(made)


def test_the_record_tells_what_the_constraint_did(trio):
    """Forced steps are in no rate, and the mass of what was legal is kept with each other step."""
    made = trio.respond("hello", blend=BlendSettings(threshold=1.0), answer=LIMITS)

    asked = [step for step in made.steps if step.source != "forced"]
    assert made.blend.forced == len(made.steps) - len(asked) > 0
    assert made.blend.steps == made.blend.asked == len(asked)
    assert made.blend.intervention_rate == 1
    assert all(0 <= step.legal_base < 1 and 0 <= step.legal_guide < 1 for step in asked)
    assert all(step.legal_base is None and step.base_top is None for step in made.steps if step not in asked)
    assert made.signature["answer"]["json_schema"] == SCHEMA


def test_forced_text_costs_no_evaluation_of_its_own(trio):
    """It is read in the call that answers the next question."""
    form = AnswerSettings(draft="off", regex="(red|green), then( the)? (red|green)!( Yes\\.)?")
    made = trio.respond("hello", blend=BlendSettings(method="base"), answer=form)
    assert made.timings.evaluations["base"] <= made.blend.steps + 1  # the prompt's, and one per question
    assert len(made.steps) > made.blend.steps


def test_an_answer_that_is_cut_says_that_it_is_not_complete(trio):
    """By its length or a stop string, never repaired."""
    cut = trio.respond("hello", answer=replace(LIMITS, max_tokens=3))
    assert (cut.finish_reason, cut.complete) == ("length", False)
    stopped = trio.respond("hello", answer=replace(LIMITS, stop=("likes",)))
    assert (stopped.stopped_by, stopped.complete) == ("stop_string", False)
    assert stopped.text.endswith('"')


def test_the_loop_guard_leaves_legal_repetition_alone(trio):
    """It ends an answer only where that is complete; where it is not, repetition may be what is asked for."""
    regex = "(the sea ){60}"
    made = trio.respond("hello", answer=AnswerSettings(max_tokens=400, regex=regex, loop_guard=True))
    assert made.text == "the sea " * 60
    endless = trio.respond("hello", answer=AnswerSettings(max_tokens=400, regex="(the sea )+"))
    assert endless.complete
    assert len(endless.text) < 400


def test_an_answer_is_begun_only_as_its_form_allows(trio):
    """A beginning that no complete answer has is refused before anything is evaluated."""
    begun = trio.respond("hello", answer=LIMITS, answer_start='{"name": "Bo')
    assert begun.text.startswith('{"name": "Bo')
    assert_has_the_form(begun)
    with pytest.raises(UsageError, match="the beginning of the answer does not match"):
        trio.respond("hello", answer=LIMITS, answer_start="Bo")


def test_the_models_are_told_the_schema_unless_not_wanted(trio):
    """Both prompts get longer by it; a regular expression is not told."""
    told = trio.respond("hello", answer=replace(LIMITS, schema_in_prompt=True, max_tokens=2))
    untold = trio.respond("hello", answer=replace(LIMITS, max_tokens=2))
    regex = trio.respond("hello", answer=AnswerSettings(max_tokens=2, regex="a+"))
    plain = trio.respond("hello", answer=AnswerSettings(max_tokens=2))
    assert told.usage.base_prompt_tokens > untold.usage.base_prompt_tokens == plain.usage.base_prompt_tokens
    assert told.usage.guide_prompt_tokens > plain.usage.guide_prompt_tokens
    assert regex.usage.base_prompt_tokens == plain.usage.base_prompt_tokens
