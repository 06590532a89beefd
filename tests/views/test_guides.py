"""What the lines below an answer, `/why` and a server's reply say of several guides."""

from __future__ import annotations

from dataclasses import replace

from blendin_local.core.records import Candidate, GuidePart
from blendin_local.server.replies import blend_of_step
from blendin_local.views.answer import footer_items
from blendin_local.views.answer_tables import source_text, why_headline
from tests.answers import asked_step, base_step, completion

PARTS = (
    GuidePart("guide", 0.41, Candidate(b" To", 0.54)),
    GuidePart("guide2", 0.46, Candidate(b" The", 0.6)),
)
STEP = replace(asked_step(1, b" The"), guides=PARTS, proposer="guide2", alpha=0.87)


def test_why_names_the_guides_and_whose_word_it_is():
    """Each with its first choice and its weight; with one guide the sentence is as before."""
    assert source_text(STEP) == (
        "the guides were asked and changed the outcome; the word is guide2's; "
        "guide says ·To (54 %, weight 0.41), guide2 says ·The (60 %, weight 0.46)"
    )
    assert why_headline(STEP).plain.endswith("; alpha 0.87")
    assert source_text(asked_step(1, b" The")) == "the guide was asked and changed the outcome"


def test_the_footer_counts_the_words_of_each_guide():
    """Behind the changed steps, and the tokens of all guides are summed; with one guide it is as before."""
    several = completion(base_step(0, b"A"), STEP)
    usage = replace(several.usage, guide_tokens_evaluated=5, guide2_tokens_evaluated=7)
    items = footer_items(replace(several, usage=usage))

    assert "50.0 % changed (0 by guide, 1 by guide2)" in items
    assert "12 guide tokens" in items
    assert "50.0 % changed" in footer_items(completion(base_step(0, b"A"), asked_step(1, b" b")))


def test_a_servers_reply_names_them_too():
    """Only with several guides."""
    told = blend_of_step(STEP)

    assert told["proposer"] == "guide2"
    assert told["guides"][1] == {"role": "guide2", "alpha": 0.46, "top": {"token": " The", "p": 0.6}}
    assert not {"guides", "proposer"} & set(blend_of_step(asked_step(1, b" b")))
