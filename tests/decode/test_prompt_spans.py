"""How far two prompts are the same, and what a sequence may keep of a conversation that goes on."""

import pytest

from blendin_local.decode.prompt_spans import after, common_length, digest_of, text_of
from blendin_local.engine.sequence import TokenSequence
from blendin_local.engine.vocabulary import Span, joined


def spans(*parts):
    return [Span(text, trusted) for text, trusted in parts]


@pytest.mark.parametrize(
    ("left", "right", "length"),
    [
        ([("ab", True)], [("ab", True)], 2),
        ([("ab", True)], [("ab", False)], 0),
        ([("ab", True), ("cd", False)], [("ab", True), ("ce", False)], 3),
        ([("ab", True), ("cd", False)], [("ab", True), ("cd", False), ("e", True)], 4),
        ([("ab", True), ("cd", False)], [("abcd", True)], 2),
        ([("abcd", True)], [("ab", True), ("cd", False)], 2),
        ([], [("a", True)], 0),
    ],
)
def test_prompts_are_the_same_in_text_and_trust(left, right, length):
    """A character that may be part of a control token differs from the same one that may not."""
    assert common_length(spans(*left), spans(*right)) == length
    assert common_length(spans(*right), spans(*left)) == length


def test_equal_prompts_are_equal_however_they_were_cut():
    """Joined spans are the shortest form; a digest sees text and trust and nothing else."""
    cut, whole = spans(("a", True), ("b", True), ("", False), ("c", False)), spans(("ab", True), ("c", False))

    assert joined(cut) == tuple(whole)
    assert digest_of(cut) == digest_of(whole) != digest_of(spans(("abc", True)))
    assert text_of(after(cut, 1)) == "bc"


def test_what_was_read_as_part_of_a_conversation_is_lent_to_no_other():
    """What follows a parting was read in other portions than in a fresh prompt: only what is before stays."""
    sequence, first = TokenSequence(0, None), list(range(400))
    sequence.begin(first)
    sequence.shrink_to(400)
    second = [*range(200), *range(1000, 1300)]

    sequence.begin(second, continues=True)
    assert sequence.n_valid == 200
    sequence.shrink_to(len(second))
    sequence.begin([*second, 5])

    assert sequence.n_valid == 128
