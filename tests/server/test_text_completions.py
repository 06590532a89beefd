"""`POST /v1/completions`, as older clients and lm-evaluation-harness use it; tokens and texts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

TEXT = "/v1/completions"
PROMPT = "the hello world. hello"


def read_as_harness_does(response, contexts):
    """Log-likelihoods and whether they are greedy, read as `local-completions` of lm-evaluation-harness does.

    Choices are sorted by index; of each, the tokens after the context and before the generated one count. A
    continuation is greedy where each of its tokens has the largest logarithm of its place.
    """
    found = []
    choices = sorted(response["choices"], key=lambda choice: choice["index"])
    for choice, n_context in zip(choices, contexts, strict=True):
        logprobs = choice["logprobs"]
        token_logprobs = logprobs["token_logprobs"][n_context:-1]
        tops = logprobs["top_logprobs"][n_context:-1]
        greedy = all(one == max(top.values()) for one, top in zip(token_logprobs, tops, strict=True))
        found.append((sum(token_logprobs), greedy))
    return found


def harness_body(prompts, model):
    return {
        "model": model,
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }


def test_an_answer_has_what_clients_read(server):
    """Object, index, text, reason; 16 tokens where the client says nothing."""
    reply = server.text()
    [choice] = reply["choices"]
    assert reply["object"] == "text_completion"
    assert reply["id"].startswith("cmpl-")
    assert choice["index"] == 0
    assert choice["text"]
    assert choice["logprobs"] is None
    assert choice["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == len(choice["blend"]) == 16
    assert server.text(max_tokens=3)["usage"]["completion_tokens"] == 3


def test_a_streamed_text_is_the_same(server):
    """The reason is null in all chunks but the last."""
    fields = {"logprobs": 2, "max_tokens": 9}
    [whole] = server.text(PROMPT, **fields)["choices"]
    chunks = server.chunks(TEXT, {"prompt": PROMPT, "stream_options": {"include_usage": True}, **fields})
    *parts, usage = chunks
    choices = [part["choices"][0] for part in parts]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        assert [each for choice in choices for each in choice["logprobs"][key]] == whole["logprobs"][key]
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["length"]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 9


def test_the_older_form_of_probabilities(server):
    """Tokens, their logarithms, a dict of alternatives, and offsets in characters, side by side."""
    [choice] = server.text(PROMPT, logprobs=3, max_tokens=20)["choices"]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert len({len(each) for each in logprobs.values()}) == 1
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert choice["text"][offset:].startswith(token)
    assert all(0 < len(top) <= 3 for top in logprobs["top_logprobs"])


def test_lists_of_prompts_and_several_answers(server):
    """Every prompt has `n` choices, prompts in order; each is the one it would be alone."""
    reply = server.text(["the hello", "a world"], n=2, temperature=1.0, seed=3, blend={"threshold": 1.0})
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    texts = [choice["text"] for choice in reply["choices"]]
    alone = server.text("a world", n=2, temperature=1.0, seed=3, blend={"threshold": 1.0})
    assert [choice["text"] for choice in alone["choices"]] == texts[2:]


def test_a_prompt_may_be_tokens(server):
    """Of the one model that answers; for two models they would mean two texts."""
    tokens = server.post("/tokenize", {"prompt": PROMPT, "model": "toy:base"}).json["tokens"]
    text = server.text(PROMPT, model="toy:base")["choices"][0]["text"]
    assert server.text(tokens, model="toy:base")["choices"][0]["text"] == text
    assert [each["text"] for each in server.text([tokens, tokens], model="toy:base")["choices"]] == [text] * 2
    reply = server.post(TEXT, {"prompt": tokens})
    assert reply.status == 400
    assert "toy:base" in reply.error["message"] or "NAME:base" in reply.error["message"]


@pytest.mark.parametrize("role", ["base", "guide"])
def test_the_harness_reads_likelihoods(server, role):
    """Those of the tokens alone, whatever the batch; the greedy flag is that of the likeliest tokens."""
    pair = server.service.pair
    prompts = [
        server.post("/tokenize", {"prompt": text, "model": f"toy:{role}"}).json["tokens"]
        for text in (PROMPT, "a hell or d")
    ]
    response = server.post(TEXT, harness_body(prompts, f"toy:{role}")).json
    found = read_as_harness_does(response, [3, 2])
    for prompt, n_context, (total, greedy) in zip(prompts, [3, 2], found, strict=True):
        [alone] = read_as_harness_does(
            server.post(TEXT, harness_body([prompt], f"toy:{role}")).json, [n_context]
        )
        assert alone == (total, greedy)
    longest = prompts[0]
    vocabulary = pair.vocabulary(role)
    for cut in (3, 6):
        [(total, greedy)] = read_as_harness_does(
            server.post(TEXT, harness_body([longest], f"toy:{role}")).json, [cut]
        )
        logprobs = server.post(TEXT, harness_body([longest], f"toy:{role}")).json["choices"][0]["logprobs"]
        assert total == pytest.approx(sum(logprobs["token_logprobs"][cut:-1]))
        assert not greedy
    assert len(vocabulary.pieces) == vocabulary.n_tokens


@pytest.mark.parametrize("others", ["scores", "answers"])
def test_likelihoods_of_long_texts_do_not_mix(start, others):
    """Texts of several evaluations keep their values, scored at once or while answers are made."""
    server = start(4)
    texts = [f"{word} hello world or the " * 40 for word in ("a", "the", "hell", "d")]
    tokens = [server.post("/tokenize", {"prompt": text}).json["tokens"] for text in texts]
    assert min(map(len, tokens)) > 200
    bodies = [harness_body([each], "toy:base") for each in tokens]
    alone = [server.post(TEXT, body).json["choices"][0]["logprobs"]["token_logprobs"] for body in bodies]
    if others == "answers":
        bodies[1:] = [{"prompt": text, "max_tokens": 100} for text in texts[1:]]
    with ThreadPoolExecutor(4) as executor:
        replies = list(executor.map(lambda body: server.post(TEXT, body), bodies))
    assert [reply.status for reply in replies] == [200] * 4
    for expected, body, reply in zip(alone, bodies, replies, strict=True):
        if "echo" in body:
            found = reply.json["choices"][0]["logprobs"]["token_logprobs"]
            assert found[1:] == pytest.approx(expected[1:], abs=1e-3)


def test_a_greedy_continuation_is_recognized(server):
    """The model's own next token after the prompt is greedy, and its value is that of the generated place."""
    tokens = server.post("/tokenize", {"prompt": PROMPT, "model": "toy:base"}).json["tokens"]
    echoed = server.post(TEXT, harness_body([tokens], "toy:base")).json["choices"][0]
    best = max(echoed["logprobs"]["top_logprobs"][-1].items(), key=lambda item: item[1])
    vocabulary = server.service.pair.vocabulary("base")
    scores = {
        token: server.post(TEXT, harness_body([[*tokens, token]], "toy:base")).json
        for token in range(3, vocabulary.n_tokens)
        if vocabulary.pieces[token].decode("utf-8", "replace") == best[0]
    }
    greedy = [read_as_harness_does(each, [len(tokens)])[0] for each in scores.values()]
    assert any(flag and total == pytest.approx(best[1], abs=1e-5) for total, flag in greedy)


def test_echo_sends_the_prompt_back(server):
    """Its tokens first, the first without a value; then the new one, if any is asked for."""
    for n_new in (0, 1):
        body = {"prompt": PROMPT, "model": "toy:base", "echo": True, "logprobs": 2, "max_tokens": n_new}
        [choice] = server.post(TEXT, body).json["choices"]
        logprobs = choice["logprobs"]
        tokens = server.post("/tokenize", {"prompt": PROMPT, "model": "toy:base"}).json["tokens"]
        assert len(logprobs["tokens"]) == len(tokens) + n_new
        assert logprobs["token_logprobs"][0] is None
        assert logprobs["top_logprobs"][0] is None
        assert all(value < 0 for value in logprobs["token_logprobs"][1:])
        assert PROMPT in choice["text"]
        for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
            assert choice["text"][offset:].startswith(token)
    silent = server.post(TEXT, {"prompt": PROMPT, "model": "toy:guide", "echo": True, "max_tokens": 1}).json
    assert silent["choices"][0]["logprobs"] is None
    assert silent["usage"]["completion_tokens"] == 1


def test_echo_is_refused_by_name_where_two_models_speak(server):
    """What a blend gives a token of a given text is not defined; the error says what to ask instead."""
    reply = server.post(TEXT, harness_body([PROMPT], "toy"))
    assert reply.status == 400
    assert reply.error["param"] == "echo"
    assert "toy:base" in reply.error["message"]
    for more in ({"stream": True}, {"n": 2}, {"max_tokens": 5}):
        reply = server.post(TEXT, harness_body([PROMPT], "toy:base") | more)
        assert reply.status == 400
        assert reply.error["param"] == "echo"


@pytest.mark.parametrize(
    "prompt",
    [None, [], 7, {}, [""] * 300, [1, "a"], [[1, 2], 3], [True], [-1], [10**9], [1.5], [[]], ["\ud800"]],
)
def test_what_is_no_prompt_is_refused(server, prompt):
    """Text, texts, tokens or lists of tokens; each token one of the model's."""
    for more in ({}, {"echo": True, "max_tokens": 1}):
        reply = server.post(TEXT, {"prompt": prompt, "model": "toy:base", **more})
        assert reply.status == 400, reply.data
        assert reply.error["message"]


@pytest.mark.parametrize("role", ["base", "guide"])
def test_tokens_without_bos_are_scored_as_with_it(server, role):
    """A harness leaves BOS out: the model reads it all the same; what was sent comes back."""
    model = f"toy:{role}"
    body = {"prompt": PROMPT, "model": model, "add_special_tokens": False}
    tokens = server.post("/tokenize", body).json["tokens"]
    bare = server.post(TEXT, harness_body([tokens], model)).json["choices"][0]["logprobs"]
    full = server.post(TEXT, harness_body([[1, *tokens]], model)).json["choices"][0]["logprobs"]
    assert tokens[0] != 1
    assert len(bare["tokens"]) == len(tokens) + 1
    assert bare["token_logprobs"] == full["token_logprobs"][1:]
    assert bare["top_logprobs"] == full["top_logprobs"][1:]
    assert full["token_logprobs"][0] is None


@pytest.mark.parametrize("role", ["base", "guide"])
def test_below_a_role_every_route_is_that_of_its_model(server, role):
    """For clients that name no model where they ask for tokens; a model that is named counts."""
    named = {"prompt": PROMPT, "model": f"toy:{role}", "max_tokens": 3}
    unnamed = {key: value for key, value in named.items() if key != "model"}
    [wanted] = server.post(TEXT, named).json["choices"]
    assert server.post(f"/{role}{TEXT}", unnamed).json["model"] == f"toy:{role}"
    assert server.post(f"/{role}{TEXT}", unnamed).json["choices"] == [wanted]
    assert server.post(f"/base{TEXT}", named).json["model"] == f"toy:{role}"
    assert server.post(f"/{role}/tokenize", {"prompt": PROMPT}).status == 200
    assert server.get(f"/{role}/tokenizer_info").status == 200
    assert server.post(f"/blend{TEXT}", unnamed).status == 404


def test_tokens_of_a_text_and_back(server):
    """As vLLM's routes; the guide's if it is named."""
    reply = server.post("/tokenize", {"prompt": PROMPT}).json
    assert reply["count"] == len(reply["tokens"])
    assert reply["max_model_len"] == 1024
    plain = server.post("/tokenize", {"prompt": PROMPT, "add_special_tokens": False}).json["tokens"]
    assert plain == [token for token in reply["tokens"] if token != 1]
    assert server.post("/detokenize", {"tokens": plain}).json == {"prompt": PROMPT}
    assert server.post("/v1/detokenize", {"tokens": plain, "model": "toy:guide"}).json == {"prompt": PROMPT}
    for tokens in ([10**9], [-1], ["a"], "a", None, [True]):
        assert server.post("/detokenize", {"tokens": tokens}).status == 400
    assert server.post("/tokenize", {"prompt": 5}).status == 400
    assert server.post("/tokenize", {"prompt": "a", "model": "other"}).status == 404


def test_control_tokens_in_a_text_are_text(server):
    """What a user writes is never a control token."""
    tokens = server.post("/tokenize", {"prompt": "</s>", "add_special_tokens": False}).json["tokens"]
    assert 2 not in tokens
    assert server.post("/detokenize", {"tokens": tokens}).json == {"prompt": "</s>"}


def test_what_a_client_must_know_of_the_tokenizer(server):
    """The names of its control tokens, as the harness asks for them."""
    info = server.get("/tokenizer_info").json
    assert (info["bos_token"], info["eos_token"], info["pad_token"]) == ("<s>", "</s>", None)
    assert server.get("/v1/tokenizer_info?model=toy:guide").json["vocab_size"] == info["vocab_size"]
    assert server.get("/tokenizer_info?model=other").status == 404
