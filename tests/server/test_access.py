"""Nobody gets in who does not belong, and no request is too large, too slow or too odd."""

from __future__ import annotations

import json
import socket
import time

import pytest

from blendin_local.server.access import AccessPolicy, is_loopback
from tests.http_server import JSON, received

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
ORIGIN = "http://localhost:3000"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "127.0.0.1", "127.8.9.10:99", "[::1]:8080", "a.localhost"]
)
def test_names_of_this_machine_are_let_in(server, host):
    """With any port."""
    assert server.get("/health", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0", "", "[", "é"],
)
def test_other_names_are_refused(server, host):
    """A page whose name was made to point here sends that name; every path is closed to it, the page too."""
    for path in ("/health", "/", "/v1/models", "/metrics", "/nothing"):
        connection = server.raw(
            f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode("latin-1")
        )
        assert received(connection).startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    if host.isascii() and len(host) > 1:
        error = server.get("/health", host=host).error
        assert error["code"] == "host_not_allowed"
        assert f"--allowed-host {host}" in error["message"]


def test_a_request_without_a_name_is_refused(server):
    """HTTP/1.0 needs none, and gets nothing."""
    assert received(server.raw(b"GET /v1/models HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 403")


def test_a_name_can_be_allowed(start):
    """As the error says."""
    server = start(allowed_hosts=("host.docker.internal",))
    assert server.get("/health", host="host.docker.internal:8080").status == 200
    assert server.get("/health", host="other.internal").status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "file://", "http://localhost:1", "https://127.0.0.1"]
)
def test_pages_of_other_origins_are_refused(server, origin):
    """Whatever they ask for; the error names the option, and no header lets the page read it."""
    for reply in (server.get("/v1/models", origin=origin), server.post(CHAT, BODY, origin=origin)):
        assert reply.status == 403
        assert reply.error["code"] == "origin_not_allowed"
        assert f"--allowed-origin {origin}" in reply.error["message"]
        assert "access-control-allow-origin" not in reply.headers
    preflight = server.request(
        "OPTIONS", CHAT, headers={"origin": origin, "access-control-request-method": "POST"}
    )
    assert preflight.status == 403


def test_our_own_page_is_let_in(server):
    """Its origin is the name it was called by."""
    assert server.get("/v1/models", origin=server.url).status == 200


def test_an_origin_can_be_allowed(start):
    """Its pages may ask first, read answers and errors, and send no cookies."""
    server = start(allowed_origins=(ORIGIN,), key="secret")
    preflight = server.request(
        "OPTIONS", CHAT, headers={"origin": ORIGIN, "access-control-request-method": "POST"}
    )
    assert preflight.status == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    answer = server.post(CHAT, BODY, origin=ORIGIN, authorization="Bearer secret")
    refused = server.post(CHAT, BODY, origin=ORIGIN)
    assert (answer.status, refused.status) == (200, 401)
    for reply in (preflight, answer, refused):
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert reply.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in reply.headers


def test_a_key_is_needed_where_there_is_one(start):
    """For all that tells of conversations or makes answers; not for health and the page."""
    server = start(key="secret")
    for path in ("/v1/models", "/metrics", "/tokenizer_info"):
        assert server.get(path).status == 401
        assert server.get(path, authorization="Bearer wrong").error["code"] == "invalid_api_key"
        assert server.get(path, authorization="Basic secret").status == 401
        assert server.get(path, authorization="bearer secret").status == 200
        assert server.get(path, **{"x-api-key": "secret"}).status == 200
    assert server.post(CHAT, BODY).error["type"] == "authentication_error"
    assert server.post(CHAT, BODY, authorization="Bearer sécret").status == 401
    assert server.get("/health").status == 200


def test_a_key_is_in_no_message_and_no_representation(start):
    """Nor is the one that was sent."""
    server = start(key="secret-of-mine")
    assert "secret" not in server.get("/v1/models", authorization="Bearer secret-guess").data.decode()
    assert "secret" not in repr(AccessPolicy(key="secret-of-mine"))


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(server, kind):
    """Other types could be sent by any page without asking first."""
    reply = server.post(CHAT, BODY, **{"content-type": kind})
    assert reply.status == 415
    assert reply.error["code"] == "not_json"


def test_json_may_name_its_characters(server):
    """As some clients do."""
    assert server.post(CHAT, BODY, **{"content-type": "application/json; charset=utf-8"}).status == 200


def test_a_large_body_is_refused_before_it_is_read(server):
    """By the length that it promises."""
    assert _first(server.raw(head("content-length: 104857600"))).startswith(b"HTTP/1.1 413")


def test_a_large_body_without_a_length_is_refused_where_it_grows_too_large(start):
    """In chunks, whatever they are; the server goes on."""
    server = start(max_body_bytes=100_000)
    connection = server.raw(head("transfer-encoding: chunked"))
    chunk = b"2710\r\n" + b" " * 10_000 + b"\r\n"
    try:
        for _ in range(30):
            connection.sendall(chunk)
    except ConnectionError:
        pass
    assert b" 413 " in _first(connection)
    assert server.post(CHAT, BODY).status == 200
    assert server.post(CHAT, b" " * 100_001).status == 413


def head(line):
    """The beginning of a request, with one more header line."""
    lines = [f"POST {CHAT} HTTP/1.1", "host: localhost", "content-type: application/json", line, "", ""]
    return "\r\n".join(lines).encode()


def _first(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b"reset"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"messages": "\xc3"}',
        b"{'a': 1}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"\x00" * 100,
        b'{"messages": 1e999999}',
        b"1" * 5000,
    ],
    ids=range(15),
)
def test_what_is_no_request_is_an_error_in_openais_form(server, data):
    """Invalid UTF-8, invalid JSON, JSON that is no object, and JSON nested without end."""
    for path in (CHAT, "/v1/completions", "/tokenize", "/detokenize", "/v1/replay"):
        reply = server.post(path, data)
        assert reply.status == 400
        assert reply.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "field", ["model", "messages", "prompt", "stop", "blend", "tokens", "id", "user", "response_format"]
)
def test_half_characters_are_never_an_accident(server, field):
    """A lone surrogate in any field is an error of the request or is ignored."""
    body = json.dumps({**BODY, "prompt": "the", "max_tokens": 1, field: "\ud800"}).encode()
    for path in (CHAT, "/v1/completions", "/tokenize", "/detokenize", "/v1/replay"):
        reply = server.post(path, body)
        assert reply.status in {200, 400, 404}
        assert reply.status == 200 or reply.error


def test_a_half_sent_body_holds_up_nobody(start):
    """Others are answered meanwhile; in the end it is refused, and it never takes a place."""
    server = start(body_timeout_s=0.5)
    connections = [server.raw(head("content-length: 100") + b"{") for _ in range(20)]
    assert server.post(CHAT, BODY).status == 200
    assert b" 408 " in _first(connections[0])
    assert server.busy() == (0, 0)


def test_a_half_sent_head_holds_up_nobody(server):
    """A connection that says nothing more, and one that sends what is not HTTP."""
    silent = [server.raw(b"POST /v1/chat") for _ in range(10)]
    assert _first(server.raw(b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert server.post(CHAT, BODY).status == 200
    for connection in silent:
        connection.close()


def test_pipelined_requests_are_answered_in_turn(server):
    """Three at once on one connection."""
    body = json.dumps(BODY).encode()
    head = "\r\n".join(
        ["host: localhost", *(f"{k}: {v}" for k, v in JSON.items()), f"content-length: {len(body)}"]
    )
    one = f"POST {CHAT} HTTP/1.1\r\n{head}\r\n\r\n".encode() + body
    last = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    data = received(server.raw(one + one + last))
    assert data.count(b"HTTP/1.1 200") == 3
    assert data.count(b"chat.completion") == 2
    assert data.index(b'"status"') > data.rindex(b"chat.completion")


def test_what_there_is_not_is_an_error_in_openais_form(server):
    """Unknown paths, and known ones with another method."""
    assert server.get("/v1/nothing").status == 404
    assert server.get("/v1/nothing").error["message"].startswith("GET /v1/nothing")
    assert server.get(CHAT).status == 405
    assert server.get(CHAT).error["type"] == "invalid_request_error"
    assert server.post("/health", {}).status == 405
    assert server.get("/%00%ff/../../etc/passwd").status == 404


def test_answers_are_not_kept_by_others(server):
    """No cache keeps a conversation, and no header names the software."""
    reply = server.post(CHAT, BODY)
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers


def test_prompts_are_given_only_to_the_log(server):
    """The last message of a chat is what a log would get."""
    server.prompts.clear()
    server.post(CHAT, BODY)
    assert server.prompts == ["hello"]


@pytest.mark.parametrize(
    ("name", "local"), [("127.0.0.1", True), ("::1", True), ("LOCALHOST", True), ("", False)]
)
def test_what_means_this_machine(name, local):
    """Names and addresses; nothing is looked up."""
    assert is_loopback(name) is local
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.evil.example")


def test_a_wrong_key_takes_as_long_as_another(start):
    """The comparison is of constant time: it is hmac's, also where the lengths differ."""
    server = start(key="k" * 64)
    began = time.perf_counter()
    for guess in ("k", "k" * 63 + "x", "x" * 64):
        assert server.get("/v1/models", authorization=f"Bearer {guess}").status == 401
    assert time.perf_counter() - began < 5
