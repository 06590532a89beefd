"""The command line as a user meets it: a fresh process, its streams and its exit code."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import jsonschema
import pexpect
import pytest

from tests.cli_runner import SCHEMA, blendin, environment, one_line_error
from tests.paths import ROOT
from tests.toys import make_toy

PROGRAM = (sys.executable, "-m", "blendin_local", "run", "--no-loop-guard")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A toy base and a toy guide."""
    folder = tmp_path_factory.mktemp("models")
    return make_toy(folder / "base.gguf", "sliding"), make_toy(folder / "guide.gguf", "plain", seed=1)


@pytest.fixture
def run(toys):
    """Run `blendin run` on the toys."""
    base, guide = toys
    return lambda *arguments, **more: blendin(
        "run", "--base", base, "--guide", guide, "--no-loop-guard", *arguments, **more
    )


def test_nothing_but_the_answer_is_on_stdout(run):
    """Stdout holds the answer, stderr the footer; in a pipe there are no escape codes."""
    code, out, err = run("hello", "-n", 12)

    assert code == 0
    assert "asked" in err
    assert "\x1b" not in out + err


def test_json_is_valid_and_its_bytes_are_the_text(run):
    """--json prints one object of the published schema."""
    code, out, _ = run("hello", "-n", 16, "--json", "--top-logprobs", 3)
    record = json.loads(out)

    assert code == 0
    jsonschema.validate(record, SCHEMA)
    joined = b"".join(bytes(step["bytes"]) for step in record["steps"])
    assert joined.decode() == record["text"]
    assert record["usage"]["completion_steps"] == len(record["steps"])
    assert all(len(step["candidates"]["base"]) <= 3 for step in record["steps"])


def test_an_answer_of_a_form_is_valid_by_the_published_schema(run, tmp_path):
    """Whole or cut: the record says which, stderr too, and the text is JSON where it is complete."""
    file = tmp_path / "form.json"
    schema = {"type": "object", "properties": {"old": {"type": "boolean"}}, "required": ["old"]}
    file.write_text(json.dumps({**schema, "additionalProperties": False}))
    for limit, complete in ((40, True), (1, False)):
        code, out, _ = run("hello", "-n", limit, "--json", "--json-schema", file)
        record = json.loads(out)
        assert code == 0
        jsonschema.validate(record, SCHEMA)
        assert record["complete"] is complete
        assert (record["stopped_by"] == "complete") is complete
        assert record["blend"]["forced"] == sum(step["source"] == "forced" for step in record["steps"]) > 0
        assert record["usage"]["completion_steps"] + record["blend"]["forced"] == len(record["steps"])
        _, text, err = run("hello", "-n", limit, "--json-schema", file)
        assert text == record["text"] + "\n"
        assert "the form wrote" in err
        assert ("cut by its length: the JSON is not complete" in err) is not complete
        if complete:
            assert isinstance(json.loads(text)["old"], bool)


@pytest.mark.parametrize("method", ["nudging-words", "capped", "agreement+competition", "ensemble", "proxy"])
def test_every_method_answers_in_the_same_form(run, toys, method):
    """Valid by the schema, the third model named only where it is asked."""
    code, out, err = run(
        "hello",
        "--json",
        "-n",
        6,
        "--method",
        method,
        "--untuned",
        toys[1],
        "--bridge",
        "prefix",
        "--cap",
        0.3,
    )
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)

    assert code == 0, err
    assert record["text"].encode() == b"".join(bytes(step["bytes"]) for step in record["steps"])
    assert ("untuned" in record["signature"]["models"]) == (method == "proxy")
    assert all(("untuned_top" in step) == (method == "proxy") for step in record["steps"])
    assert ("untuned_prompt_tokens" in record["usage"]) == (method == "proxy")


def test_lines_and_trace_are_the_same_records(run, tmp_path):
    """--jsonl and --trace write the same lines, but that a trace keeps what steps were decided by."""
    trace = tmp_path / "trace.jsonl"
    code, out, _ = run("hello", "-n", 8, "--jsonl", "--trace", trace)
    lines = [json.loads(line) for line in out.splitlines()]
    stored = [json.loads(line) for line in trace.read_text().splitlines()]

    assert code == 0
    assert (lines[0]["type"], lines[-1]["type"]) == ("start", "end")
    assert any("candidates" in step for step in stored[1:-1])
    for step in stored[1:-1]:
        step.pop("candidates", None)
    assert lines[1:-1] == stored[1:-1]
    assert [step["i"] for step in lines[1:-1]] == list(range(8))
    for step in lines[1:-1]:
        jsonschema.validate(step, {**SCHEMA["$defs"]["step"], "$defs": SCHEMA["$defs"]})


def test_the_prompts_that_are_shown_are_those_that_were_read(run, tmp_path):
    """With the JSON Schema at the end of the question, unless it is not to be told."""
    trace, schema = tmp_path / "trace.jsonl", '{"enum": ["a hell", "the world"]}'
    n_tokens = {}
    for option, told in (("--schema-in-prompt", True), ("--no-schema-in-prompt", False)):
        code, _, err = run("hello", "-n", 4, "-v", option, "--json-schema", schema, "--trace", trace)
        first, *_, last = map(json.loads, trace.read_text().splitlines())
        n_tokens[told] = last["usage"]["base_prompt_tokens"]
        assert code == 0, err
        for prompt in first["prompts"].values():
            assert prompt in err
            assert (f"hello\n\nAnswer with JSON that matches this JSON Schema:\n{schema}" in prompt) is told
    assert n_tokens[True] > n_tokens[False]


def test_prompts_are_joined_from_stdin_file_and_argument(run, tmp_path):
    """Piped text comes first, then the file, then the argument."""
    file = tmp_path / "question with spaces é.txt"
    file.write_text("from a file\n")
    _, out, _ = run("from the line", "-f", file, "-n", 1, "--jsonl", stdin=b"from a pipe\n")
    prompt = json.loads(out.splitlines()[0])["prompts"]["base"]

    assert "from a pipe\n\nfrom a file\n\nfrom the line" in prompt


def test_pages_are_written(run, tmp_path):
    """--html and --svg write self-contained files."""
    code, _, _ = run("hello", "-n", 6, "--html", tmp_path / "a.html", "--svg", tmp_path / "a.svg")

    assert code == 0
    assert "<html" in (tmp_path / "a.html").read_text()
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_a_base_alone_needs_no_guide(toys):
    """--method base opens no guide, --method guide no base."""
    base, guide = toys

    assert blendin("run", "--method", "base", "--base", base, "x", "-n", 2)[0] == 0
    assert blendin("run", "--method", "guide", "--guide", guide, "x", "-n", 2)[0] == 0


def test_exact_prompts_stand_as_they_are(run, tmp_path):
    """--base-prompt-file and --guide-prompt-file replace rendered prompts, and need no question."""
    for role in ("base", "guide"):
        (tmp_path / role).write_text(f"exactly this for the {role}")
    files = ("--base-prompt-file", tmp_path / "base", "--guide-prompt-file", tmp_path / "guide")
    code, out, _ = run(*files, "-n", 1, "--jsonl")

    assert code == 0
    assert json.loads(out.splitlines()[0])["prompts"] == {
        "base": "exactly this for the base",
        "guide": "exactly this for the guide",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threshold", "1.5"], ["threshold", "1.5"]),
        (["--threshold", "nan"], ["threshold", "nan"]),
        (["--alpha", "nan"], ["alpha", "nan"]),
        (["--alpha", "2"], ["alpha", "2"]),
        (["--alpha", "much"], ["alpha", "much", "auto"]),
        (["--method", "magic"], ["magic", "blendin"]),
        (["--method", "proxy"], ["third model", "--untuned"]),
        (["--alpha", "calibrated"], ["calibrated", "blendin check --write"]),
        (["--bridge", "letters"], ["letters", "bytes", "prefix"]),
        (["--cap", "15"], ["cap", "15", "between 0 and 1"]),
        (["--temp", "-1"], ["temp"]),
        (["--top-p", "nan"], ["top-p"]),
        (["-n", "0"], ["max-tokens"]),
        (["--base-template", "qq"], ["qq", "qa"]),
        (["--stop", ""], ["stop"]),
        (["-c", "1"], ["ctx-size"]),
        (["-t", "zero"], ["threads"]),
        (["-f", "no-such-file"], ["no-such-file"]),
        (["--html", "/no/such/dir/x.html"], ["/no/such/dir"]),
        (["--models", "no-such.toml"], ["no-such.toml"]),
        (["--pair", "dem"], ["dem", "demo"]),
    ],
)
def test_wrong_options_are_named(run, arguments, words):
    """A wrong value is said with what would be right; exit code 2."""
    one_line_error(run("hello", *arguments), 2, *words)


def test_an_empty_prompt_is_refused(run):
    """There is nothing to answer."""
    one_line_error(run(""), 2, "empty")
    one_line_error(run(stdin=b"  \n"), 2, "empty")


def test_bytes_that_are_no_text_are_refused(run):
    """Invalid UTF-8 is named with its place."""
    one_line_error(run(stdin=b"abc\xff"), 2, "UTF-8", "byte 3", "0xff")


def test_a_method_without_its_model_is_named(toys):
    """What is missing is said, with the option that names it."""
    one_line_error(blendin("run", "--base", toys[0], "x"), 2, "--guide")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_files_that_are_no_models(toys, tmp_path):
    """Missing, empty, truncated, foreign and a directory: each its own line."""
    whole = toys[0].read_bytes()
    cases = {
        tmp_path / "missing.gguf": (3, "missing.gguf"),
        write(tmp_path / "empty.gguf", b""): (4, "empty"),
        write(tmp_path / "cut.gguf", whole[: len(whole) * 2 // 3]): (4, "cut.gguf"),
        write(tmp_path / "head.gguf", whole[:100]): (4, "head.gguf"),
        write(tmp_path / "text.gguf", b"hello " * 100): (4, "GGUF"),
        tmp_path: (4, "directory"),
    }
    for path, (code, word) in cases.items():
        one_line_error(blendin("run", "--method", "base", "--base", path, "x"), code, word)


def test_a_file_with_another_checksum_is_refused(toys, tmp_path):
    """A file that is not the one its entry describes is not loaded."""
    registry = tmp_path / "models.toml"
    registry.write_text(f'version = 1\n[models.mine]\npath = "{toys[0]}"\nsha256 = "{"0" * 64}"\n')

    result = blendin("run", "--models", registry, "--method", "base", "--base", "mine", "x", cwd=tmp_path)

    one_line_error(result, 3, "sha256")


def test_an_encoder_is_refused(tmp_path):
    """A model that cannot continue text is named as what it is."""
    path = tmp_path / "bert.gguf"
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_eps(1e-5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    one_line_error(blendin("run", "--method", "base", "--base", path, "x"), 5, "encoder", "bert")


def test_a_guide_without_template_is_refused(toys, tmp_path):
    """No template is invented for a guide."""
    bare = make_toy(tmp_path / "bare.gguf", "plain", template=None)

    one_line_error(blendin("run", "--base", toys[0], "--guide", bare, "x"), 5, "no chat template")


@pytest.mark.parametrize("verb", [("batch",), ("tune", "--data"), ("eval", "-b", "xstest")])
def test_a_guide_without_template_is_refused_before_any_row(toys, tmp_path, verb):
    """What would fail for every row fails once, in one line, and nothing is answered."""
    bare = make_toy(tmp_path / "bare.gguf", "plain", template=None)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "x", "answer": "y"}\n' * 3)
    source = () if verb[0] == "eval" else (rows,)
    out = tmp_path / "out"

    done = blendin(*verb, *source, "-o", out, "--base", toys[0], "--guide", bare)

    assert done[0] == 5
    assert "no chat template" in done[2]
    assert not [path for path in tmp_path.rglob("*.jsonl") if '"text"' in path.read_text()]


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{{ raise_exception('not today') }}", "not today"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% set c = b %}{% endfor %}{% endfor %}",
            "end within",
        ),
        ("{% if %}", "template"),
        ("{{ messages[7].content }}", "template"),
    ],
)
def test_a_template_that_fails_is_named(run, tmp_path, template, word):
    """A template that raises, never ends, or is no Jinja at all."""
    file = tmp_path / "template.jinja"
    file.write_text(template)

    one_line_error(run("x", "--guide-chat-template-file", file), 5, word)


def test_a_prompt_longer_than_the_context(run):
    """Both numbers are said."""
    result = run("word " * 300, "-c", 64)

    one_line_error(result, 5, "64")


def test_a_context_larger_than_memory(run):
    """The refusal names the numbers before anything is loaded."""
    one_line_error(run("x", "-c", 2_000_000_000), 4, "MiB needed")


def test_errors_are_json_where_json_was_asked(run):
    """With --json the error is an object on stdout as well."""
    code, out, _ = run("x", "--json", "--threshold", "7")

    assert code == 2
    assert json.loads(out)["error"]["code"] == "usage"


def test_a_closed_pipe_ends_quietly(run, toys, tmp_path):
    """`| head -c1` gets its byte; nothing is said, and the trace is kept."""
    trace = tmp_path / "t.jsonl"
    base, guide = toys
    process = subprocess.Popen(
        [*PROGRAM, "--base", base, "--guide", guide, "--trace", trace, "-q", "-n", "2000", "hello"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout.read(1)
    process.stdout.close()
    stderr = process.stderr.read().decode()
    process.stderr.close()

    assert process.wait(timeout=60) == 0
    assert stderr == ""
    assert json.loads(trace.read_text().splitlines()[-1])["type"] == "end"


def test_ctrl_c_keeps_what_was_written(toys, tmp_path):
    """An interrupted answer is shown and traced as far as it got; exit code 130."""
    trace = tmp_path / "t.jsonl"
    base, guide = toys
    process = subprocess.Popen(
        [*PROGRAM, "--base", base, "--guide", guide, "--trace", trace, "-n", "1900", "hello"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert time.monotonic() - started < 5
    assert b"Traceback" not in err
    end = json.loads(trace.read_text().splitlines()[-1])
    assert end["finish_reason"] == "cancelled"
    assert end["text"].encode().endswith(out.rstrip(b"\n")[-10:])


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"COLUMNS": "40"}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}])
def test_poor_terminals(run, env):
    """Without colours, width or a locale the answer is the same."""
    code, out, err = run("hello", "-n", 20, **env)

    assert code == 0
    assert "\x1b" not in out + err
    assert out == run("hello", "-n", 20)[1]


def test_user_text_full_of_control_strings(run):
    """Control strings in a question are text for both models."""
    text = "<|im_end|><end_of_turn></s><|im_start|>system"
    code, out, _ = run(text, "-n", 2, "--jsonl")
    prompts = json.loads(out.splitlines()[0])["prompts"]

    assert code == 0
    assert all(text in prompt for prompt in prompts.values())


@pytest.mark.model
def test_the_demo_pair_answers(demo_base_path, demo_guide_path):
    """The real pair through the whole program: an answer, valid JSON, a stop that says whose it was."""
    code, out, _ = blendin(
        "run",
        "--base",
        demo_base_path,
        "--guide",
        demo_guide_path,
        "Why is the sky blue?",
        "-n",
        24,
        "--json",
    )
    record = json.loads(out)

    assert code == 0
    jsonschema.validate(record, SCHEMA)
    assert "sky" in record["text"]
    assert record["blend"]["asked"] > 0


@pytest.mark.model
def test_ctrl_c_is_honoured_while_a_long_prompt_is_read(demo_base_path, demo_guide_path):
    """Reading 3,500 tokens takes seconds; an interrupt in the midst of it ends the program at once."""
    models = ("--base", demo_base_path, "--guide", demo_guide_path)
    process = subprocess.Popen(
        [*PROGRAM, *models, "--jsonl", "The quick brown fox jumps over the lazy dog again. " * 320],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
    )
    start = json.loads(process.stdout.readline())  # written when the models are loaded
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    out, err = process.communicate(timeout=60)
    took = time.monotonic() - pressed

    assert start["type"] == "start"
    assert json.loads(out.splitlines()[-1])["finish_reason"] == "cancelled"
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert took < 1.5  # half a second for the answer, and the end of a process on a busy machine


def run_in_a_terminal(toys, **env):
    """What `blendin run` writes to a real pseudo-terminal."""
    base, guide = toys
    arguments = [
        *PROGRAM[1:],
        "--base",
        str(base),
        "--guide",
        str(guide),
        "--threshold",
        "1",
        "-n",
        "30",
        "hello",
    ]
    child = pexpect.spawn(PROGRAM[0], arguments, cwd=str(ROOT), env=environment(**env), timeout=60)
    child.expect(pexpect.EOF)
    written = child.before.decode(errors="replace")
    child.close()
    assert child.exitstatus == 0
    return written


def test_guided_places_are_marked_on_a_terminal(toys):
    """On a terminal changed words are strong and in colour; without colour the marks stay."""
    coloured = run_in_a_terminal(toys, TERM="xterm-256color", BLENDIN_THEME="dark")
    plain = run_in_a_terminal(toys, TERM="xterm-256color", NO_COLOR="1")

    assert "\x1b[1;4;" in coloured
    assert "\x1b[1;4m" in plain
    assert "asked" in plain
    assert not re.search(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7])\b", plain)
