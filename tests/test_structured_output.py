"""How `benchmarks/structured_output.py` reads answers, counts fields and keeps its results."""

import importlib
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.paths import ROOT

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "who"},
        "n": {"type": "integer", "minimum": 1, "description": "how many"},
        "kind": {"enum": ["a", "b"], "description": "which"},
    },
    "required": ["name", "n", "kind"],
}
ANSWER = {"name": "Ada Novak", "n": 2, "kind": "a"}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


@pytest.fixture(scope="module")
def structured_rows():
    """The module; neighbours are found as they are when the script is run."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("structured_rows")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        del sys.modules["structured_rows"]


@given(st.text(max_size=20).filter(lambda text: "{" not in text), objects, st.text(max_size=20))
def test_the_first_object_is_read_whatever_is_around_it(structured_rows, before, found, after):
    """Words before and after it, and later objects, change nothing."""
    assert structured_rows.first_object(before + json.dumps(found) + after) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{oh} then {"a": 1} and {"a": 2}', {"a": 1}),
        ('```json\n{\n  "a": 1\n}\n```', {"a": 1}),
        ('{"a": 1', None),
        ("nothing", None),
        ("[1, 2]", None),
        ('[{"a": 1}]', {"a": 1}),
    ],
)
def test_what_is_no_object_is_passed_over(structured_rows, text, found):
    """A brace that opens no JSON object is skipped; an object that is not closed is not read."""
    assert structured_rows.first_object(text) == found


@pytest.mark.parametrize(
    ("found", "value", "right"),
    [
        ("ada  NOVAK.", "Ada Novak", True),
        ("Ada", "Ada Novak", False),
        (2.0, 2, True),
        ("2", 2, False),
        (1, True, False),
        (True, 1, False),
        (False, False, True),
        (None, "a", False),
    ],
)
def test_a_value_is_right_if_it_says_the_same(structured_rows, found, value, right):
    """Case, spaces and a final full stop do not count, and 2.0 is 2; other types are wrong."""
    assert structured_rows.same(found, value) is right


@given(objects)
def test_at_most_the_labelled_fields_are_right(structured_rows, found):
    """Nothing found is nothing right, the answer itself is all right, and further fields change nothing."""
    assert structured_rows.fields_right(None, ANSWER) == 0
    assert structured_rows.fields_right(ANSWER, ANSWER) == len(ANSWER)
    assert structured_rows.fields_right({**found, **ANSWER}, ANSWER) == len(ANSWER)
    right = structured_rows.fields_right({**ANSWER, **found}, ANSWER)
    assert right >= len(ANSWER) - len(ANSWER.keys() & found.keys())
    assert structured_rows.fields_right({"name": "Bo", "kind": "a"}, ANSWER) == 1


@pytest.mark.parametrize(
    ("text", "finish", "outcome", "why"),
    [
        (json.dumps(ANSWER), "stop", "valid", ""),
        (json.dumps(ANSWER), "length", "valid", ""),
        ('{"name": "Ada', "length", "length", "not JSON"),
        ('{"name": "Ada', "stop", "other", "not JSON"),
        ('{"name": "Ada", "n": 0, "kind": "a"}', "stop", "other", "$.n: 0 is less than"),
    ],
)
def test_an_answer_is_valid_or_cut_or_wrong(structured_rows, text, finish, outcome, why):
    """Only an answer that was cut off is excused; for the others it is said what is wrong."""
    found, message = structured_rows.judge(SCHEMA, text, finish)

    assert found == outcome
    assert message.startswith(why) if why else message == ""


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string", "format": "date"}, '"2021-02-29"'),
        ({"type": "string", "format": "time"}, '"noon"'),
    ],
)
def test_formats_are_checked(structured_rows, schema, text):
    """A day that does not exist is wrong even where the constraint lets it pass."""
    assert structured_rows.judge(schema, text, "stop")[0] == "other"


def test_a_question_tells_every_field_or_none(structured_rows):
    """In words: name, description, and the choices; never the JSON Schema itself."""
    row = {"text": "Ada has two.", "schema": SCHEMA}
    told, bare = (structured_rows.question(row, told_fields=told) for told in (True, False))

    assert all(
        part in told for part in ("name (who, text)", "how many, a whole number", '(which, one of "a", "b")')
    )
    assert "properties" not in told
    assert "who" not in bare
    assert "Ada has two." in told
    assert "Ada has two." in bare


def test_results_are_kept_and_read_again(structured_rows, tmp_path):
    """A run that was broken off in the middle of a line goes on after the last whole one."""
    path = tmp_path / "results.jsonl"
    first = structured_rows.Results(path, ("name", "arm"))
    first.add({"name": "é", "arm": "form", "right": 2})
    first.add({"name": "é", "arm": "free", "right": 0})
    path.write_bytes(path.read_bytes() + b'{"name": "torn')
    again = structured_rows.Results(path, ("name", "arm"))

    assert again.records == first.records
    assert again.has(name="é", arm="form")
    assert not again.has(name="torn", arm="form")
    again.add({"name": "next", "arm": "form", "right": 1})
    assert [row["name"] for row in structured_rows.read_rows(path)] == ["é", "é", "next"]
