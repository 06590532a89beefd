"""Answers of a prescribed form over HTTP: `response_format`, and the settings of a form."""

from __future__ import annotations

import json
import re
import threading
from typing import Literal

import jsonschema
import openai
import pydantic
import pytest

from blendin_local.pair import constraints

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
QUESTION = [{"role": "user", "content": "the hello world"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["hello", "world"]}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
LONG = {"max_tokens": 60}
SAMPLED = {"temperature": 1.5, "seed": 4, "blend": {"threshold": 0.8}}


def content(choice):
    return choice["message"]["content"]


def is_person(text):
    jsonschema.validate(json.loads(text), PERSON)
    return True


@pytest.mark.parametrize("model", ["toy", "toy:base", "toy:guide", "toy:nudging"])
@pytest.mark.parametrize("sampling", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_an_answer_has_the_form_of_its_schema(server, model, sampling):
    """Whatever the method; the reply says so, and which part of it no model was asked for."""
    reply = server.chat(response_format=AS_SCHEMA, model=model, **LONG, **sampling)
    [choice] = reply["choices"]
    sources = [each["source"] for each in choice["blend"]]

    assert is_person(content(choice))
    assert (choice["finish_reason"], choice["complete"]) == ("stop", True)
    assert choice["blend"][0]["text"] == '{"name": "'
    assert sources[0] == "forced"
    blend = reply["usage"]["blend"]
    assert blend["forced"] == sources.count("forced")
    assert blend["steps"] == len(sources) - blend["forced"]
    assert reply["usage"]["completion_tokens"] == len(sources)
    role = "guide" if model == "toy:guide" else "base"
    assert 0 < blend[f"legal_{role}"] < 1
    asked = [each for each in choice["blend"] if each["source"] != "forced"]
    assert all(0 < each[f"legal_{role}"] <= 1 for each in asked)


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({"response_format": {"type": "json_object", "schema": PERSON}}, is_person),
        ({"response_format": {"type": "json_schema", "schema": PERSON}}, is_person),
        ({"json_schema": PERSON}, is_person),
        ({"blend": {"json_schema": json.dumps(PERSON)}}, is_person),
        ({"blend": {"regex": "(the|world){2}"}}, lambda text: re.fullmatch("(the|world){2}", text)),
        ({"regex": "h(e|o)"}, lambda text: text in {"he", "ho"}),
        ({"grammar": 'root ::= "hell" ("o" | "e")'}, lambda text: text in {"hello", "helle"}),
        ({"blend": {"grammar": 'start: "w" | "d"'}}, lambda text: text in {"w", "d"}),
        ({"response_format": {"type": "text"}, "regex": "(d|l)"}, lambda text: text in {"d", "l"}),
    ],
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
def test_every_way_to_ask_for_a_form(server, fields, right):
    """OpenAI's, llama-server's, and the settings of this program."""
    [choice] = server.chat(**LONG, **fields)["choices"]
    assert right(content(choice))
    assert choice["complete"] is True


def test_a_json_object_is_any_object(server):
    """Cut by its length it says that it is not whole, and is not repaired."""
    [choice] = server.chat(response_format={"type": "json_object"}, temperature=1.5, seed=1)["choices"]
    assert content(choice).startswith("{")
    if choice["finish_reason"] == "length":
        assert choice["complete"] is False
    else:
        assert isinstance(json.loads(content(choice)), dict)


def test_an_answer_that_is_cut_says_so(server):
    """`finish_reason` is `length`, `complete` is false, and what there is is the beginning of an object."""
    whole = content(server.chat(response_format=AS_SCHEMA, **LONG)["choices"][0])
    [cut] = server.chat(response_format=AS_SCHEMA, max_tokens=2)["choices"]
    assert (cut["finish_reason"], cut["complete"]) == ("length", False)
    assert whole.startswith(content(cut))
    assert whole != content(cut)


@pytest.mark.parametrize("absent", [{}, {"response_format": {"type": "text"}}, {"grammar": ""}], ids=str)
def test_without_a_form_nothing_is_said_of_one(server, absent):
    """Type text and an empty grammar, which some clients always send, ask for nothing."""
    plain, reply = server.chat(), server.chat(**absent)
    assert content(reply["choices"][0]) == content(plain["choices"][0])
    assert "complete" not in reply["choices"][0]
    assert not {"forced", "legal_base"} & set(reply["usage"]["blend"])
    assert not any("legal_base" in each for each in reply["choices"][0]["blend"])


def test_the_form_of_the_server_holds_unless_another_is_asked_for(start):
    """A request replaces it, and has none with type text."""
    server = start(answer={"regex": "(he|or)"})
    assert content(server.chat()["choices"][0]) in {"he", "or"}
    assert is_person(content(server.chat(response_format=AS_SCHEMA, **LONG)["choices"][0]))
    assert "complete" not in server.chat(response_format={"type": "text"})["choices"][0]


def test_a_stream_has_the_same_parts(server):
    """Forced text comes as one delta; the last chunk says whether the answer is complete."""
    body = {"messages": QUESTION, "response_format": AS_SCHEMA, **LONG}
    whole = server.post(CHAT, body).json
    chunks = server.chunks(CHAT, {**body, "stream_options": {"include_usage": True}})
    choices = [choice for chunk in chunks for choice in chunk["choices"]]

    assert "".join(each["delta"].get("content", "") for each in choices) == content(whole["choices"][0])
    parts = [part for each in choices for part in each.get("blend", [])]
    assert [each["source"] for each in parts] == [each["source"] for each in whole["choices"][0]["blend"]]
    assert (choices[-1]["finish_reason"], choices[-1]["complete"]) == ("stop", True)
    assert not any("complete" in each for each in choices[:-1])
    assert chunks[-1]["usage"]["blend"]["forced"] == whole["usage"]["blend"]["forced"]


def test_several_answers_each_have_the_form(start):
    """Made at once, each with its own place in the form."""
    server = start(3)
    unsure = {"blend": {"threshold": 1}, "temperature": 5, "seed": 4}
    choices = server.chat(regex="(the|world|or|a){4}", n=6, **unsure)["choices"]
    assert all(re.fullmatch("(the|world|or|a){4}", content(each)) and each["complete"] for each in choices)
    assert len({content(each) for each in choices}) > 1


def test_many_forms_at_once(start):
    """Answers in one batch do not share a form."""
    server = start(4)
    words = ["the", "he", "or", "world", "hello", "hell", "a", "o"]
    found = {}

    def ask(word):
        found[word] = content(server.chat(regex=f"({word}){{2}}[dl]", temperature=1, seed=3)["choices"][0])

    threads = [threading.Thread(target=ask, args=[word]) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {word for word in words if re.fullmatch(f"{word}{word}[dl]", found[word])} == set(words)


def test_the_probability_of_forced_text_is_one(server):
    """The others are probabilities among what may come, of which the first has the most."""
    reply = server.chat(response_format=AS_SCHEMA, logprobs=True, top_logprobs=3, **LONG)
    tokens = reply["choices"][0]["logprobs"]["content"]
    forced = [each for each in tokens if each["blend"]["source"] == "forced"]
    asked = [each for each in tokens if each["blend"]["source"] != "forced"]

    assert forced
    assert asked
    for each in forced:
        assert each["logprob"] == 0
        assert each["top_logprobs"] == [{name: each[name] for name in ("token", "bytes", "logprob")}]
    for each in asked:
        assert -20 < each["logprob"] < 0
        assert each["top_logprobs"][0]["logprob"] == each["logprob"]
        assert sum(2.718281828 ** top["logprob"] for top in each["top_logprobs"]) <= 1.0001
    older = server.text("the", regex="he(ll|o)", logprobs=2)["choices"][0]["logprobs"]
    assert older["tokens"][0] == "he"
    assert (older["token_logprobs"][0], older["top_logprobs"][0]) == (0, {"he": 0})


def test_texts_go_on_in_a_form(server):
    """Older completions, of several prompts; what continues has the form, not the whole."""
    choices = server.text(["the", "a"], regex="(or|ll)d", **LONG)["choices"]
    assert all(each["text"] in {"ord", "lld"} and each["complete"] for each in choices)
    assert choices[0]["blend"][-1]["source"] == "forced"
    body = {"prompt": "the", "echo": True, "max_tokens": 1, "model": "toy:base", "regex": "a"}
    assert server.post(TEXT, body).error["param"] == "echo"


def test_an_answer_may_be_begun(server):
    """A last message of the assistant is the beginning of the form; if no answer begins so, that is said."""
    begun = [*QUESTION, {"role": "assistant", "content": '{"name": "wor'}]
    body = {"messages": begun, "response_format": AS_SCHEMA, **LONG}
    reply = server.post(CHAT, body).json
    assert content(reply["choices"][0]).startswith('ld", "old": ')
    assert is_person('{"name": "wor' + content(reply["choices"][0]))
    body["messages"] = [*QUESTION, {"role": "assistant", "content": "Sure"}]
    refused = server.post(CHAT, body)
    assert refused.status == 400
    assert "does not match the JSON Schema: 'Sure'" in refused.error["message"]


@pytest.mark.parametrize("sampling", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_a_kept_answer_is_decided_again_in_its_form(server, sampling):
    """With the same settings it is the same; with others it differs where the models would."""
    blend = {"keep": True, "threshold": 0.8}
    kept = server.chat(response_format=AS_SCHEMA, **LONG, **(sampling | {"blend": blend}))
    n_steps, said = len(kept["choices"][0]["blend"]), content(kept["choices"][0])

    same = server.post("/v1/replay", {"id": kept["id"], "blend": {}}).json
    assert (same["outcome"], same["step"], same["stopped_by"]) == ("same", n_steps, "complete")
    assert same["text"] == said
    other = server.post("/v1/replay", {"id": kept["id"], "blend": {"method": "base"}}).json
    assert other["outcome"] in {"same", "differs"}
    now = content(
        server.chat(response_format=AS_SCHEMA, **LONG, **(sampling | {"blend": {"method": "base"}}))[
            "choices"
        ][0]
    )
    if other["outcome"] == "differs":
        assert now.startswith(other["text"] + other["after"]["text"])
    else:
        assert now == said
    record = server.get(f"/v1/answers/{kept['id']}").json
    assert (record["complete"], record["blend"]["forced"]) == (True, kept["usage"]["blend"]["forced"])


def test_a_kept_answer_is_forked_within_its_form(server):
    """A legal candidate leads to another answer of the form, another is refused with what was chosen."""
    kept = server.chat(response_format=AS_SCHEMA, blend={"keep": True}, **LONG)
    at = next(each for each in kept["choices"][0]["blend"] if each["text"][0] in "hw")
    other = "world" if at["text"][0] == "h" else "hello"
    fork = {"id": kept["id"], "step": at["step"], "text": other[:2]}

    [branch] = server.chat(response_format=AS_SCHEMA, blend={"fork": fork}, **LONG)["choices"]
    assert content(branch).startswith(f'{other}", "old": ')
    assert branch["blend"][0]["source"] == "chosen"
    assert branch["complete"] is True
    body = {"messages": QUESTION, "response_format": AS_SCHEMA, "blend": {"fork": fork | {"text": "x"}}}
    refused = server.post(CHAT, body)
    assert refused.status == 400
    assert """goes on with the chosen candidate: '{"name": "x'""" in refused.error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": "json"}, "response_format", "'json'"),
        ({"response_format": {"type": "xml"}}, "response_format", "text, json_object, json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "no schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format",
            "no schema",
        ),
        ({"response_format": {"type": "json_object", "schema": "x"}}, "response_format", "schema is 'x'"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}},
            "response_format",
            "not",
        ),
        ({"response_format": AS_SCHEMA, "regex": "a"}, "regex", "given twice"),
        ({"json_schema": "{"}, "json_schema", "line 1, column 2"),
        ({"blend": {"regex": "(a"}}, "blend.regex", "regular expression"),
        ({"grammar": "root ::= ("}, "grammar", "grammar"),
        ({"blend": {"grammar": "start: x"}}, "blend.grammar", "grammar"),
    ],
    ids=str,
)
def test_a_wrong_form_is_refused_before_the_request_waits(start, fields, param, words):
    """With the field and what is wrong in it, also where no place is free."""
    server = start(1, max_waiting=0)
    server.pause_s = 0.01
    server.open_request(CHAT, {"messages": QUESTION, "max_tokens": 100})
    server.until(lambda: server.busy()[0] == 1)
    for path, body in ((CHAT, {"messages": QUESTION}), (TEXT, {"prompt": "the"})):
        reply = server.post(path, {**body, **fields})
        assert reply.status == 400
        assert words in reply.error["message"]
        assert reply.error["type"] == "invalid_request_error"
        assert reply.error["param"] == param


def test_an_answer_with_its_record_has_the_form_too(server):
    """As `blendin run --server` asks for it; a wrong form is refused before the reply begins."""
    body = {"messages": QUESTION, "settings": {"json_schema": PERSON, **LONG}}
    lines = [json.loads(line) for line in server.post("/v1/answers", body).data.splitlines()]
    completion = lines[-1]["completion"]
    assert is_person(completion["text"])
    assert completion["complete"] is True
    assert lines[0]["signature"]["answer"]["json_schema"] == json.dumps(PERSON)
    refused = server.post("/v1/answers", {"messages": QUESTION, "settings": {"regex": "(a"}})
    assert refused.status == 400
    assert "regular expression" in refused.error["message"]


def test_the_vocabulary_is_built_before_the_first_request_and_outside_the_inference_thread(
    start, monkeypatch
):
    """Once for the server; where memory is short, by the first request that has a form."""
    threads = []
    make = constraints.Constraints._common_vocabulary

    def noting(self):
        threads.append((threading.current_thread().name, self._vocabulary is None))
        return make(self)

    monkeypatch.setattr(constraints.Constraints, "_common_vocabulary", noting)
    server = start()
    server.until(lambda: len(threads) == 1)
    for _ in range(2):
        server.chat(response_format=AS_SCHEMA, **LONG)
    assert [is_first for _, is_first in threads] == [True, False, False]
    monkeypatch.setattr(constraints, "PLENTY", 1e9)
    threads.clear()
    server = start()
    server.chat()
    assert threads == []
    server.chat(response_format=AS_SCHEMA, **LONG)
    assert [is_first for _, is_first in threads] == [True]
    assert not any(name.startswith("blendin-inference") for name, _ in threads)


class Person(pydantic.BaseModel):
    """What a user of openai-python writes."""

    name: Literal["hello", "world"]
    old: bool


@pytest.fixture(scope="module")
def client(server):
    """Without retries, so that each error is seen."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_openai_python_sends_a_response_format(client):
    """As written by hand; errors name the field."""
    reply = client.chat.completions.create(model="toy", messages=QUESTION, response_format=AS_SCHEMA, **LONG)
    assert is_person(reply.choices[0].message.content)
    assert reply.choices[0].model_extra["complete"] is True
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="toy",
            messages=QUESTION,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}},
        )
    assert caught.value.param == "response_format"


@pytest.mark.parametrize("seed", range(3))
def test_openai_python_parses_the_answer_as_a_class_of_pydantic(client, seed):
    """`chat.completions.parse`, whose schema is the library's own."""
    reply = client.chat.completions.parse(
        model="toy", messages=QUESTION, response_format=Person, temperature=5, seed=seed, **LONG
    )
    assert isinstance(reply.choices[0].message.parsed, Person)


def test_openai_python_streams_and_parses(client):
    """`chat.completions.stream` puts the deltas together."""
    with client.chat.completions.stream(
        model="toy", messages=QUESTION, response_format=Person, **LONG
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)
