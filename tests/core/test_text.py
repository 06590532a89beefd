"""Whole characters, stop strings, and holding text back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blendin_local.core.records import Step
from blendin_local.core.text import (
    StopStringBuffer,
    continues,
    find_stop,
    is_whole,
    split_characters,
)

EMOJI = "😊".encode()


@given(st.binary(max_size=12))
def test_split_gives_valid_text_and_a_short_rest(data):
    """What comes out is valid UTF-8, and at most three bytes wait."""
    whole, rest = split_characters(data)

    whole.decode()
    assert len(rest) <= 3
    assert data.endswith(rest)


@given(st.binary(max_size=8) | st.text(max_size=4).map(str.encode))
def test_whole_is_what_can_be_decoded(data):
    """Bytes are whole exactly where Python reads them as UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_whole(data)
    else:
        assert is_whole(data)


@given(st.text(max_size=8), st.integers(0, 8))
def test_split_of_a_cut_text_loses_nothing(text, cut):
    """Cut anywhere, the two parts of a valid text join again."""
    data = text.encode()
    whole, rest = split_characters(data[:cut])

    assert whole + rest == data[:cut]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (EMOJI[:2], (b"", EMOJI[:2])),
        (b"a" + EMOJI[:3], (b"a", EMOJI[:3])),
        (b"\x80", ("\ufffd".encode(), b"")),
        (b"\xff" + b"a", ("\ufffda".encode(), b"")),
        (EMOJI[:2] + b"a", ("\ufffda".encode(), b"")),
    ],
)
def test_split_examples(data, expected):
    """Half characters wait; bytes that can never be one become U+FFFD."""
    assert split_characters(data) == expected


def test_continues():
    """Only bytes that carry the character on continue it."""
    assert continues(EMOJI[:2], EMOJI[2:])
    assert continues(EMOJI[:1], EMOJI[1:2])
    assert not continues(EMOJI[:2], b"a")
    assert not continues(EMOJI[:2], EMOJI)
    assert not continues(EMOJI[:2], b"")


def test_the_earliest_stop_is_found_across_steps():
    """A stop string is found although it began in an earlier step, and the earliest wins."""
    assert find_stop(b"ab\nQ: x", 4, [b"\nQ:", b"x"]) == 2
    assert find_stop(b"abc", 0, [b"d"]) is None
    assert find_stop(b"abc", 0, []) is None


few = st.text("ab\n", max_size=9).map(str.encode)
stop_strings = st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3)


@given(few, few, stop_strings)
def test_a_stop_is_found_once_it_is_whole(searched, more, stops):
    """Where earlier text was searched before, the earliest stop string that is new is found, and no other."""
    text, wanted = searched + more, [stop.encode() for stop in stops]
    begins = [
        at
        for stop in wanted
        for at in range(len(text))
        if text[at:].startswith(stop) and at + len(stop) > len(searched)
    ]

    assert find_stop(text, len(searched), wanted) == min(begins, default=None)


def steps_of(parts):
    return [Step(i, part.encode(), "base") for i, part in enumerate(parts)]


@given(st.lists(st.text("ab\nQ:", min_size=1, max_size=4), min_size=1, max_size=12))
def test_held_back_text_is_the_answer(parts):
    """What is released is the text up to the stop string, never a part of the stop string itself."""
    text = "".join(parts)
    cut = text.find("\nQ:")
    sizes = [len("".join(parts[: n + 1])) for n in range(len(parts))]
    # an answer ends with the step that completes a stop string
    end = next((n + 1 for n, size in enumerate(sizes) if cut >= 0 and cut + 3 <= size), len(parts))
    hold = StopStringBuffer(["\nQ:"])
    released = [shown for step in steps_of(parts[:end]) for _, shown in hold.feed(step)]
    released += [shown for _, shown in hold.flush()]

    assert "".join(released) == (text if cut < 0 else text[:cut])


@given(st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=12), stop_strings)
@example(["a", "\n", "b"], ["b", "\nab"])
@example(["a", "\n", "b"], ["\nab", "b"])
def test_nothing_is_held_back_but_what_may_begin_a_stop(parts, stops):
    """After every step, shown is all but the steps that the beginning of some stop string reaches into."""
    hold, shown, said = StopStringBuffer(stops), "", ""
    for step in steps_of(parts):
        said += step.text
        if any(stop in said for stop in stops):
            assert hold.feed(step) == []
            shown += "".join(text for _, text in hold.flush())
            assert shown == said[: min(said.index(stop) for stop in stops if stop in said)]
            return
        shown += "".join(text for _, text in hold.feed(step))
        begun = max((n for stop in stops for n in range(1, len(stop)) if said.endswith(stop[:n])), default=0)
        ends = [len("".join(parts[:n])) for n in range(len(parts) + 1)]
        assert len(shown) == max(end for end in ends if end <= len(said) - begun)
    assert shown + "".join(text for _, text in hold.flush()) == said
    assert hold.flush() == []


def test_text_without_a_stop_is_released_at_once():
    """Nothing waits that cannot be the beginning of a stop string."""
    hold = StopStringBuffer(["\nQ:"])

    assert [shown for _, shown in hold.feed(Step(0, b"hello", "base"))] == ["hello"]
    assert hold.feed(Step(1, b"\n", "base")) == []
