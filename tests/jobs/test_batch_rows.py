"""Rows of every form, and everything that can be wrong with one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from blendin_local.core.prompts import Message
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.rows import InvalidRow, Row
from tests.jobs.batches import DEFAULTS, scan, write_rows


def rows_of(path, field=None, defaults=DEFAULTS):
    found, faults = scan(path, field, defaults)
    assert faults == []
    return list(found.read())


def openai(key="a", url="/v1/chat/completions", **body):
    return {"custom_id": key, "method": "POST", "url": url, "body": body}


USER = [{"role": "user", "content": "hi"}]


def test_json_lines_with_a_prompt_or_messages(tmp_path):
    """Both short forms; ids are made from the line number where there is none."""
    path = write_rows(
        tmp_path / "p.jsonl",
        [{"custom_id": "a", "prompt": "one"}, {"messages": USER}, {"id": 7, "prompt": "x"}],
    )
    first, second, third = rows_of(path)

    assert first.request.messages == (Message("user", "one"),)
    assert second.request.messages == (Message("user", "hi"),)
    assert [row.request.key for row in (first, second, third)] == ["a", "line-2", "7"]
    assert {row.form for row in (first, second, third)} == {"own"}


def test_the_form_of_openai(tmp_path):
    """Chat and completion bodies; `method` there is the request's, not ours."""
    path = write_rows(
        tmp_path / "p.jsonl",
        [
            openai(
                "a", model="x", messages=USER, max_completion_tokens=5, blend={"threshold": 0.2, "alpha": 1}
            ),
            openai(
                "b", "/v1/completions", prompt="continue", max_tokens=6, temperature=0.5, seed=3, stop="\n"
            ),
            {"custom_id": "c", "body": {"messages": [{"role": "developer", "content": "be"}, *USER]}},
        ],
    )
    chat, completion, bare = rows_of(path)

    assert (chat.form, completion.form, bare.form) == ("chat", "completion", "chat")
    assert chat.request.answer.max_tokens == 5
    assert (chat.request.blend.threshold, chat.request.blend.alpha) == (0.2, 1)
    assert (completion.request.sampling.temperature, completion.request.sampling.seed) == (0.5, 3)
    assert completion.request.answer.stop == ("\n",)
    assert bare.request.messages[0] == Message("system", "be")


def test_plain_text_is_a_prompt_a_line(tmp_path):
    """Blank lines, a BOM and line ends of Windows are no prompts."""
    path = tmp_path / "p.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\r\n  \nsecond \xc3\xa9")

    assert [(row.request.key, row.request.messages[0].text) for row in rows_of(path)] == [
        ("line-1", "first"),
        ("line-4", "second é"),
    ]


def test_tables(tmp_path):
    """A cell may hold line breaks; columns named like settings are settings; others are said to be unused."""
    path = tmp_path / "p.csv"
    path.write_text('custom_id,question,max_tokens,alpha,note\na,"two\nlines",5,auto,x\n,again,,0.5,\n')
    first, second = rows_of(path, "question")

    assert first.request.messages[0].text == "two\nlines"
    assert (first.request.key, first.request.answer.max_tokens, first.request.blend.alpha) == ("a", 5, None)
    assert (second.request.key, second.line, second.request.blend.alpha) == ("line-4", 4, 0.5)
    assert first.request.answer.max_tokens == 5
    assert scan(path, "question")[0].unused == ("note",)


def test_a_table_without_its_column(tmp_path):
    """The columns that there are, are named; a table of one column needs no name."""
    path = tmp_path / "p.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="a, b"):
        scan(path)
    path.write_text("anything\nhello\n")
    assert rows_of(path)[0].request.messages[0].text == "hello"


def test_another_field_holds_the_prompt(tmp_path):
    """--field reads data sets as they are."""
    path = write_rows(tmp_path / "p.jsonl", [{"question": "why", "answer": "so"}])

    assert rows_of(path, "question")[0].request.messages[0].text == "why"


def test_rows_win_over_the_command_line(tmp_path):
    """System text, limits, method, threshold, alpha, temperature and seed of a row; null means not said."""
    defaults = replace(DEFAULTS, system="be brief")
    own = {
        "prompt": "x",
        "system": "be long",
        "max_tokens": 3,
        "method": "nudging",
        "threshold": 0.1,
        "alpha": "auto",
        "temperature": 1,
        "seed": 4,
    }
    path = write_rows(
        tmp_path / "p.jsonl", [own, {"prompt": "x", "seed": None}, {"prompt": "x", "system": ""}]
    )
    first, second, third = (row.request for row in rows_of(path, defaults=defaults))

    assert first.messages[0] == Message("system", "be long")
    assert second.messages[0] == Message("system", "be brief")
    assert len(third.messages) == 1
    assert (first.answer.max_tokens, first.blend.method, first.blend.threshold) == (3, "nudging", 0.1)
    assert (first.sampling.temperature, first.sampling.seed, second.sampling.seed) == (1.0, 4, None)


BAD_VALUES = [
    ({}, "no prompt"),
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": 5}, "not a text"),
    ({"prompt": "\ud800"}, "half of a character"),
    ({"prompt": "x", "messages": USER}, "both"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "message 1 is not an object"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "tool"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "role"),
    ({"messages": [{"role": "user"}]}, "not a text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "more than text"),
    ({"messages": [*USER, {"role": "assistant", "content": "x"}]}, "last message"),
    ({"prompt": "x", "custom_id": ""}, "custom_id"),
    ({"prompt": "x", "custom_id": ["a"]}, "custom_id"),
    ({"prompt": "x", "max_tokens": 0}, "max-tokens"),
    ({"prompt": "x", "max_tokens": 1.5}, "whole"),
    ({"prompt": "x", "max_tokens": True}, "not a number"),
    ({"prompt": "x", "max_tokens": float("nan")}, "max_tokens"),
    ({"prompt": "x", "max_tokens": float("inf")}, "max_tokens"),
    ({"prompt": "x", "threshold": 2}, "threshold"),
    ({"prompt": "x", "threshold": float("nan")}, "threshold"),
    ({"prompt": "x", "alpha": "much"}, "alpha"),
    ({"prompt": "x", "alpha": 10**400}, "alpha"),
    ({"prompt": "x", "alpha": "calibrated"}, "blendin check --write"),
    ({"prompt": "x", "method": "magic"}, "magic"),
    ({"prompt": "x", "method": {}}, "method"),
    ({"prompt": "x", "temperature": -1}, "temp"),
    ({"prompt": "x", "seed": -1}, "seed"),
    ({"prompt": "x", "seed": "7"}, "seed"),
    ({"prompt": "x", "stop": 5}, "stop"),
    ({"prompt": "x", "stop": [""]}, "stop"),
    ({"prompt": "x", "system": 5}, "system"),
    ({"messages": [{"role": "system", "content": "a"}, *USER], "system": "b"}, "twice"),
    ({"custom_id": "a", "body": 5}, "body"),
    ({"custom_id": "a", "body": {"prompt": "x", "blend": 5}}, "blend"),
    (openai(url="/v1/embeddings", input="x"), "url"),
    (openai(url=5, messages=USER), "url"),
    (openai(prompt="x"), "messages"),
    (openai(messages=USER, n=2), "body.n"),
]
BAD_LINES = [
    (b"nonsense", "not JSON"),
    (b'{"prompt": "x"', "not JSON"),
    (b'"prompt"', "a string"),
    (b"[1]", "a list"),
    (b"null", "null"),
    (b"17", "a number"),
    (b'{"prompt": "\xff"}', "0xff"),
    (b"[" * 100_000, "JSON"),
    (b"1" * 5000, "JSON"),
]


def test_all_bad_rows_are_reported_and_none_crashes(tmp_path):
    """Each fault names its line and what is wrong; the good rows between them are read."""
    path = tmp_path / "p.jsonl"
    bad = [(json.dumps(value).encode(), word) for value, word in BAD_VALUES] + BAD_LINES
    with path.open("wb") as file:
        for line, _ in bad:
            file.write(line + b'\n{"prompt": "good"}\n')
    found, faults = scan(path)

    assert (found.rows, found.invalid) == (2 * len(bad), len(bad))
    assert [fault.line for fault in faults] == [2 * i + 1 for i in range(len(bad))]
    for fault, (_, word) in zip(faults, bad, strict=True):
        assert word in fault.message
        assert "\n" not in fault.message
    kinds = [type(row) for row in found.read()]
    assert kinds == [InvalidRow, Row] * len(bad)


def test_bad_rows_of_a_table(tmp_path):
    """Too many cells, bytes that are no text, words for numbers."""
    path = tmp_path / "p.csv"
    path.write_bytes(b'prompt,seed\na,1,2\n\xff,1\nx,many\n"y" z,1\nfine,\n')

    _, faults = scan(path)

    assert [fault.line for fault in faults] == [2, 3, 4, 5]


def test_a_method_whose_model_was_not_named_is_a_fault(tmp_path):
    """It is known before anything is loaded."""
    path = write_rows(tmp_path / "p.jsonl", [{"prompt": "x", "method": "guide"}])
    defaults = replace(DEFAULTS, blend=replace(DEFAULTS.blend, method="base"), methods=("base",))

    [fault] = scan(path, None, defaults)[1]
    assert "guide" in fault.message


def test_an_id_used_twice_is_a_fault(tmp_path):
    """The first row keeps it; made ids count as well."""
    same = {"custom_id": "a", "prompt": "x"}
    path = write_rows(
        tmp_path / "p.jsonl", [same, {"custom_id": "line-3", "prompt": "x"}, {"prompt": "x"}, same]
    )
    found, faults = scan(path)

    assert [(fault.line, fault.id) for fault in faults] == [(3, "line-3"), (4, "a")]
    assert "line 1" in faults[1].message
    assert [type(row) for row in found.read()] == [Row, Row, InvalidRow, InvalidRow]


def test_ids_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    """Should two ids ever share a hash, the later row is refused rather than taken for the first."""
    monkeypatch.setattr("blendin_local.jobs.batch.scan.hash_id", len)
    path = write_rows(
        tmp_path / "p.jsonl", [{"custom_id": "a", "prompt": "x"}, {"custom_id": "b", "prompt": "x"}]
    )

    [fault] = scan(path)[1]
    assert "cannot be told apart" in fault.message


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_nothing_to_answer(tmp_path, content):
    """An empty input is refused."""
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)

    with pytest.raises(UsageError, match="no rows"):
        scan(path)


def test_files_that_cannot_be_read(tmp_path):
    """Absent, or a directory."""
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(UsageError, match=str(path)):
            scan(path)


def test_a_row_may_want_calibrated_alpha(tmp_path):
    """Where the pair has temperatures; `auto` takes it back."""
    blend = replace(DEFAULTS.blend, base_temperature=1.2, guide_temperature=0.9)
    path = write_rows(
        tmp_path / "p.jsonl", [{"prompt": "x", "alpha": "calibrated"}, {"prompt": "y", "alpha": "auto"}]
    )
    calibrated, auto = rows_of(path, defaults=replace(DEFAULTS, blend=blend))

    assert calibrated.request.blend.alpha == "calibrated"
    assert calibrated.request.blend.temperatures == (1.2, 0.9)
    assert auto.request.blend.alpha is None
