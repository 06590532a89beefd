"""`blendin chat --server`: the conversation and its commands, with the models of a server."""

from __future__ import annotations

import json

import pytest

from tests.cli_runner import blendin, one_line_error
from tests.http_server import running_server, toy_spec
from tests.toys import make_toy

QUESTION = "the hello world"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A base and a guide with random weights."""
    folder = tmp_path_factory.mktemp("chat")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def server(toys):
    """With one place, and a small context."""
    with running_server(toy_spec(*toys, n_ctx=256, reproducible=True)) as running:
        yield running


@pytest.fixture
def local(toys):
    """The options that open the same pair here."""
    options = ["--pair", "toy", "--models", toys[0].with_name("models.toml"), "-t", "1", "-c", "256"]
    options += ["--kv-type", "f32", "--flash-attn", "off", "--no-loop-guard", "--no-log", "--reproducible"]
    return [*options, "-n", "12"]


def talk(lines, *arguments, **env):
    code, stdout, stderr = blendin("chat", *arguments, stdin="\n".join(lines).encode(), **env)
    assert code == 0, stderr
    return stdout, stderr


@pytest.mark.parametrize(
    "lines",
    [
        [QUESTION, "hell", "the world"],
        [QUESTION, "/why 1", "/tokens", "/retry", "hell"],
        [QUESTION, "/fork 2 hell", "/back", "/continue"],
        ["/set threshold 0.9", "/set temp 1", "/set seed 5", QUESTION, "/view prob"],
        ["/system a hell", QUESTION, "/show template", "/undo", "hell", "/ab"],
        [QUESTION, *["hello world " * 6] * 4],
        [
            '/set json-schema {"enum": ["hello", "world", 12]}',
            QUESTION,
            "/show template",
            "/why 1",
            "/fork 1 w",
            "/set regex (he|or){2}",
            QUESTION,
            "/tokens",
            "/set regex none",
            QUESTION,
        ],
    ],
    ids=["turns", "why", "fork", "set", "system", "full", "form"],
)
def test_a_conversation_is_that_of_a_local_chat(server, local, lines):
    """Answers and everything that commands print, except for speeds and the guide's tokens."""
    there, notes = talk(lines, "--server", server.url, "--no-log")
    here, local_notes = talk(lines, *local)
    assert there == here
    if "/ab" not in lines:
        assert notes.splitlines() == [
            line for line in local_notes.splitlines() if "note: the base" not in line
        ]


def test_a_form_that_is_given_replaces_the_server_s(toys):
    """As it replaces that of a pair."""
    spec = toy_spec(*toys, n_ctx=256, answer={"regex": "(he|or){2}"})
    with running_server(spec) as serving:
        stdout, _ = talk([QUESTION], "--server", serving.url, "--no-log", "--json-schema", '{"enum": [12]}')
        assert "12" in stdout
        stdout, _ = talk([QUESTION], "--server", serving.url, "--no-log")
        assert stdout.strip() in {"hehe", "heor", "orhe", "oror"}


def test_it_is_kept_in_the_history_and_goes_on(server, tmp_path):
    """With its steps, the pair and the settings."""
    env = {"BLENDIN_HISTORY": str(tmp_path / "history.db")}
    talk([QUESTION, "/set threshold 0.9", "hell"], "--server", server.url, **env)
    code, stdout, stderr = blendin("logs", "1", "--json", **env)
    assert code == 0, stderr
    assert "hello world" in stdout
    _, notes = talk(["/why 1", "/set"], "--server", server.url, "--continue", **env)
    assert "step 1" in notes
    assert "0.9" in notes
    code, stdout, stderr = blendin("run", "the world", "--server", server.url, "--json", **env)
    assert code == 0, stderr
    code, listed, stderr = blendin("logs", "--json", **env)
    assert code == 0, stderr
    assert [each["pair"] for each in json.loads(listed)["conversations"]] == ["toy", "toy"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--pair", "other"], 2, ["other", "toy"]),
        (["-c", "99"], 2, ["--ctx-size", "blendin serve"]),
        (["--method", "proxy"], 2, ["proxy", "nudging"]),
    ],
)
def test_what_cannot_be_done_is_one_line(server, arguments, code, words):
    """Before anything is asked."""
    one_line_error(blendin("chat", "--server", server.url, *arguments), code, *words)


def test_settings_of_the_models_are_the_servers(server):
    """They cannot be changed from here."""
    code, _, stderr = blendin("chat", "--server", server.url, stdin=b"/set ctx-size 99")
    assert code == 2
    assert "ctx-size is fixed in this chat" in stderr
