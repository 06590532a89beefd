"""The data of `benchmarks/structured_output.py`: schemas compile; what is marked as right or wrong is."""

import json

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLMatcher

from tests.forms import END, tokenizer
from tests.paths import ROOT

FOLDER = ROOT / "benchmarks" / "structured"
SUITE = "JSON-Schema-Test-Suite tests/draft2020-12/"
FORMATS = {"date", "time", "date-time", "duration", "email", "ipv4", "uri", "uuid"}
SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # json.dumps's


def rows(name):
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


SCHEMAS = rows("schemas.jsonl")
TEXTS = rows("extraction.jsonl")
by_name = pytest.mark.parametrize("row", SCHEMAS, ids=lambda row: row["name"])
by_text = pytest.mark.parametrize("row", TEXTS, ids=lambda row: row["name"])


def compiled(schema):
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides=SPELLING)
    assert LLMatcher.validate_grammar(grammar, tokenizer()) == ""
    return grammar


def accepts(grammar, instance):
    """Whether this instance, and END after it, is one of the grammar's texts."""
    tokens = [*json.dumps(instance, ensure_ascii=False).encode(), END]
    matcher = LLMatcher(tokenizer(), grammar, log_level=0)
    accepted = matcher.validate_tokens(tokens) == len(tokens)
    assert not matcher.is_error(), matcher.get_error()
    return accepted


def as_text(instances):
    """JSON, since to Python 0, 0.0 and False are equal."""
    return [json.dumps(each) for each in instances]


def matches(schema, instance):
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(instance)


def test_there_are_as_many_rows_as_is_said():
    """100 schemas with three prompts each, 40 of them the suite's; 40 texts in 8 families; no name twice."""
    assert len({row["name"] for row in SCHEMAS}) == len(SCHEMAS) == 100
    assert sum(row["source"].startswith(SUITE) for row in SCHEMAS) == 40
    assert all(row["source"] == "own" for row in SCHEMAS if not row["source"].startswith(SUITE))
    assert all(len(set(row["prompts"])) == 3 and all(row["prompts"]) for row in SCHEMAS)
    assert len({row["name"] for row in TEXTS}) == len({row["text"] for row in TEXTS}) == len(TEXTS) == 40
    families = [row["family"] for row in TEXTS]
    assert {families.count(family) for family in families} == {5}


@by_name
def test_each_schema_accepts_the_valid_instances_only(row):
    """The constraint decides as the row says, down to END; there is something to accept in each row."""
    grammar = compiled(row["schema"])

    assert row["valid"]
    assert as_text(each for each in row["valid"] if not accepts(grammar, each)) == []
    assert as_text(each for each in row["invalid"] if accepts(grammar, each)) == []


@by_name
def test_known_differences_are_still_differences(row):
    """What the row says is decided against the standard is, with a reason; none is also among the others."""
    grammar = compiled(row["schema"])
    listed = row.get("differences", [])

    assert all(accepts(grammar, each["instance"]) != each["valid"] and each["reason"] for each in listed)
    elsewhere = as_text([*row["valid"], *row["invalid"]])
    assert [text for text in as_text(each["instance"] for each in listed) if text in elsewhere] == []


@pytest.mark.parametrize("row", [r for r in SCHEMAS if r["source"] == "own"], ids=lambda row: row["name"])
def test_the_package_jsonschema_decides_own_rows_alike(row):
    """Our own instances are marked right by another implementation, and none of ours differs from it."""
    Draft202012Validator.check_schema(row["schema"])

    assert row["invalid"]
    assert "differences" not in row
    assert as_text(each for each in row["valid"] if not matches(row["schema"], each)) == []
    assert as_text(each for each in row["invalid"] if matches(row["schema"], each)) == []


def test_the_package_jsonschema_checks_our_formats():
    """Every format that a schema names is checked, not skipped, as unknown ones are."""

    def formats(schema):
        if isinstance(schema, dict):
            named = {schema["format"]} if isinstance(schema.get("format"), str) else set()
            return named.union(*map(formats, schema.values()))
        return set().union(*map(formats, schema)) if isinstance(schema, list) else set()

    assert set().union(*(formats(row["schema"]) for row in [*SCHEMAS, *TEXTS])) == FORMATS
    assert set(Draft202012Validator.FORMAT_CHECKER.checkers) >= FORMATS


@by_text
def test_each_labelled_answer_matches_its_schema(row):
    """The answers are valid for both implementations, and have every property of the schema."""
    grammar = compiled(row["schema"])

    assert matches(row["schema"], row["answer"])
    assert accepts(grammar, row["answer"])
    assert list(row["answer"]) == list(row["schema"]["properties"]) == row["schema"]["required"]
    assert all(each["description"] for each in row["schema"]["properties"].values())
    assert 2 <= len(row["answer"]) <= 5


@by_text
def test_labelled_words_are_in_the_text(row):
    """A free text value is said in the text itself, so there is one right way to write it."""
    for name, schema in row["schema"]["properties"].items():
        if set(schema) == {"type", "maxLength", "description"}:
            assert row["answer"][name] in row["text"], name
