"""Answers that the server keeps: their candidates, branches, records and other settings."""

from __future__ import annotations

import pytest

KEEP = {"keep": True, "candidates": 3}


def blend_of(reply):
    return reply["choices"][0]["blend"]


def test_candidates_are_sent_where_they_are_asked_for(server):
    """At most as many of each model as asked, largest first, and none of a model that was not asked."""
    for part in blend_of(server.chat(blend={"candidates": 3})):
        lists = part["candidates"]
        for role, candidates in lists.items():
            if candidates is not None:
                shares = [each["p"] for each in candidates]
                assert len(shares) <= 3
                assert shares == sorted(shares, reverse=True)
                if part.get(role):
                    assert candidates[0]["token"] == part[role]["token"]
        assert (lists["guide"] is None) == (part["guide"] is None)
    assert all("candidates" not in part for part in blend_of(server.chat()))


@pytest.mark.parametrize("n", [-1, 21, 1.5, "many"])
def test_a_wrong_number_of_candidates_is_refused(server, n):
    """The message names the field."""
    body = {"messages": [{"role": "user", "content": "x"}], "blend": {"candidates": n}}

    assert "blend.candidates" in server.post("/v1/chat/completions", body).error["message"]


def test_a_branch_begins_with_the_chosen_candidate(server):
    """Streamed or not, the first step of a branch is the one that was chosen; those before it are known."""
    first = server.chat(blend=KEEP)
    fork = {"id": first["id"], "step": 3, "bytes": list(b" world")}
    whole = blend_of(server.chat(blend={**KEEP, "fork": fork}))
    body = {"messages": [{"role": "user", "content": "the hello world"}], "blend": {**KEEP, "fork": fork}}
    chunks = server.chunks("/v1/chat/completions", body)
    streamed = [part for chunk in chunks for choice in chunk["choices"] for part in choice.get("blend", [])]

    for parts in (whole, streamed):
        assert [part["step"] for part in parts] == list(range(3, 12))
        assert (parts[0]["text"], parts[0]["source"]) == (" world", "chosen")
    goes_on = blend_of(server.chat(blend={**KEEP, "fork": {"id": first["id"], "step": 3}}))
    assert [part["text"] for part in goes_on] == [part["text"] for part in blend_of(first)[3:]]


def test_a_kept_answer_has_a_record_and_a_page(server):
    """The record is that of `--json` with the conversation, the page that of `--html`, without scripts."""
    reply = server.chat("<b>hello</b>", blend=KEEP)
    record = server.get(f"/v1/answers/{reply['id']}").json
    page = server.get(f"/v1/answers/{reply['id']}/html")

    assert record["text"] == reply["choices"][0]["message"]["content"]
    assert record["messages"] == [{"role": "user", "content": "<b>hello</b>"}]
    assert [step["source"] for step in record["steps"]] == [part["source"] for part in blend_of(reply)]
    assert "&lt;b&gt;hello&lt;/b&gt;" in page.data.decode()
    assert "sandbox" in page.headers["content-security-policy"]
    assert server.get("/v1/answers/none").error["message"].startswith("no answer")


def test_other_settings_are_decided_by_the_code_that_made_the_answer(server):
    """The same settings give the same answer; where others differ, an answer with them agrees up to there."""
    reply = server.chat(blend=KEEP)
    same = server.post("/v1/replay", {"id": reply["id"], "blend": {}}).json
    assert (same["outcome"], same["step"]) == ("same", 12)
    asked_more = server.post("/v1/replay", {"id": reply["id"], "blend": {"threshold": 1}}).json
    now = blend_of(server.chat(blend={"threshold": 1}))
    before = blend_of(reply)
    for n in range(asked_more["step"]):
        assert now[n]["text"] == before[n]["text"]
