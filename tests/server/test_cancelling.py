"""A client that goes away frees its place within a step; a full queue says so; the end is orderly."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.http_server import received

CHAT = "/v1/chat/completions"
LONG = {"messages": [{"role": "user", "content": "the hello world"}], "max_tokens": 900}


def body(stream=False, **fields):
    return {**LONG, "stream": stream, **fields}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 2])
def test_a_client_that_goes_away_frees_its_place(start, stream, n):
    """Streamed or not, with one answer or several, while others go on."""
    server = start(2)
    server.pause_s = 0.01
    connection = server.open_request(CHAT, body(stream, n=n))
    server.until(lambda: server.busy()[0] == n)
    connection.close()
    server.until(lambda: server.busy() == (0, 0), seconds=2)
    server.pause_s = 0
    assert server.chat()["usage"]["completion_tokens"] == 12
    assert server.metrics()['blendin_answers_total{finish_reason="cancelled"}'] == n


def test_a_request_that_waits_leaves_the_queue_when_its_client_goes(start):
    """It need not wait for its turn to be forgotten."""
    server = start(1, max_waiting=1)
    server.pause_s = 0.01
    running = server.open_request(CHAT, body())
    server.until(lambda: server.busy()[0] == 1)
    waiting = server.open_request(CHAT, body())
    server.until(lambda: server.busy() == (1, 1))
    waiting.close()
    server.until(lambda: server.busy() == (1, 0), seconds=2)
    running.close()


def test_a_full_queue_says_when_to_come_again(start):
    """503 with Retry-After, and the answers that run are not disturbed."""
    server = start(1, max_waiting=1)
    server.pause_s = 0.01
    held = [server.open_request(CHAT, body()) for _ in range(1)]
    server.until(lambda: server.busy()[0] == 1)
    held.append(server.open_request(CHAT, body()))
    server.until(lambda: server.busy() == (1, 1))
    for stream in (False, True):
        reply = server.post(CHAT, body(stream))
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) > 0
        assert reply.error["type"] == "unavailable_error"
    assert server.post(CHAT, body(n=3)).status == 503
    assert server.metrics()["blendin_waiting"] == 1
    for connection in held:
        connection.close()
    server.until(lambda: server.busy() == (0, 0))


def test_a_reader_that_stops_holds_up_nobody(start):
    """Its own answer is made to the end and waits for it; when it goes on reading, nothing is missing."""
    server = start(1, n_ctx=2048, answer={"top_logprobs": 0})
    slow = server.open_request(CHAT, body(True, logprobs=True, top_logprobs=20), connection="close")
    server.until(lambda: server.busy()[0] == 1)
    assert server.chat()["usage"]["completion_tokens"] == 12
    server.until(lambda: server.busy() == (0, 0))
    data = received(slow)
    assert b"data: [DONE]" in data
    assert data.count(b'"finish_reason":null') > 800


def test_a_long_prompt_is_reported_while_it_is_read(start):
    """In comments, with how much is read; clients skip them."""
    server = start(1, n_ctx=8192)
    messages = [{"role": "user", "content": "hello world " * 900}]
    blocks = server.events(CHAT, {"messages": messages, "max_tokens": 2})
    comments = [block for block in blocks if block.startswith(": prompt")]
    read = [tuple(map(int, block.split()[-1].split("/"))) for block in comments if "base" in block]
    assert len(read) > 2
    assert read == sorted(read)
    assert all(0 < done <= total for done, total in read)
    assert len({total for _, total in read}) == 1


def test_a_failure_in_mid_stream_is_an_error_object(start, monkeypatch):
    """The stream then ends without `[DONE]`; the next request is answered."""
    server = start(1)
    scheduler = server.service.thread._scheduler
    step, rounds = scheduler.step, []

    def failing(should_stop):
        rounds.append(1)
        if len(rounds) == 5:
            from blendin_local.errors import BlendinError

            raise BlendinError("the engine failed", "try again")
        step(should_stop)

    monkeypatch.setattr(scheduler, "step", failing)
    blocks = server.events(CHAT, LONG)
    error = json.loads(blocks[-1].removeprefix("data: "))["error"]
    assert error["message"] == "the engine failed (try again)"
    assert set(error) == {"message", "type", "param", "code"}
    assert "data: [DONE]" not in blocks
    assert server.chat()["usage"]["completion_tokens"] == 12


def test_a_second_turn_reads_only_what_is_new(start):
    """The earlier turns are held by a place, also if another conversation came between."""
    server = start(2)
    messages = [{"role": "user", "content": "the hello world hell or the d " * 10}]
    first = server.chat(messages=messages)
    server.chat("something else, as long as the other " * 5)
    messages += [first["choices"][0]["message"] | {}, {"role": "user", "content": "hello"}]
    second = server.chat(messages=[{"role": m["role"], "content": m["content"]} for m in messages])
    usage = second["usage"]
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["prompt_tokens_details"]["cached_tokens"] >= first["usage"]["prompt_tokens"]
    assert usage["prompt_tokens"] > usage["prompt_tokens_details"]["cached_tokens"]


def test_with_one_place_answers_do_not_depend_on_others(start):
    """To the last bit, whatever came before or waits."""
    server = start(1)
    questions = ["the hello world", "a hell or d", "world the a. hello"]
    fields = {"logprobs": True, "top_logprobs": 5}
    alone = {each: start(1).chat(each, **fields)["choices"] for each in questions}
    found = {}
    threads = [
        threading.Thread(
            target=lambda each=each: found.setdefault(each, server.chat(each, **fields)["choices"])
        )
        for each in questions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_answers_that_run_at_the_end_may_finish(start):
    """Within the time that they are given."""
    server = start(1, grace_s=10)
    server.pause_s = 0.01
    connection = server.open_request(CHAT, body(max_tokens=60), connection="close")
    server.until(lambda: server.busy()[0] == 1)
    server.stop()
    assert b'"finish_reason":"length"' in received(connection)


@pytest.mark.parametrize("stream", [False, True])
def test_after_that_they_end_as_cancelled(start, stream):
    """With what there is so far; requests that wait are told that the server stops."""
    server = start(1, grace_s=0.3)
    server.pause_s = 0.01
    running = server.open_request(CHAT, body(stream), connection="close")
    server.until(lambda: server.busy()[0] == 1)
    waiting = server.open_request(CHAT, body(), connection="close")
    server.until(lambda: server.busy() == (1, 1))
    began = time.monotonic()
    server.stop()
    data = received(running)
    assert b'"finish_reason":"cancelled"' in data
    assert not stream or b"data: [DONE]" in data
    assert received(waiting).startswith(b"HTTP/1.1 503")
    assert time.monotonic() - began < 3
