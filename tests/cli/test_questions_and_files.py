"""What is asked: `run -f`, `chat -f`, a first message; and which records and pages show it."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.cli_runner import SCHEMA, blendin, one_line_error
from tests.toys import make_toy


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A toy base and a toy guide."""
    folder = tmp_path_factory.mktemp("models")
    return make_toy(folder / "base.gguf", "plain"), make_toy(folder / "guide.gguf", "plain", seed=1)


@pytest.fixture
def call(toys, tmp_path):
    """Run a verb on the toys."""
    base, guide = toys
    return lambda verb, *arguments, **more: blendin(
        verb, "--base", base, "--guide", guide, "-n", 4, "--no-loop-guard", *arguments, cwd=tmp_path, **more
    )


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.txt", tmp_path / "b c.txt"]
    for path, text in zip(paths, ("first\n", "second\n\n"), strict=True):
        path.write_text(text)
    return paths


def test_run_reads_several_files_in_order(call, files):
    """Separated by blank lines, before the question; the object carries the messages."""
    code, out, err = call("run", "and?", "-f", files[1], "-f", files[0], "--system", "Be kind.", "--json")
    assert code == 0, err
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)
    assert record["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "second\n\nfirst\n\nand?"},
    ]


def test_the_first_line_of_a_trace_has_the_messages(call, tmp_path):
    """And replay reads the trace as before."""
    code, _, err = call("run", "hello", "--trace", tmp_path / "t.jsonl")
    assert code == 0, err
    start = json.loads((tmp_path / "t.jsonl").read_bytes().splitlines()[0])
    assert start["messages"] == [{"role": "user", "content": "hello"}]
    assert blendin("replay", tmp_path / "t.jsonl")[0] == 0


def test_exact_prompts_alone_have_no_messages(call, files):
    """There is no conversation to carry."""
    exact = ("--base-prompt-file", files[0], "--guide-prompt-file", files[1])
    code, out, err = call("run", *exact, "--json")
    assert code == 0, err
    assert json.loads(out)["messages"] == []


def test_the_page_shows_the_question(call, tmp_path):
    """Escaped, above the answer, with the system text to open."""
    code, _, err = call("run", "Is 1 < 2?", "--system", "Be kind.", "--html", tmp_path / "a.html")
    assert code == 0, err
    page = (tmp_path / "a.html").read_text()
    assert page.index("Is 1 &lt; 2?") < page.index("<h2>Answer</h2>")
    assert "Before the question" in page


def test_chat_takes_a_first_message_and_files(call, files):
    """They are the first question; then the pipe goes on."""
    saved = files[0].parent / "talk.jsonl"
    code, _, err = call(
        "chat", "and?", "-f", files[0], "-f", files[1], stdin=f"more\n/save {saved}\n".encode()
    )
    assert code == 0, err
    lines = [json.loads(line) for line in saved.read_bytes().splitlines()]
    questions = [line["content"] for line in lines if line.get("role") == "user"]
    assert questions == ["first\n\nsecond\n\nand?", "more"]


def test_a_file_in_place_of_a_message_is_told_how_to_be_given(call, files):
    """The hint is the option to type, quoted where need be."""
    one_line_error(call("chat", files[0].name, files[1].name), 2, "a.txt is a file", "-f a.txt -f 'b c.txt'")
    one_line_error(call("chat", "two", "words"), 2, "more than one argument", "quotation marks")
    one_line_error(call("chat", "-f", "no-such.txt"), 2, "no-such.txt cannot be read")


def test_a_pair_is_opened_anew_and_the_conversation_stays(call):
    """With another context size and another template; a wrong value closes nothing."""
    lines = "hello\n/set ctx-size 300\n/set template transcript\nworld\n/set\n/show template\n"
    code, _, err = call("chat", stdin=lines.encode())
    assert code == 0, err
    assert "ctx-size is 300. The conversation stays (1 turn)." in err
    assert "base-template is transcript." in err
    assert "User:\nhello" in err
    one_line_error(call("chat", stdin=b"/set ctx-size 5\n"), 2, "ctx-size is 5")
    one_line_error(call("chat", stdin=b"/set base-template nosuch\n"), 2, "there is no template 'nosuch'")
    one_line_error(call("chat", stdin=b"/set kv-type much\n"), 2, "kv-type is 'much'")


def test_a_real_answer_is_forked_and_continued(call, tmp_path):
    """The saved conversation has the text before the fork, then the candidate."""
    saved = tmp_path / "talk.jsonl"
    lines = f"hello\n/fork 2 HERE\n/continue\n/save {saved}\n"
    code, _, err = call("chat", stdin=lines.encode())
    assert code == 0, err
    record = json.loads(saved.read_bytes().splitlines()[-1])
    steps = record["completion"]["steps"]
    assert steps[2]["source"] == "chosen"
    assert steps[2]["text"].strip() == "HERE"
    assert len(steps) == 8
    for step in steps:
        jsonschema.validate(step, {**SCHEMA["$defs"]["step"], "$defs": SCHEMA["$defs"]})
