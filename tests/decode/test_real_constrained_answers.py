"""Answers with a prescribed form on the demo pair: two real vocabularies, one constraint."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest

from blendin_local.core.prompts import Message
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.near_ties import is_near_tie, parting, whole
from tests.prompts import TEMPLATE

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "born": {"type": "integer", "minimum": 1500, "maximum": 2024},
        "field": {"enum": ["physics", "chemistry", "painting", "music"]},
        "works": {"type": "array", "items": {"type": "string", "maxLength": 30}, "maxItems": 3},
    },
    "required": ["name", "born", "field", "works"],
    "additionalProperties": False,
}
QUESTIONS = (
    "Who was Marie Curie?",
    "Who was Johann Sebastian Bach?",
    "Wer war Albrecht Dürer? Schreibe auch 😀.",
    "Who painted the Mona Lisa?",
)
METHODS = ("base", "guide", "nudging", "nudging-words", "blendin", "ensemble")
LIMITS = AnswerSettings(max_tokens=90, json_schema=json.dumps(PERSON), top_logprobs=2, draft="off")
SETTINGS = ModelSettings(ctx_size=1024, threads=1)

pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module")
def pair(demo_base_path, demo_guide_path):
    setup = PairSetup(demo_base_path, demo_guide_path, TEMPLATE, SETTINGS, SETTINGS, n_parallel=4)
    with Pair(setup) as opened:
        yield opened


def assert_valid(completion):
    if completion.complete:
        jsonschema.validate(json.loads(completion.text), PERSON)
    else:
        assert completion.finish_reason == "length"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_with_valid_json(pair, method):
    """Greedy and sampled: valid, or cut by its length."""
    for question in QUESTIONS[:2]:
        for sampling in (SamplingSettings(), SamplingSettings(temperature=1.0, seed=7)):
            made = pair.respond(
                question, blend=BlendSettings(method=method), sampling=sampling, answer=LIMITS
            )
            assert_valid(made)
            assert made.blend.forced >= 4


def test_drafts_part_from_the_plain_answer_at_near_ties_only(pair):
    """With drafts of both kinds, forced text in them, every parting is what batch shapes explain."""
    for question in QUESTIONS:
        plain = pair.respond(question, answer=LIMITS)
        drafted = pair.respond(question, answer=replace(LIMITS, draft="both"))
        assert_valid(drafted)
        apart = parting(whole(plain), whole(drafted))
        assert apart is None or is_near_tie(apart[0], 0.4), apart


def test_many_at_once_are_all_valid(pair):
    """Rows with different forms in shared batches, with drafts as they come."""
    regex = r"(Yes|No), because [a-z ,]{5,60}\."
    forms = [
        replace(LIMITS, draft="auto"),
        AnswerSettings(max_tokens=60, regex=regex),
        AnswerSettings(max_tokens=20),
    ]
    rows = [
        Request(f"{i} {question}", (Message("user", question),), answer=form)
        for i, form in enumerate(forms)
        for question in QUESTIONS
    ]
    for row, made in pair.answer_all(rows):
        if row.answer.regex and made.complete:
            assert re.fullmatch(regex, made.text)
        elif row.answer.json_schema:
            assert_valid(made)
