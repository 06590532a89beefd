"""What an answer must match: from settings, files and rows; two forms exclude each other."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from blendin_local.cli.chat.settings import values_as_text, with_setting
from blendin_local.cli.chat.state import ChatSettings
from blendin_local.cli.common.options import AnswerOptions
from blendin_local.core.methods import METHODS
from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition, definition_of
from blendin_local.jobs.batch.input_file import RawRow
from blendin_local.jobs.batch.rows import Row, interpret
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import AnswerSettings
from tests.jobs.batches import DEFAULTS

SCHEMA = '{"type": "object", "properties": {"name": {"type": "string"}}}'
GBNF = 'root ::= "yes" | "no"\n'
LARK = 'start: "yes" | "no"\n'


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ({"json_schema": SCHEMA}, "json_schema"),
        ({"json_schema": "{}"}, "json_object"),
        ({"json_schema": "true"}, "json_object"),
        ({"json_schema": '{"type":"object"}'}, "json_object"),
        ({"json_schema": "1"}, "json_schema"),
        ({"regex": "::="}, "regex"),
        ({"grammar": GBNF}, "gbnf"),
        ({"grammar": LARK}, "lark"),
    ],
)
def test_the_language_follows_from_the_setting_and_the_text(form, kind):
    """A grammar with ::= is GBNF; a schema that asks for nothing is any object."""
    assert definition_of(AnswerSettings(**form)).kind == kind


def test_no_form_is_no_definition():
    """An answer may be any text."""
    assert definition_of(AnswerSettings()) is None


def test_an_answer_has_one_form():
    """Two of them are an error that names both."""
    with pytest.raises(UsageError, match="two forms: json-schema and regex"):
        AnswerSettings(json_schema="{}", regex="a")


@pytest.mark.parametrize(
    ("option", "text"),
    [("json_schema", SCHEMA), ("json_schema", "  [1]"), ("grammar", GBNF), ("regex", "a.json")],
)
def test_a_text_on_the_command_line_is_itself(option, text):
    """What begins like JSON or has a rule names no file; a regular expression never does."""
    assert AnswerOptions(**{option: text}).settings() == {option: text}


@pytest.mark.parametrize(("option", "text"), [("json_schema", SCHEMA), ("grammar", GBNF), ("grammar", LARK)])
def test_people_may_name_a_file(option, text, tmp_path):
    """On the command line, in a chat and in models.toml; there relative to that file."""
    path = tmp_path / "form.txt"
    path.write_text(text)
    toml = tmp_path / "pairs.toml"
    toml.write_text(f"[pairs.x]\nbase = 'b.gguf'\nguide = 'g.gguf'\n{option} = 'form.txt'\n")
    resolved = resolve_pair(PairSpec(pair="x"), load_registry(toml, env={}, cwd=tmp_path))
    chat = with_setting(ChatSettings(), option.replace("_", "-"), str(path), tuple(METHODS))

    assert AnswerOptions(**{option: str(path)}).settings() == {option: text}
    assert getattr(resolved.answer, option) == text
    assert getattr(chat.answer, option) == text


def test_defaults_of_models_toml_may_name_a_file(tmp_path):
    """Relative to that file, too; the pair's own form replaces it."""
    (tmp_path / "form.json").write_text(SCHEMA)
    toml = tmp_path / "pairs.toml"
    toml.write_text(
        "[defaults]\njson_schema = 'form.json'\n"
        "[pairs.x]\nbase = 'b.gguf'\nguide = 'g.gguf'\n"
        "[pairs.y]\nbase = 'b.gguf'\nguide = 'g.gguf'\nregex = 'a+'\n"
    )
    registry = load_registry(toml, env={}, cwd=tmp_path)

    assert resolve_pair(PairSpec(pair="x"), registry).answer.json_schema == SCHEMA
    own = resolve_pair(PairSpec(pair="y"), registry).answer
    assert (own.json_schema, own.regex) == (None, "a+")


def test_a_missing_file_is_named():
    """With the option, and how a text itself would begin."""
    with pytest.raises(UsageError, match=r"the file 'no[.]json', which cannot") as e:
        AnswerOptions(json_schema="no.json").settings()
    assert e.value.message.startswith("--json-schema ")
    assert "{" in e.value.hint


def row(**values):
    return interpret(RawRow(1, {"prompt": "x", **json.loads(json.dumps(values))}), DEFAULTS)


@pytest.mark.parametrize("name", ["json_schema", "grammar"])
def test_rows_read_no_files(name, tmp_path):
    """A row names a file that exists; it is not opened, and its content is nowhere in the message."""
    path = tmp_path / "secret.json"
    path.write_text('{"type": "object", "title": "secret"}')
    refused = row(**{name: str(path)})

    assert not isinstance(refused, Row)
    assert "secret" not in refused.message.replace(str(path), "")


def test_a_row_has_a_schema_as_an_object_or_as_text():
    """Both mean the same; the order of the properties stays."""
    schema = json.loads(SCHEMA)

    assert row(json_schema=schema).request.answer.json_schema == SCHEMA
    assert row(json_schema=SCHEMA).request.answer.json_schema == SCHEMA


def test_a_nearer_form_replaces_another():
    """In a row, in a chat, and on the command line over models.toml."""
    settings = with_setting(ChatSettings(), "regex", "a+", tuple(METHODS))
    settings = with_setting(settings, "json-schema", "{}", tuple(METHODS))
    assert (settings.answer.json_schema, settings.answer.regex) == ("{}", None)
    settings = with_setting(settings, "json-schema", "none", tuple(METHODS))
    assert definition_of(settings.answer) is None


def test_a_chat_shows_only_the_beginning_of_a_long_text():
    """On one line, with its length."""
    text = json.dumps({"properties": {f"name {i}": {} for i in range(20)}}, indent=1)
    settings = with_setting(ChatSettings(), "json-schema", text, tuple(METHODS))

    shown = values_as_text(settings)["json-schema"]
    assert shown == '{ "properties": { "name 0": {}, "name 1": {}, "name 2": {}, ... (352 characters)'


def test_a_wrong_row_is_refused_before_it_is_answered():
    """The message has the place and the keyword."""
    refused = row(json_schema={"properties": {"a": {"uniqueItems": True}}})

    assert refused.message == 'the JSON Schema is not supported at /properties/a: the keyword "uniqueItems"'


def test_definitions_are_equal_by_value():
    """So that one is compiled once."""
    assert hash(Definition("regex", "a")) == hash(Definition("regex", "a"))


def test_a_command_line_without_a_form_imports_no_llguidance():
    """Help and plain answers must not wait for it."""
    code = (
        "import sys\nfrom blendin_local.cli import app\napp.build_app()\n"
        "import blendin_local.grammar.compilation, blendin_local.pair.resolve\n"
        "assert 'llguidance' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
