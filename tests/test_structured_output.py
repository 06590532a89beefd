"""How `benchmarks/structured_output.py` reads answers, counts fields and keeps its results."""

import importlib
import json
import sys
from argparse import Namespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.prompts import PlainTemplate
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.paths import ROOT
from tests.toys import make_toy

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


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """The scripts as modules; neighbours are found as they are when one is run."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("structured_rows"), importlib.import_module("structured_output")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in ("structured_output", "structured_rows"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def structured_rows(scripts):
    return scripts[0]


@pytest.fixture
def structured_output(scripts, monkeypatch, tmp_path):
    """The script on a pair of toys instead of real models."""
    base, guide = (make_toy(tmp_path / f"{role}.gguf", "plain", seed=i) for i, role in enumerate("bg"))
    settings = ModelSettings(ctx_size=4096, threads=1)
    template = PlainTemplate("raw", user="{text}", assistant="")
    setup = PairSetup(base, guide, template, base_settings=settings, guide_settings=settings)
    monkeypatch.setattr(scripts[1], "opened", lambda _: Pair(setup))
    return scripts[1]


def options(**given):
    defaults = {"limit": 2, "max_tokens": 12, "results": None, "rounds": 2}
    return Namespace(**defaults | given)


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


def test_validity_asks_what_is_not_yet_answered(structured_output, tmp_path, capsys):
    """Six answers of models with random weights, each valid or cut off; a second run adds those missing."""
    given = options(results=tmp_path / "answers.jsonl")
    summary = structured_output.validity(given)
    capsys.readouterr()
    again = structured_output.validity(options(limit=3, results=given.results))
    asked = capsys.readouterr().err.splitlines()

    assert summary["answers"] == 6
    assert set(summary["outcomes"]) <= {"valid", "length"}, summary
    assert summary["other"] == []
    assert again["answers"] == 9
    assert len(asked) == 3
    records = [json.loads(line) for line in given.results.read_text().splitlines()]
    assert all(record["complete"] is (record["outcome"] == "valid") for record in records)


def test_extraction_tries_each_method_in_each_way(structured_output, capsys):
    """Twelve answers per text; without a form there is no `complete`; every row has its shares."""
    given = options(limit=1, methods=structured_output.METHODS, arms=structured_output.ARMS)
    summary = structured_output.extraction(given)
    structured_output.print_extraction(summary)

    ways = [(row["method"], row["arm"]) for row in summary["rows"]]
    assert ways == [(method, arm) for method in given.methods for arm in given.arms]
    assert all(row["answers"] == 1 and 0 <= row["right"][0] <= 1 for row in summary["rows"])
    assert all(row["forced"] > 0 for row in summary["rows"] if row["arm"] != "free")
    assert all(row["forced"] == 0 for row in summary["rows"] if row["arm"] == "free")
    assert "fields right" in capsys.readouterr().out


def test_cost_takes_turns(structured_output, capsys):
    """Each question in each kind in each round; only a schema forces steps."""
    summary = structured_output.cost(options())
    structured_output.print_cost(summary)
    kinds = {row["kind"]: row for row in summary["kinds"]}

    assert summary["trials"] == 4
    assert kinds["schema"]["forced"] > kinds["any text"]["forced"] == kinds["free"]["forced"] == 0
    assert "of 4 answers" in capsys.readouterr().out


def test_each_kind_of_cost_has_its_form(structured_output, structured_rows):
    """Without a form an answer is not said to be complete or not; with either form it is."""
    row = structured_rows.read_rows(structured_rows.FOLDER / "schemas.jsonl")[0]
    with structured_output.opened(None) as pair:
        kinds = {kind: structured_output.trial(pair, row, kind, 4) for kind in structured_output.COST_KINDS}

    assert {kind: record["complete"] is None for kind, record in kinds.items()} == {
        "free": True,
        "any text": False,
        "schema": False,
    }
    assert kinds["schema"]["text"].startswith(("{", "[", '"', "-", *"0123456789tfn"))


def test_what_a_kind_costs_is_said_beside_the_free_answers(scripts):
    """Ratios are of the same question in the same round; forced steps count in the speed, not as decided."""
    figures = {"free": (1.0, 10, 0, 50), "any text": (1.1, 10, 0, 50), "schema": (1.0, 20, 8, 150)}
    trials = [
        {
            "kind": kind,
            "seconds": seconds * slow,
            "steps": steps,
            "forced": forced,
            "bytes": size,
            "text": text,
        }
        for slow in (1, 3, 2)
        for kind, (seconds, steps, forced, size) in figures.items()
        for text in [f"{kind} {slow}" if kind == "schema" or slow == 3 else "same"]
    ]
    summary = scripts[1].summary_of_cost(trials)
    kinds = {row.pop("kind"): row for row in summary["kinds"]}

    assert (summary["trials"], summary["same_texts"]) == (3, 2)
    assert kinds["free"]["ms_per_step"] == pytest.approx(200)
    assert kinds["any text"]["of_free"] == kinds["any text"]["decided_of_free"] == pytest.approx(1.1)
    assert kinds["schema"]["of_free"] == pytest.approx(0.5)
    assert kinds["schema"]["decided_of_free"] == pytest.approx(10 / 12)
    assert kinds["schema"]["bytes_of_free"] == pytest.approx(3)
    assert kinds["schema"]["forced"] == pytest.approx(0.4)
