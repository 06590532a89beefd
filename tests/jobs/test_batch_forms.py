"""Rows whose answers must have a form: checked with the others, answered side by side."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import jsonschema
import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs import BatchSpec, run_batch
from blendin_local.jobs.batch.formats import record_of
from blendin_local.jobs.batch.manifest import settings_facts
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.pair.resolve import PairSpec
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import AnswerSettings
from tests.jobs.batches import DEFAULTS, lines, scan, write_rows
from tests.prompts import TEMPLATE
from tests.toys import make_toy

PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["hello", "world"]}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}
USER = [{"role": "user", "content": "the hello world"}]
WORDS = ("the", "he", "or", "world", "hello")


def openai_row(key, **body):
    return {"custom_id": key, "url": "/v1/chat/completions", "body": {"messages": USER, **body}}


def own(key, **fields):
    return {"custom_id": key, "prompt": "the hello world", **fields}


def settings_of(tmp_path, row, defaults=DEFAULTS):
    found, faults = scan(write_rows(tmp_path / "p.jsonl", [row]), None, defaults)
    assert faults == []
    [read] = found.read()
    return read.request.answer


SCHEMA_TEXT = json.dumps(PERSON)
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}


@pytest.mark.parametrize(
    "row",
    [
        own("a", json_schema=PERSON),
        own("a", json_schema=SCHEMA_TEXT),
        own("a", response_format=FORMAT),
        openai_row("a", response_format=FORMAT),
        openai_row("a", response_format={"type": "json_object", "schema": PERSON}),
        openai_row("a", blend={"json_schema": PERSON}),
    ],
    ids=str,
)
def test_every_way_to_give_a_schema(tmp_path, row):
    """As an object or as text, in either form of rows."""
    assert json.loads(settings_of(tmp_path, row).json_schema) == PERSON


def test_a_row_has_its_own_form_or_none(tmp_path):
    """It replaces that of the batch; type text and the word none take it away."""
    defaults = replace(DEFAULTS, answer=AnswerSettings(regex="a"))
    assert settings_of(tmp_path, own("a"), defaults).regex == "a"
    for row in (own("a", json_schema=PERSON), own("a", grammar='root ::= "x"')):
        answer = settings_of(tmp_path, row, defaults)
        assert answer.regex is None
        assert answer.json_schema or answer.grammar
    for row in (own("a", regex="none"), openai_row("a", response_format={"type": "text"})):
        answer = settings_of(tmp_path, row, defaults)
        assert (answer.regex, answer.json_schema, answer.grammar) == (None, None, None)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (own("b", json_schema={"type": "object", "properties": {"x": {"not": {}}}}), "not"),
        (own("b", json_schema="{"), "line 1, column 2"),
        (own("b", json_schema=[1]), "json_schema"),
        (own("b", regex="(a"), "regular expression"),
        (own("b", grammar="root ::= x"), "grammar"),
        (own("b", json_schema=PERSON, regex="a"), "two forms"),
        (openai_row("b", response_format={"type": "xml"}), "'xml'"),
        (openai_row("b", response_format=FORMAT, blend={"regex": "a"}), "given twice"),
        (openai_row("b", guided_json=PERSON), "guided_json is not supported"),
    ],
    ids=str,
)
def test_a_wrong_form_is_an_error_of_its_row(tmp_path, row, words):
    """With the line, before any model is loaded; the other rows stay valid."""
    found, [fault] = scan(write_rows(tmp_path / "p.jsonl", [own("a"), row, own("c", json_schema=PERSON)]))
    assert (fault.line, fault.id, found.invalid) == (2, "b", 1)
    assert words in fault.message


def test_a_batch_without_forms_has_the_manifest_of_earlier_versions():
    """So that a batch which an earlier version began is resumed; a form of the batch is in it."""
    setup = PairSetup(None, None, TEMPLATE)
    kept = set(settings_facts(setup, DEFAULTS)["answer"])
    assert set(asdict(DEFAULTS.answer)) - kept == {"json_schema", "regex", "grammar", "schema_in_prompt"}
    with_form = replace(DEFAULTS, answer=AnswerSettings(regex="a", schema_in_prompt=False))
    assert (
        settings_facts(setup, with_form)["answer"].items()
        >= {"regex": "a", "schema_in_prompt": False}.items()
    )


@pytest.fixture(scope="module")
def toy_pair(tmp_path_factory):
    """Two toy models."""
    folder = tmp_path_factory.mktemp("forms")
    make_toy(folder / "base.gguf", "plain", template=None)
    make_toy(folder / "guide.gguf", "plain", seed=1)
    model = {"threads": 1, "ctx_size": 768}
    return PairSpec(
        base=str(folder / "base.gguf"),
        guide=str(folder / "guide.gguf"),
        base_settings=model,
        guide_settings=model,
        answer={"max_tokens": 40, "top_logprobs": 100},
    )


def rows():
    """Rows of both forms with other forms, and some without."""
    for i, word in enumerate(WORDS):
        yield own(f"regex-{word}", regex=f"({word}){{2}}[dl]", seed=i, temperature=1.0)
        yield openai_row(f"schema-{i}", response_format=FORMAT, seed=i, temperature=1.0)
        yield own(f"grammar-{word}", grammar=f'root ::= "{word}" ("." | "{word}")')
        yield own(f"free-{i}", max_tokens=5)


def has_its_form(key, text):
    kind, _, word = key.partition("-")
    if kind == "schema":
        jsonschema.validate(json.loads(text), PERSON)
        return True
    if kind == "regex":
        return re.fullmatch(f"({word}){{2}}[dl]", text)
    return kind == "free" or text in {f"{word}.", word * 2}


def test_many_forms_at_once_are_answered_resumed_and_replayed(tmp_path, monkeypatch, toy_pair):
    """Each answer has the form of its row, in either output; a stopped batch goes on; replay agrees."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    source = write_rows(tmp_path / "p.jsonl", rows())
    spec = BatchSpec(str(source), str(tmp_path / "a.jsonl"), pair=toy_pair, n_parallel=4, with_steps=True)
    finished = []

    def on_progress(progress):
        finished.append(progress.finished_now)

    first = run_batch(spec, on_progress=on_progress, should_stop=lambda: bool(finished and finished[-1] >= 6))
    assert first.stopped
    second = run_batch(spec)
    assert (second.progress.answered, second.progress.left) == (4 * len(WORDS), 0)

    found = {line["custom_id"]: line for line in lines(spec.paths.answers)}
    for key, line in found.items():
        record = record_of(line)
        if key.startswith("schema"):
            [choice] = record["choices"]
            text, reason = choice["message"]["content"], choice["finish_reason"]
        else:
            text, reason = record["text"], record["finish_reason"]
        assert has_its_form(key, text), (key, text)
        if not key.startswith("free"):
            assert (record["complete"], reason) == (True, "stop")
            assert record["blend"]["forced"] == sum(each["source"] == "forced" for each in record["steps"])
    assert record_of(found["schema-0"])["blend"]["forced"] > 0
    assert "complete" not in found["free-0"]
    assert json.loads(spec.paths.manifest.read_text())["blend"]["forced"] > 0
    for stored in read_answers(spec.paths.answers).answers:
        assert replay_answer(stored, stored.blend).outcome == "same"


def test_a_batch_whose_form_is_another_is_not_resumed(tmp_path, monkeypatch, toy_pair):
    """The form of the batch is one of the settings that all of its answers share."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    source = write_rows(tmp_path / "p.jsonl", [own("a"), own("b", regex="o")])
    spec = BatchSpec(str(source), str(tmp_path / "a.jsonl"), pair=toy_pair, limit=1, n_parallel=1)
    run_batch(spec)
    with_form = replace(toy_pair, answer={**toy_pair.answer, "regex": "he"})
    with pytest.raises(UsageError, match=r'regex was null, now "he"'):
        run_batch(replace(spec, pair=with_form, limit=2))
