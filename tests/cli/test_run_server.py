"""`blendin run --server`: the same output and record as without one."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from blendin_local.errors import UsageError
from blendin_local.server.client import RemoteAnswer, Server
from tests.cli_runner import blendin, one_line_error, start
from tests.http_server import running_server, toy_spec
from tests.toys import make_toy

QUESTION = "the hello world"
PERSON = json.dumps(
    {"type": "object", "properties": {"name": {"enum": ["hello", "world"]}}, "required": ["name"]}
)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A base and a guide with random weights."""
    folder = tmp_path_factory.mktemp("remote")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def server(toys):
    """With one place, answers of 12 tokens, and none that depends on an earlier one."""
    with running_server(toy_spec(*toys, reproducible=True)) as running:
        yield running


@pytest.fixture
def local(toys):
    """Runs the same pair without a server."""
    model = ["--pair", "toy", "--models", toys[0].with_name("models.toml"), "-t", "1", "-c", "1024"]
    model += ["--kv-type", "f32", "--flash-attn", "off", "--no-loop-guard", "--no-log", "--reproducible"]
    return lambda *arguments: blendin("run", QUESTION, *model, "-n", "12", *arguments)


def steady(text):
    """A record without its times, and without how many tokens were read: a server may hold them already.

    A guide that holds the prompt reads on in other batches than one that does not, so the sixth digit of an
    alpha may differ.
    """
    lines = text.splitlines()
    records = [json.loads(line, parse_float=lambda number: round(float(number), 5)) for line in lines]
    for record in records:
        record.pop("timings", None)
        for name in [each for each in record.get("blend", ()) if each.endswith("_evaluated")]:
            del record["blend"][name]
    return records


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--json",),
        ("--jsonl",),
        ("--json", "--method", "nudging", "--threshold", "0.6", "--alpha", "0.5"),
        ("--json", "--temp", "1.2", "--seed", "7", "--top-logprobs", "3"),
        ("--json", "--system", "a hell", "--stop", "d"),
        ("--json", "--repeat-penalty", "1.3", "--alpha", "auto"),
        ("--json", "--json-schema", PERSON, "-n", "40", "--temp", "1", "--seed", "3"),
        ("--json", "--regex", "(he|or|ll){3}", "--top-logprobs", "3"),
        ("--json", "--grammar", 'start: "hell" ("o" | "e")'),
    ],
    ids=" ".join,
)
def test_output_and_record_are_those_of_a_local_run(server, local, arguments):
    """All but times and the tokens that did not have to be read."""
    code, here, stderr = local(*arguments)
    assert code == 0, stderr
    code, there, stderr = blendin("run", QUESTION, "--server", server.url, *arguments)
    assert code == 0, stderr
    if arguments:
        assert steady(there) == steady(here)
    else:
        assert there == here


def test_a_trace_can_be_replayed(server, local, tmp_path):
    """It has every candidate."""
    for name, run in (
        ("here", local),
        ("there", lambda *arguments: blendin("run", QUESTION, "--server", server.url, *arguments)),
    ):
        assert run("--trace", tmp_path / name, "-q")[0] == 0
    assert steady((tmp_path / "there").read_text()) == steady((tmp_path / "here").read_text())
    code, _, stderr = blendin("replay", tmp_path / "there", "--threshold", "0.15")
    assert code == 0, stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--pair", "other"], 2, ["other", "toy"]),
        (["-c", "99"], 2, ["--ctx-size", "blendin serve"]),
        (["--base", "x.gguf"], 2, ["--base", "blendin serve"]),
        (["--method", "proxy"], 2, ["proxy"]),
        (["--system", "a " * 3000], 5, ["the context holds 1024"]),
    ],
)
def test_what_cannot_be_done_is_one_line(server, arguments, code, words):
    """Options of models are the server's matter; its own errors are passed on."""
    one_line_error(blendin("run", QUESTION, "--server", server.url, *arguments), code, *words)


@pytest.mark.parametrize(
    ("url", "code"), [("http://127.0.0.1:1", 7), ("localhost", 2), ("ftp://a", 2), ("http://", 2)]
)
def test_where_nobody_answers(url, code):
    """One line with the URL."""
    one_line_error(blendin("run", QUESTION, "--server", url), code, "server")


def test_a_key_comes_from_the_environment(toys):
    """As that of the server does."""
    with running_server(toy_spec(*toys), key="secret") as locked:
        one_line_error(blendin("run", QUESTION, "--server", locked.url), 2, "API key")
        assert blendin("run", QUESTION, "--server", locked.url, BLENDIN_API_KEY="secret")[0] == 0


def test_stopping_ends_the_answer_at_the_server_too(toys):
    """What there is so far is the answer, with its record; the place is free."""
    with running_server(toy_spec(*toys)) as slow:
        slow.pause_s = 0.02
        stop = threading.Event()
        body = {"messages": [{"role": "user", "content": QUESTION}], "settings": {"max_tokens": 900}}
        remote = RemoteAnswer(Server(slow.url), body, stop.is_set)
        shown = []
        for step, _ in remote.shown():
            shown.append(step)
            if len(shown) == 5:
                stop.set()
        assert remote.completion.stopped_by == "user"
        assert remote.completion.steps[:5] == tuple(shown[:5])
        assert len(remote.completion.steps) < 30
        assert slow.busy() == (0, 0)


def test_ctrl_c_writes_what_there_is(toys):
    """And ends with 130, as without a server."""
    with running_server(toy_spec(*toys)) as slow:
        slow.pause_s = 0.05
        process = start(["run", QUESTION, "--server", slow.url, "-n", "900"], {})
        slow.until(lambda: slow.busy() == (1, 0))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        process.stderr.close()
        slow.until(lambda: slow.busy() == (0, 0), seconds=2)


def test_a_client_that_vanishes_frees_the_place(server):
    """Also one that reads the record."""
    server.pause_s = 0.02
    body = {"messages": [{"role": "user", "content": QUESTION}], "settings": {"max_tokens": 900}}
    connection = server.open_request("/v1/answers", body)
    server.until(lambda: server.busy() == (1, 0))
    connection.close()
    server.until(lambda: server.busy() == (0, 0), seconds=2)
    server.pause_s = 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": "x"},
        {"settings": 5},
        {"settings": {"alpha": "x"}},
        {"evidence": "yes"},
    ],
)
def test_a_wrong_request_is_an_error(server, body):
    """With the class that a wrong option has."""
    messages = {"messages": [{"role": "user", "content": QUESTION}]}
    with pytest.raises(UsageError):
        RemoteAnswer(Server(server.url), messages | body if body and "messages" not in body else body, bool)
