"""`blendin serve` as a user starts and ends it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time

import pytest

from tests.cli_runner import blendin, one_line_error, start
from tests.http_server import MODELS
from tests.toys import make_toy


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A models.toml with the pair `toy`."""
    folder = tmp_path_factory.mktemp("serve")
    base, guide = (make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1))
    file = folder / "models.toml"
    file.write_text(MODELS.format(base=base, guide=guide))
    return ["--pair", "toy", "--models", file, "-t", "1", "-c", "1024", "--no-loop-guard"]


@pytest.fixture
def serving(toys):
    """Starts `blendin serve` and waits for its line: (process, port, line)."""
    processes = []

    def begin(*arguments, **env):
        process = start(["serve", *toys, "-np", "1", "--port", "0", *arguments], env)
        processes.append(process)
        line = process.stderr.readline().decode()
        while "serving" not in line:
            assert line, "it ended"
            line = process.stderr.readline().decode()
        return process, int(line.partition("http://")[2].partition(" ")[0].rpartition(":")[2]), line

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def ask(port, path="/v1/models", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        method = "GET" if body is None else "POST"
        more = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, body and json.dumps(body), more | headers)
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def chat(text="the hello world", **fields):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_serves_until_a_signal_ends_it(serving, number, code):
    """One line when it is ready, with the address; the exit code is that of the signal."""
    process, port, line = serving()
    assert "toy-base guided by toy-guide" in line
    status, models = ask(port)
    assert (status, models["data"][0]["id"]) == (200, "toy")
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stderr.read() == b""


def test_running_answers_get_the_time_that_grace_says(serving):
    """Then they end as cancelled."""
    process, port, _ = serving("--grace", "0")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(chat(max_tokens=900, stream=True)),
        {"content-type": "application/json"},
    )
    response = connection.getresponse()
    response.read1(10)
    process.send_signal(signal.SIGTERM)
    data = response.read()
    assert b'"finish_reason":"cancelled"' in data or b'"finish_reason":"length"' in data
    assert data.endswith(b"data: [DONE]\n\n")
    connection.close()
    assert process.wait(10) == 143


def test_options_are_the_defaults_of_requests(serving):
    """A request's own values win."""
    _, port, _ = serving("--threshold", "0", "-n", "5")
    _, reply = ask(port, "/v1/chat/completions", {"messages": chat()["messages"]})
    assert reply["usage"]["completion_tokens"] == 5
    assert reply["usage"]["blend"]["asked"] == 0
    _, reply = ask(port, "/v1/chat/completions", chat(blend={"threshold": 1.0}))
    assert reply["usage"]["blend"]["asked"] == 8


def test_it_answers_as_run_does(serving, toys):
    """To the byte."""
    _, port, _ = serving()
    for question in ("the hello world", "a hell or d"):
        _, reply = ask(port, "/v1/chat/completions", chat(question))
        code, stdout, stderr = blendin("run", question, *toys, "-n", "8", "--json", "--no-log")
        assert code == 0, stderr
        assert reply["choices"][0]["message"]["content"] == json.loads(stdout)["text"]


def test_prompts_are_printed_only_if_that_is_asked_for(serving):
    """Requests without their texts with -v; texts with --log-prompts."""
    cases = {(): (False, False), ("-v",): (True, False), ("--log-prompts",): (False, True)}
    for arguments, expected in cases.items():
        process, port, _ = serving(*arguments)
        ask(port, "/v1/chat/completions", chat("a hell or d"))
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        log = process.stderr.read().decode()
        assert ("/v1/chat/completions" in log, "a hell or d" in log) == expected


def test_a_key_comes_from_a_file_or_the_environment(serving, tmp_path):
    """White space around it is none of it; it is in no list of processes."""
    file = tmp_path / "key.txt"
    file.write_text("secret\n")
    for arguments, env in ([["--api-key-file", file], {}], [[], {"BLENDIN_API_KEY": "secret"}]):
        _, port, _ = serving(*arguments, **env)
        assert ask(port)[0] == 401
        assert ask(port, authorization="Bearer secret")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_others_need_a_key(toys, host):
    """Without one it does not start, and loads nothing."""
    began = time.monotonic()
    result = blendin("serve", *toys, "--host", host, "--port", "0")
    one_line_error(result, 2, "no key", "--api-key-file", "BLENDIN_API_KEY")
    assert time.monotonic() - began < 10


def test_with_a_key_it_listens_for_others(serving):
    """Under any name, for the key is what keeps strangers out."""
    _, port, line = serving("--host", "0.0.0.0", BLENDIN_API_KEY="secret")
    assert "http://127.0.0.1:" in line
    assert ask(port, authorization="Bearer secret", host="my-machine:80")[0] == 200
    assert ask(port, host="my-machine:80")[0] == 401


def test_a_port_that_is_taken(toys):
    """One line, before any model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one_line_error(blendin("serve", *toys, "--port", port), 2, str(port), "taken", "--port")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "no.such.host.invalid"], ["no.such.host.invalid"]),
        (["--host", "192.0.2.1"], ["192.0.2.1"]),
        (["--host", ""], ["--host"]),
        (["--port", "99999"], ["--port"]),
        (["--parallel", "0"], ["--parallel"]),
        (["--allowed-origin", "*"], ["--allowed-origin"]),
        (["--allowed-origin", "localhost"], ["--allowed-origin"]),
        (["--api-key-file", "no-such-file"], ["no-such-file"]),
        (["--pair", "no-such-pair"], ["no-such-pair"]),
    ],
)
def test_wrong_options_are_one_line(toys, arguments, words):
    """With exit code 2."""
    one_line_error(blendin("serve", "--port", "0", *toys, *arguments), 2, *words)


def test_an_empty_key_is_no_key(toys, tmp_path):
    """It would let everybody in."""
    file = tmp_path / "key.txt"
    file.write_text(" \n")
    one_line_error(blendin("serve", *toys, "--port", "0", "--api-key-file", file), 2, "holds no key")


def test_exact_prompts_are_refused(toys, tmp_path):
    """They would be the same for every request."""
    file = tmp_path / "prompt.txt"
    file.write_text("hello")
    one_line_error(blendin("serve", *toys, "--port", "0", "--base-prompt-file", file), 2, "every request")


def test_a_signal_while_models_are_loaded_ends_it(toys):
    """At once, with the code of the signal and no traceback."""
    process = start(["serve", *toys, "--port", "0"], {})
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(15) in {143, -signal.SIGTERM}
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
