"""The official client library against this server."""

from __future__ import annotations

import openai
import pytest

QUESTION = [{"role": "user", "content": "the hello world"}]


@pytest.fixture(scope="module")
def client(server):
    """Without retries, so that each error is seen."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_an_answer_with_its_provenance(client, server):
    """Fields of ours survive in `model_extra`."""
    reply = client.chat.completions.create(
        model="toy", messages=QUESTION, extra_body={"blend": {"threshold": 1.0}}
    )
    [choice] = reply.choices
    blend = choice.model_extra["blend"]
    assert "".join(each["text"] for each in blend) == choice.message.content
    assert reply.usage.model_extra["blend"]["asked"] == 12
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"


def test_a_streamed_answer(client):
    """Deltas make up the text; the last chunk with a choice has the reason, the very last the usage."""
    whole = client.chat.completions.create(model="toy", messages=QUESTION)
    chunks = list(
        client.chat.completions.create(
            model="toy", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(chunk.choices[0].model_extra["blend"] for chunk in chunks[1:-2])


def test_probabilities(client):
    """Typed as the library has them, with true bytes and provenance."""
    reply = client.chat.completions.create(
        model="toy", messages=QUESTION, logprobs=True, top_logprobs=2, max_tokens=8
    )
    content = reply.choices[0].logprobs.content
    assert len(content) == 8
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 and token.bytes for token in content)
    assert content[0].model_extra["blend"]["source"] in {"base", "kept", "changed"}


def test_several_answers(client):
    """`n`, streamed and not."""
    fields = {"model": "toy", "messages": QUESTION, "n": 2, "temperature": 1.2, "seed": 4}
    whole = client.chat.completions.create(**fields)
    texts = ["", ""]
    for chunk in client.chat.completions.create(**fields, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


def test_models_and_texts(client):
    """`models.list`, `models.retrieve`, `completions.create`."""
    assert client.models.list().data[0].id == "toy"
    assert client.models.retrieve("toy:base").id == "toy:base"
    reply = client.completions.create(model="toy:base", prompt="the", max_tokens=3, logprobs=2)
    assert len(reply.choices[0].logprobs.tokens) == 3
    parts = client.completions.create(model="toy:base", prompt="the", max_tokens=3, stream=True)
    assert "".join(part.choices[0].text for part in parts) == reply.choices[0].text


def test_errors_have_their_classes(client, start):
    """By status; message, code and param are those of the server."""
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4'"):
        client.chat.completions.create(model="gpt-4", messages=QUESTION)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="toy", messages=QUESTION, logit_bias={"5": 10})
    assert caught.value.param == "logit_bias"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="toy", messages=[{"role": "user", "content": "hello " * 3000}])
    assert caught.value.code == "context_length_exceeded"
    locked = start(key="secret")
    with (
        openai.OpenAI(base_url=f"{locked.url}/v1", api_key="wrong", max_retries=0) as wrong,
        pytest.raises(openai.AuthenticationError),
    ):
        wrong.models.list()
    with openai.OpenAI(base_url=f"{locked.url}/v1", api_key="secret", max_retries=0) as right:
        assert right.models.list().data


def test_a_failure_in_mid_stream_is_raised(client):
    """Also one that comes before the first token: the stream has begun by then."""
    begun = {"role": "assistant", "content": "hello " * 3000}
    stream = client.chat.completions.create(model="toy", messages=[*QUESTION, begun], stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_runs_out_of_patience_frees_its_place(start, stream):
    """A timeout, and a stream that is closed."""
    server = start(1)
    server.pause_s = 0.02
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=0.3) as client:
        if stream:
            answer = client.chat.completions.create(
                model="toy", messages=QUESTION, stream=True, max_tokens=900
            )
            next(iter(answer))
            answer.close()
        else:
            with pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(model="toy", messages=QUESTION, max_tokens=900)
    server.until(lambda: server.busy() == (0, 0), seconds=3)


def test_a_full_server_is_tried_again(start):
    """The library waits as Retry-After says, and succeeds once there is room."""
    server = start(1, max_waiting=0)
    server.pause_s = 0.01
    server.open_request("/v1/chat/completions", {"messages": QUESTION, "max_tokens": 100})
    server.until(lambda: server.busy()[0] == 1)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=3, timeout=20) as client:
        assert client.chat.completions.create(model="toy", messages=QUESTION).choices
