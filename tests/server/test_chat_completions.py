"""`POST /v1/chat/completions`: the forms that clients rely on, field by field."""

from __future__ import annotations

import math
import re

import pytest

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "the hello world"}]


def deltas(chunks, index=0):
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_an_answer_has_what_clients_read(server):
    """Id, object, time, model, one choice with a message, and sums that add up."""
    reply = server.chat()
    [choice] = reply["choices"]
    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    assert isinstance(reply["created"], int)
    assert reply["model"] == "toy"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] is None
    usage = reply["usage"]
    assert usage["completion_tokens"] == usage["blend"]["steps"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12


def test_the_answer_says_where_each_token_comes_from(server):
    """Source, alpha, and what each model considered likeliest; the sums are those of the tokens."""
    reply = server.chat()
    blend = reply["choices"][0]["blend"]
    assert "".join(each["text"] for each in blend) == reply["choices"][0]["message"]["content"]
    assert [each["step"] for each in blend] == list(range(12))
    assert {each["source"] for each in blend} <= {"base", "kept", "changed"}
    asked = [each for each in blend if each["guide"]]
    assert asked
    assert all(0 <= each["alpha"] <= 1 and 0 <= each["guide"]["p"] <= 1 for each in asked)
    assert all(0 <= each["base"]["p"] <= 1 for each in blend)
    assert reply["usage"]["blend"]["asked"] == len(asked)
    assert reply["usage"]["blend"]["changed"] == sum(each["source"] == "changed" for each in blend)


def test_a_streamed_answer_is_the_same(server):
    """Text, provenance, probabilities, reason and usage."""
    fields = {"logprobs": True, "top_logprobs": 3}
    whole = server.chat(**fields)
    chunks = server.chunks(CHAT, {"messages": QUESTION, "stream_options": {"include_usage": True}, **fields})
    [choice] = whole["choices"]
    parts = [each["choices"][0] for each in chunks if each["choices"]]
    assert deltas(chunks) == choice["message"]["content"]
    assert [each for part in parts for each in part.get("blend", ())] == choice["blend"]
    content = [each for part in parts if part["logprobs"] for each in part["logprobs"]["content"]]
    assert content == choice["logprobs"]["content"]
    assert parts[-1]["finish_reason"] == choice["finish_reason"]
    usage = chunks[-1]["usage"]
    assert usage["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert usage["blend"]["asked"] == whole["usage"]["blend"]["asked"]


def test_chunks_have_their_form_to_the_letter(server):
    """The role first and once, a delta always, the reason null but in the last, the usage without choices."""
    chunks = server.chunks(CHAT, {"messages": QUESTION, "stream_options": {"include_usage": True}})
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    *parts, usage = chunks
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    choices = [part["choices"][0] for part in parts]
    assert all(len(part["choices"]) == 1 for part in parts)
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in choice["delta"] for choice in choices[1:])
    assert all(choice["delta"]["content"] for choice in choices[1:-1])
    assert choices[-1]["delta"] == {}
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["length"]


def test_usage_is_sent_only_if_asked_for(server):
    """Without `stream_options` every chunk has a choice."""
    chunks = server.chunks(CHAT, {"messages": QUESTION})
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)


def test_probabilities_are_those_of_the_distribution_drawn_from(server):
    """Greedy: the token is the likeliest, unless it completes a character; alternatives are sorted."""
    reply = server.chat(logprobs=True, top_logprobs=4, max_tokens=40)
    content = reply["choices"][0]["logprobs"]["content"]
    assert len(content) == len(reply["choices"][0]["blend"])
    for token, blend in zip(content, reply["choices"][0]["blend"], strict=True):
        tops = [top["logprob"] for top in token["top_logprobs"]]
        assert len(tops) == 4
        assert tops == sorted(tops, reverse=True)
        assert sum(map(math.exp, tops)) <= 1.0001
        assert token["logprob"] == tops[0]
        if blend["source"] == "base":
            assert math.exp(token["logprob"]) == pytest.approx(blend["base"]["p"], rel=1e-5)
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"] == blend["text"]


def test_half_characters_have_their_true_bytes(server):
    """An alternative that is only part of a character shows U+FFFD and the bytes of the token itself."""
    reply = server.chat(logprobs=True, top_logprobs=20, max_tokens=60)
    content = reply["choices"][0]["logprobs"]["content"]
    tops = [top for each in content for top in (each, *each["top_logprobs"])]
    assert any("�" in each["token"] for each in content)
    halves = [top for top in tops if "�" in top["token"]]
    assert halves
    for top in halves:
        assert bytes(top["bytes"]).decode("utf-8", "replace") == top["token"]
        assert any(byte >= 0x80 for byte in top["bytes"])
        assert bytes(top["bytes"]) != "�".encode()


def test_no_alternatives_are_sent_if_none_are_asked_for(server):
    """`logprobs` alone gives the chosen token's."""
    content = server.chat(logprobs=True)["choices"][0]["logprobs"]["content"]
    assert all(each["top_logprobs"] == [] and each["logprob"] <= 0 for each in content)


def test_several_answers(server):
    """`n` gives answers with their numbers and seeds of their own; streamed ones are the same."""
    fields = {"n": 3, "temperature": 1.5, "seed": 5, "blend": {"threshold": 1.0}}
    reply = server.chat(**fields)
    texts = [choice["message"]["content"] for choice in reply["choices"]]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    chunks = server.chunks(CHAT, {"messages": QUESTION, **fields})
    assert [deltas(chunks, i) for i in range(3)] == texts
    alone = server.chat(**{**fields, "n": 1, "seed": 6})
    assert alone["choices"][0]["message"]["content"] == texts[1]
    assert reply["usage"]["completion_tokens"] == 36


def test_a_seed_repeats_an_answer_and_another_does_not(server):
    """Sampling is repeatable."""
    fields = {"temperature": 1.5, "blend": {"threshold": 1.0}}
    one, two, other = (
        server.chat(**fields, seed=seed)["choices"][0]["message"]["content"] for seed in (1, 1, 2)
    )
    assert one == two != other


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_an_answer_and_is_not_sent(server, stream):
    """Not a part of it either, streamed or not; text or list."""
    text = server.chat()["choices"][0]["message"]["content"]
    stop = text[4:7]
    body = {"messages": QUESTION, "stop": [stop, "never"]}
    if stream:
        chunks = server.chunks(CHAT, body)
        assert deltas(chunks) == text[: text.index(stop)]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        [choice] = server.chat(stop=stop)["choices"]
        assert choice["message"]["content"] == text[: text.index(stop)]
        assert choice["finish_reason"] == "stop"


def test_a_last_message_of_the_assistant_is_continued(server):
    """Only what is new is sent, and it is what the whole answer had there."""
    whole = server.chat()["choices"][0]["message"]["content"]
    begun = "".join(each["text"] for each in server.chat(max_tokens=5)["choices"][0]["blend"])
    messages = [*QUESTION, {"role": "assistant", "content": begun}]
    reply = server.chat(messages=messages)
    rest = reply["choices"][0]["message"]["content"]
    assert (begun + rest).startswith(whole)
    assert reply["choices"][0]["blend"][0]["step"] > 0
    chunks = server.chunks(CHAT, {"messages": messages})
    assert deltas(chunks) == rest


def test_content_may_come_in_parts_of_text(server):
    """As the newer clients send it."""
    parts = [{"type": "text", "text": "the hello"}, {"type": "text", "text": " world"}]
    whole = server.chat("the hello world")
    reply = server.chat(messages=[{"role": "user", "content": parts}])
    assert reply["choices"][0]["message"]["content"] == whole["choices"][0]["message"]["content"]


def test_max_completion_tokens_is_max_tokens(server):
    """The newer name wins; null is as if it were not there."""
    assert server.chat(max_completion_tokens=3, max_tokens=9)["usage"]["completion_tokens"] == 3
    assert server.chat(max_completion_tokens=None, max_tokens=4)["usage"]["completion_tokens"] == 4


def test_the_member_blend_sets_what_the_command_line_can(server):
    """Method, threshold and more, for one request."""
    assert server.chat(blend={"threshold": 0})["usage"]["blend"]["asked"] == 0
    assert server.chat(blend={"threshold": 1.0})["usage"]["blend"]["asked"] == 12
    base = server.chat(model="toy:base")["choices"][0]
    assert {each["source"] for each in base["blend"]} == {"base"}
    assert server.chat(blend={"method": "base"})["choices"][0]["message"] == base["message"]


@pytest.mark.parametrize(("name", "hint"), [("treshold", "did you mean blend.threshold?"), ("zzz", "docs")])
def test_a_misspelt_member_of_blend_is_refused(server, name, hint):
    """It is ours alone: what is not known there would otherwise change nothing without a word."""
    reply = server.post(CHAT, {"messages": QUESTION, "blend": {name: 0.3}})

    error = reply.error
    assert reply.status == 400
    assert f"blend.{name}" in error["message"]
    assert hint in error["message"]
    assert error["param"] == f"blend.{name}"


def test_unknown_fields_are_ignored(server):
    """Clients send fields of their own."""
    plain = server.chat()["choices"][0]["message"]
    odd = server.chat(user="me", store=True, metadata={"a": 1}, foo=[1], tools=[], logit_bias={}, n=None)
    assert odd["choices"][0]["message"] == plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("functions", [{"name": "f"}]),
        ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]),
        ("logit_bias", {"5": 10}),
        ("guided_json", {"type": "object"}),
        ("structured_outputs", {"choice": ["a", "b"]}),
        ("suffix", "x"),
        ("best_of", 2),
    ],
)
def test_a_known_field_that_is_not_done_is_an_error_that_names_it(server, field, value):
    """Another answer than the one asked for would be worse."""
    for path, body in ((CHAT, {"messages": QUESTION}), ("/v1/completions", {"prompt": "the"})):
        reply = server.post(path, {**body, field: value})
        assert reply.status == 400
        assert reply.error["param"] == field
        assert field in reply.error["message"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "image_url"),
        ({"messages": [{"role": "system", "content": "x"}]}, "last message"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, ""),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temp"),
        ({"temperature": float("nan")}, "temp"),
        ({"top_p": 2}, "top"),
        ({"max_tokens": 0}, "max"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"n": 0}, "n is 0"),
        ({"n": 1000}, "n is 1000"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stop": 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"blend": 7}, "blend"),
        ({"blend": {"method": "magic"}}, "magic"),
        ({"blend": {"method": "proxy"}}, "proxy"),
        ({"blend": {"threshold": "high"}}, "threshold"),
        ({"stream_options": 1}, "stream_options"),
    ],
)
def test_a_wrong_value_is_named(server, fields, word):
    """With status 400, before any model runs."""
    reply = server.post(CHAT, {"messages": QUESTION, **fields})
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert word in reply.error["message"]


def test_a_prompt_that_is_too_long_is_the_clients_error(server):
    """With the code that clients look for; nothing is streamed before."""
    for stream in (False, True):
        reply = server.post(
            CHAT, {"messages": [{"role": "user", "content": "hello " * 3000}], "stream": stream}
        )
        assert reply.status == 400
        assert reply.error["code"] == "context_length_exceeded"


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/answers"])
def test_a_prompt_that_is_too_long_is_refused_while_others_are_answered(start, path):
    """Before it waits for a place: the models have nothing to do with it."""
    server = start(1)
    server.pause_s = 0.2
    body = {"messages": [{"role": "user", "content": "hello"}]}
    connection = server.open_request(CHAT, body)
    server.until(lambda: server.busy() == (1, 0))
    long = "hello " * 3000
    reply = server.post(path, {"prompt": long, "messages": [{"role": "user", "content": long}]})

    assert reply.status == 400
    assert reply.error["code"] == "context_length_exceeded"
    assert server.busy() == (1, 0)
    connection.close()


def test_a_prompt_that_just_fits_is_answered(start):
    """A prompt is refused from the length on that leaves no room in the context, and not before."""
    server = start(1, n_ctx=256)
    for method in ("base", "guide"):
        n_words = 260
        while refused_length(server, method, n_words) is not None:
            n_words -= 1
        assert 256 <= refused_length(server, method, n_words + 1) <= 258


def refused_length(server, method, n_words):
    """How many tokens a prompt has that is too long; None for one that is answered."""
    body = {"model": f"toy:{method}", "prompt": "a " * n_words, "max_tokens": 1}
    reply = server.post("/v1/completions", body)
    if reply.status == 200:
        return None
    found = re.search(r"prompt has (\d+) tokens", reply.error["message"])
    return int(found[1])


def test_models(server):
    """The pair, and the pair with each method that its models allow; others are 404."""
    models = server.get("/v1/models").json
    assert models["object"] == "list"
    names = [each["id"] for each in models["data"]]
    assert names[0] == "toy"
    assert {"toy:base", "toy:guide", "toy:nudging", "toy:blendin"} <= set(names)
    assert "toy:proxy" not in names
    assert all(each["object"] == "model" and each["owned_by"] for each in models["data"])
    assert models["data"][0]["blend"]["models"] == {"base": "toy-base", "guide": "toy-guide"}
    assert server.get("/v1/models/toy:base").json["id"] == "toy:base"
    assert server.get("/v1/models/gpt-4").error["code"] == "model_not_found"
    for name in ("gpt-4", "toy:", "toy:magic", 7, ""):
        reply = server.post(CHAT, {"model": name, "messages": QUESTION})
        assert reply.status == 404
        assert reply.error["code"] == "model_not_found"
        assert "toy" in reply.error["message"]


def test_each_model_answers_by_its_method(server):
    """The id of a reply is the one that was asked for."""
    reply = server.chat(model="toy:guide")
    assert reply["model"] == "toy:guide"
    assert {each["source"] for each in reply["choices"][0]["blend"]} == {"guide"}


def test_the_systems_text_of_the_server_is_for_requests_without_one(start):
    """A request's own takes its place."""
    with_default = start(system="the the the")
    given = [{"role": "system", "content": "the the the"}, *QUESTION]
    other = [{"role": "system", "content": "hello"}, *QUESTION]
    plain = with_default.chat()["choices"][0]["message"]
    assert plain == with_default.chat(messages=given)["choices"][0]["message"]
    assert plain != with_default.chat(messages=other)["choices"][0]["message"]


def test_nothing_of_a_prompt_is_in_the_metrics(server):
    """They hold numbers."""
    server.chat("hell or the world")
    text = server.get("/metrics").data.decode()
    assert "hell" not in text
    assert 'blendin_steps_total{source="base"}' in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rsplit(" ", 1)[1]) >= 0
    assert server.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
