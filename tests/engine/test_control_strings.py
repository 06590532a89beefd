"""Which strings count as control strings, and how they are found."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.engine.control_strings import ControlStrings, is_markup

STRINGS = ("<s>", "</s>", "<|im_end|>", "<|im|>", "ab", "aba", "<", "[INST]")
texts = st.lists(st.sampled_from([*STRINGS, "a", "b", "<|", "|>", "im", " ", "é"]), max_size=12).map("".join)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "</think>",
        "<｜User｜>",
        "[multimodal]",
        "<bbox>",
        "|||EMAIL|||",
        ">>TITLE<<",
        "{{x}}",
        "<x y>",
    ],
)
def test_markup_is_known_by_its_form(text):
    """What is made for tools and conversations looks like it."""
    assert is_markup(text) == (text != "<x y>")


@pytest.mark.parametrize(
    "text", ["  ", "\n\n\n", "<table>", "</H1>", "hello", "<", ">", "<>", "->", "()", "a<b>"]
)
def test_ordinary_additions_are_no_markup(text):
    """Runs of spaces, words and HTML's elements stay the tokens that a model was trained on."""
    assert not is_markup(text)


@given(texts)
def test_strings_are_found_as_by_trying_every_place(text):
    """The slow twins: every string at every place, and a regular expression, the longest first."""
    found = ControlStrings(STRINGS)
    longest_first = "|".join(re.escape(s) for s in sorted(STRINGS, key=len, reverse=True))

    assert list(found.starts(text)) == [i for i in range(len(text)) if text.startswith(STRINGS, i)]
    assert list(found.find(text)) == [(m.start(), m.group()) for m in re.finditer(longest_first, text)]


def test_where_there_are_no_strings_none_is_found():
    """A vocabulary may have no control tokens."""
    assert not list(ControlStrings([]).find("<s>"))


@pytest.mark.model
@pytest.mark.parametrize("text", ["a\n\n\nb", "<table>", "x    y", "</h1>"])
def test_a_base_gets_the_tokens_it_was_trained_on(demo_base_path, text):
    """Line breaks, runs of spaces and HTML in plain text are the single tokens that Gemma has for them."""
    from blendin_local.engine.model import open_vocabulary

    with open_vocabulary(demo_base_path) as vocabulary:
        ids = vocabulary.tokenize_following(text)
        assert len(ids) == len(vocabulary._tokenize(text)) <= 3
        assert vocabulary.markup_ids.isdisjoint(ids)
        image = vocabulary.tokenize_following("<start_of_image>")
        assert len(image) > 1
        assert b"".join(vocabulary.pieces[i] for i in image) == b"<start_of_image>"
