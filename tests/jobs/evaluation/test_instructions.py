"""IFEval's checks: an obeyed and a disobeyed answer for each kind, the loose readings, the languages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.scoring.instructions import CHECKS, follows, variants
from blendin_local.jobs.scoring.languages import detect

ENGLISH = "The rain in the north of the country has stopped, and people walk again."
GERMAN = "Der Regen im Norden des Landes hat aufgehört, und die Leute gehen wieder spazieren."
CASES = [  # kind, arguments, obeyed, disobeyed
    ("keywords:existence", {"keywords": ["Cat", "dog"]}, "A CATALOGUE of dogs", "a cat"),
    ("keywords:frequency", {"keyword": "go", "frequency": 2, "relation": "at least"}, "Go, go", "go"),
    ("keywords:frequency", {"keyword": "go", "frequency": 2, "relation": "less than"}, "go", "go go"),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "catalogue", "a Cat."),
    ("keywords:letter_frequency", {"letter": "L", "let_frequency": 2, "let_relation": "at least"}, "lL", "l"),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "##", "#"),
    ("language:response_language", {"language": "de"}, GERMAN, ENGLISH),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two, three", "it is"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "one two", "it's me"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***a***b***", "a *** *** b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "Now.\n\n'then, it",
        "Now.\n\nAfter that",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        "a\n\nthen",
        "a\n\nthen\n\nb",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] [place]", "[name\n]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\np. s. more", "PS more"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.P.S more", "P.S. more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b", "* a\n**b**"),
    ("detectable_format:constrained_response", {}, "Well. My answer is no.", "my answer is no"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and *b*", "*a* and * *"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na\nSection 2\nb",
        "Section A\nSection 2",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": [1, null]}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<A song>>\nla", "<< >>"),
    ("combination:two_responses", {}, "yes ****** no", "yes ****** yes"),
    ("combination:two_responses", {}, "******yes******no******", "yes ****** ****** no"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it. "}, " say it. It.", "It. Say it."),
    ("startend:end_checker", {"end_phrase": "The end. "}, 'So. the END."', "The end. Bye."),
    ("startend:quotation", {}, ' "quoted" ', '"'),
    ("change_case:english_capital", {}, ENGLISH.upper(), GERMAN.upper()),
    ("change_case:english_lowercase", {}, ENGLISH.lower(), ENGLISH),
    ("punctuation:no_comma", {}, "one; two", "one, two"),
]


@pytest.mark.parametrize(("kind", "arguments", "obeyed", "disobeyed"), CASES)
def test_each_kind_tells_obeyed_from_disobeyed(kind, arguments, obeyed, disobeyed):
    """Every kind of instruction passes the answer that obeys it and fails the one that nearly does."""
    assert follows(kind, arguments, obeyed)
    assert not follows(kind, arguments, disobeyed)


def test_every_kind_has_a_case():
    """No check is without an example."""
    assert {case[0] for case in CASES} == set(CHECKS)


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_an_empty_answer_obeys_nothing(kind):
    """An empty answer follows no instruction, strict or loose, not even the one to avoid commas."""
    arguments = next(case[1] for case in CASES if case[0] == kind)

    assert not follows(kind, arguments, " \n")
    assert not follows(kind, arguments, "", loose=True)


@given(st.text(st.sampled_from('a*,\n "'), max_size=40), st.sampled_from(CASES))
def test_what_is_strict_is_loose(answer, case):
    """Law: an answer that follows strictly follows loosely, and any text can be checked."""
    assert follows(case[0], case[1], answer, loose=True) >= follows(case[0], case[1], answer)


def test_the_eight_readings():
    """With and without the first line, the last line and the asterisks; equal readings are read once."""
    assert variants("*a*\nb\nc") == ["*a*\nb\nc", "b\nc", "*a*\nb", "b", "a\nb\nc", "a\nb"]
    assert len(variants("*a*\n*b*\n*c*")) == 8
    assert variants("x") == ["x", ""]


def test_loose_forgives_an_opening_line():
    """`Sure, here it is:` before a quoted answer fails strictly and passes loosely."""
    answer = 'Sure, here it is:\n"*quoted*"'

    assert not follows("startend:quotation", {}, answer)
    assert follows("startend:quotation", {}, answer, loose=True)


@pytest.mark.parametrize(
    ("text", "language"),
    [(ENGLISH, "en"), (GERMAN, "de"), ("Дождь на севере страны прекратился.", "ru"), ("12 + 3", None)],
)
def test_languages_are_told_apart(text, language):
    """The detector knows languages, says None of digits, and says the same each time."""
    assert detect(text) == language
    detect.cache_clear()
    assert detect(text) == language


def test_prompt_and_instruction_level():
    """A prompt counts only if all its instructions are obeyed; each one counts by itself."""
    benchmark = BENCHMARKS["ifeval"]
    item = next(item for item in benchmark.load() if len(item.reference["instructions"]) == 2)
    instructions = [("punctuation:no_comma", {}), ("startend:quotation", {})]
    item = type(item)("x", "?", reference={"instructions": instructions})

    verdict = benchmark.score(item, 'Sure:\n"no comma here"')
    assert verdict.scores == {
        "prompt_strict": 0, "prompt_loose": 1, "instruction_strict": 0.5, "instruction_loose": 1,
    }  # fmt: skip
    assert verdict.parsed == "1/2"
    assert set(verdict.weights.values()) == {2}
    assert benchmark.score(item, "").parsed is None


def test_reports_can_keep_what_an_item_asks():
    """What an item refers to is plain data, fit for JSON."""
    for benchmark in BENCHMARKS.values():
        json.dumps([dict(item.reference) for item in benchmark.load()])
