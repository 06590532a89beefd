"""`run` and `chat` find the server that has the same pair open."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from tests.cli_runner import blendin, one_line_error, start
from tests.http_server import MODELS
from tests.toys import make_toy

QUESTION = "the hello world"
USING = "using the server at http://127.0.0.1:"


@pytest.fixture
def pair(tmp_path):
    """The options of a pair that is nobody else's."""
    base, guide = (make_toy(tmp_path / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1))
    file = tmp_path / "models.toml"
    file.write_text(MODELS.format(base=base, guide=guide))
    return ["--pair", "toy", "--models", file, "-t", "1", "-c", "1024", "--kv-type", "f32"]


@pytest.fixture
def env(tmp_path):
    """A cache of its own, in which servers are looked for."""
    return {"BLENDIN_CACHE": str(tmp_path / "cache"), "BLENDIN_NO_SERVER": "", "BLENDIN_API_KEY": ""}


@pytest.fixture
def serve(env):
    """Starts a server and waits for its line."""
    processes = []

    def begin(*arguments, **more):
        process = start(["serve", "-np", "1", "--port", "0", *arguments], env | more)
        processes.append(process)
        line = process.stderr.readline().decode()
        while "serving" not in line:
            assert line, "it ended"
            line = process.stderr.readline().decode()
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def ask(pair, env):
    """Runs the pair; returns the record and what stands on stderr."""

    def run(*arguments, options=pair, **more):
        code, stdout, stderr = blendin("run", QUESTION, *options, "--json", *arguments, **(env | more))
        assert code == 0, stderr
        return json.loads(stdout), stderr

    return run


def answer_of(record):
    """What decides an answer, and the answer."""
    signature = record["signature"]
    return record["text"], record["messages"], *(signature[part] for part in ("blend", "sampling", "answer"))


def test_the_same_pair_is_not_loaded_twice(pair, serve, ask):
    """One line says so; answer, settings and system text are those of the pair, not the server's options."""
    serve(*pair, "--threshold", "0.9", "--system", "hell", "-n", "3", "--temp", "2")
    for arguments in ((), ("--threshold", "0.3", "--system", "a"), ("--temp", "1", "--seed", "4")):
        there, stderr = ask("-n", "9", *arguments)
        here, quiet = ask("-n", "9", "--no-server", *arguments)
        assert USING in stderr
        assert "(--no-server loads the models here)" in stderr
        assert "server" not in quiet
        assert answer_of(there) == answer_of(here)


def test_a_search_is_made_here(pair, serve, env):
    """No server makes one, so the models are loaded, and what is missing here is said."""
    serve(*pair)

    one_line_error(
        blendin("run", QUESTION, *pair, "--search", "1,1,4", **env), 2, "a search needs a third model"
    )


@pytest.mark.parametrize(
    "other",
    [("-c", "512"), ("--reproducible",), ("--base-template", "chat"), ("-v",), ("--date", "2020-01-01")],
    ids=" ".join,
)
def test_other_options_load_the_models(pair, serve, ask, other):
    """A server does only what it was started for."""
    serve(*pair)
    record, stderr = ask("-n", "3", *other)
    assert record["blend"]["steps"] == 3
    assert USING not in stderr


def test_a_file_that_changed_loads_the_models(pair, serve, ask):
    """The server has the older one."""
    serve(*pair)
    os.utime(pair[3].with_name("1.gguf"))
    assert USING not in ask("-n", "3")[1]


def test_the_variable_looks_for_none(pair, serve, ask):
    """As the option."""
    serve(*pair)
    assert USING not in ask("-n", "3", BLENDIN_NO_SERVER="1")[1]


def test_a_server_with_a_key_answers_only_with_it(pair, serve, ask, tmp_path):
    """Whoever has no key loads the models; the key is in no file."""
    serve(*pair, BLENDIN_API_KEY="very-secret")
    assert USING not in ask("-n", "3")[1]
    assert USING in ask("-n", "3", BLENDIN_API_KEY="very-secret")[1]
    record, stderr = ask("-n", "3", BLENDIN_API_KEY="wrong")
    assert record["blend"]["steps"] == 3
    assert "loading the models here" in stderr
    [file] = (tmp_path / "cache" / "servers").iterdir()
    assert "very-secret" not in file.read_text()


def test_a_killed_server_is_forgotten(pair, serve, ask, tmp_path):
    """Its file goes with the next command."""
    process = serve(*pair)
    process.kill()
    process.wait()
    assert len(list((tmp_path / "cache" / "servers").iterdir())) == 1
    assert USING not in ask("-n", "3")[1]
    assert list((tmp_path / "cache" / "servers").iterdir()) == []


def test_no_prompt_goes_to_an_impostor(pair, serve, ask, tmp_path):
    """Who answers in the server's place without its secret gets no more than a question for a proof."""
    serve(*pair)
    [file] = (tmp_path / "cache" / "servers").iterdir()
    received = []
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        values = json.loads(file.read_text()) | {"url": f"http://127.0.0.1:{impostor.getsockname()[1]}"}
        with file.open("r+") as same_file:  # in place: its server holds the lock
            same_file.write(json.dumps(values))
            same_file.truncate()

        def answer():
            body = b'{"proof": "' + b"0" * 64 + b'"}'
            while impostor.fileno() >= 0:
                connection, _ = impostor.accept()
                with connection:
                    received.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        _, stderr = ask("-n", "3")
    assert USING not in stderr
    assert len(received) == 1
    assert received[0].startswith(b"GET /v1/identity?nonce=")


def test_a_chat_finds_it_too(pair, env, serve):
    """With its commands."""
    serve(*pair)
    lines = f"{QUESTION}\n/why 1\n/set\n".encode()
    code, stdout, stderr = blendin("chat", *pair, "-n", "3", stdin=lines, **env)
    assert code == 0, stderr
    assert USING in stderr
    code, here, _ = blendin("chat", *pair, "-n", "3", "--no-server", stdin=lines, **env)
    assert code == 0
    assert stdout == here
