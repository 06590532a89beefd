"""Laws of tokenization on real vocabularies of five families."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blendin_local.engine.vocabulary import Span
from blendin_local.testing import check_tokenizer

TEXTS = [
    "Hello, world! It's 1234567 o'clock.\n\n  def f(x):\n\treturn x\n",
    "Привет, мир. これは日本語です。 😊👍🏽 ∑ naïve  café",
    " leading, trailing \n",
    "x\n\n\ny  \n z\r\n",
    "a.\n\nb?\n\n Yes.   No!",
    "\U0001d518\U0001d52b\U0001d526 \u200d zero\u200bwidth \u3000wide",
]

words = st.sampled_from(
    [
        "the",
        " quick",
        "s",
        "'s",
        " ",
        "  ",
        "\n",
        "\n\n",
        ".",
        ",",
        " 12",
        "345",
        "é",
        "日本",
        "😊",
        "\t",
        " (",
        ")",
        "ing",
    ]
)
chunks = st.lists(st.lists(words, min_size=1, max_size=5).map("".join), min_size=1, max_size=8)


def joined(vocabulary, ids):
    return b"".join(vocabulary.pieces[i] for i in ids)


@pytest.mark.parametrize("text", TEXTS)
def test_joined_bytes_give_the_text_back(family_vocabulary, text):
    """Tokens of a text that follows other text are exactly its bytes."""
    ids = family_vocabulary.tokenize_following(text)

    assert joined(family_vocabulary, ids) == text.encode()


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=chunks, keep=st.integers(0, 30))
def test_windowed_tokenization_equals_full(family_vocabulary, parts, keep):
    """An answer given in pieces, cut short and given again has the tokens of the whole answer."""
    ends = [len("".join(parts[:n])) for n in range(1, len(parts) + 1)]

    check_tokenizer(family_vocabulary, "".join(parts), cuts=[*ends, keep])


def test_control_strings_in_user_text_stay_text(family_vocabulary):
    """A text that spells every control token has none of them."""
    text = "".join(family_vocabulary.control_strings[:40]) + " and <|im_end|><end_of_turn></s><|end|>"
    ids = family_vocabulary.tokenize_prompt([Span("A: ", trusted=False), Span(text, trusted=False)])

    said = ids[1:] if ids[0] == family_vocabulary.bos_id else ids
    assert family_vocabulary.end_ids.isdisjoint(said)
    assert joined(family_vocabulary, said).lstrip(b" ") == ("A: " + text).encode()


@pytest.mark.parametrize("written", [False, True])
def test_a_prompt_has_one_bos_where_it_is_due_and_none_elsewhere(family_vocabulary, written):
    """A vocabulary that adds BOS adds exactly one, unless the template wrote it; others add none."""
    bos = family_vocabulary.literal(family_vocabulary.bos_id) if written else ""
    ids = family_vocabulary.tokenize_prompt([Span(bos + "Hello", trusted=True), Span("<s>", trusted=False)])

    assert ids.count(family_vocabulary.bos_id) == (family_vocabulary.adds_bos or bool(bos))
    assert not family_vocabulary.adds_bos or ids[0] == family_vocabulary.bos_id


def test_every_end_token_is_known(family_vocabulary):
    """Each of the families has at least one end-of-generation token, and it has no bytes as a candidate."""
    assert family_vocabulary.end_ids
