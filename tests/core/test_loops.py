"""The loop guard: answers that only repeat themselves, and texts that repeat themselves on purpose."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.loops import loops, repeats, repeats_numbered, without_numbers
from tests.core.real_lists import AT_HAND, HELD_OUT

LONG = "The answer is forty-two, as everybody knows by now, and there is nothing more to say about it all. "
LOOPING = [
    json.loads(line)
    for line in Path(__file__).with_name("looping_answers.jsonl").read_text("utf-8").splitlines()
]
"""Answers of the demo base, greedy, 350 steps without the guard: each repeats itself to its end."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the sky is blue. " * 20, True),
        ("-" * 240, True),
        ("-" * 200, False),
        ("\n".join(f"{i}. item number {i} of the list" for i in range(40)), False),
        ("a long sentence that is said " + "once and " * 3, False),
        (LONG * 3, True),
        (LONG * 2, False),
    ],
)
def test_repetition(text, expected):
    """An answer that only repeats itself is recognised, a list is not."""
    assert repeats(text.encode()) is expected


@pytest.mark.parametrize("period", [1, 7, 48, 79, 80, 81, 100, 333])
def test_repetition_is_seen_at_the_third_time_and_not_before(period):
    """At 240 bytes of it or, of longer units, where the third is whole; not a byte sooner or later."""
    unit = np.random.default_rng(period).bytes(period).replace(b"#", b"+")
    text = b"#" + unit * (300 // period + 4)

    seen = next(n for n in range(len(text)) if repeats(text[:n]))

    assert seen == 1 + max(240, 3 * period)


units = st.text("ab c", min_size=1, max_size=90).map(str.encode)


@given(units, st.text("ab c", max_size=40).map(str.encode), st.integers(0, 400))
@settings(max_examples=200)
def test_only_what_repeats_is_said_to(unit, before, size):
    """Where repetition is seen, the last 240 bytes and three periods are periodic by comparing every byte."""
    text = before + (unit * 400)[:size]

    def periodic(period):
        tail = text[-max(240, 3 * period) :]
        return len(tail) >= max(240, 3 * period) and all(
            tail[i] == tail[i - period] for i in range(period, len(tail))
        )

    if repeats(text):
        assert any(periodic(period) for period in range(1, len(text)))


@given(units, st.text("ab c", max_size=40).map(str.encode))
@settings(max_examples=50, deadline=None)
def test_what_repeats_without_end_is_seen(unit, before):
    """Whatever is said over and over, growing byte by byte, is recognised within four times and 240 bytes."""
    text = before + unit * (4 + 240 // len(unit))

    assert any(repeats(text[:n]) for n in range(240, len(text) + 1))


@pytest.mark.parametrize("item", ["Remove the wheel from the car.\n", "Sugar, ", "Knit.\n   Then purl.\n"])
@pytest.mark.parametrize("pattern", ["{n}. {item}", "{n}) {item}", "**{n}.** {item}", "- {n}. {item}"])
def test_items_that_differ_by_their_number_alone_are_a_loop(item, pattern):
    """It is seen at the 120th letter or, of longer items, in the fourth, however it is numbered."""
    letters = sum(map(str.isalpha, item))
    items = [pattern.format(n=n, item=item) for n in range(8, 60)]
    needed = max(4, -(-120 // letters))
    text = "First: " + "".join(items)

    seen = next(n for n in range(len(text)) if loops(text[:n].encode()))

    assert sum(map(len, items[: needed - 1])) < seen - len("First: ") <= sum(map(len, items[: needed + 1]))


groups = st.lists(st.text("abcde .\n", min_size=1, max_size=30), min_size=1, max_size=3)


@given(groups, st.integers(1, 90), st.integers(0, 400))
@settings(max_examples=200)
def test_a_numbered_repetition_is_one_without_its_numbers(group, first, size):
    """Where one is seen, what is left without numbers ends in one unit four times, counted out."""
    text = "".join(f"{first + i}. {group[i % len(group)]}\n" for i in range(60)).encode()[:size]
    items = without_numbers(text)

    def said_often_enough(period):
        unit = items[-period:]
        letters = sum(chr(byte).isalpha() for byte in unit)
        times = max(4, -(-120 // letters)) if letters else 999
        return items.endswith(unit * times)

    if repeats_numbered(text):
        assert any(said_often_enough(period) for period in range(1, len(items) + 1))


@pytest.mark.parametrize(
    "items", ["{n} x 7 = {m}.\n", "{n}. {n} times 7 is {m}.\n", "{m}. Take the bus home.\n"]
)
def test_other_numbers_than_those_of_the_list_are_text(items):
    """A times table and a list that counts in sevens go on as long as they like."""
    text = "".join(items.format(n=n, m=7 * n) for n in range(1, 150)).encode()

    assert not any(loops(text[:n]) for n in range(len(text)))


def first_step(steps, guard):
    text, sizes = "".join(steps).encode(), np.cumsum([len(step.encode()) for step in steps])
    return next((i + 1 for i, size in enumerate(sizes) if guard(text[:size])), None)


@pytest.mark.parametrize("held_out", [False, True])
def test_looping_answers_are_stopped(held_out):
    """Of twelve answers at least ten are stopped; without the rule for lists at most eight."""
    answers = [answer["steps"] for answer in LOOPING if answer["held_out"] is held_out]
    before, now = ([first_step(steps, guard) for steps in answers] for guard in (repeats, loops))

    assert len(answers) == 12
    assert all(new is not None and new <= old for old, new in zip(before, now, strict=True) if old)
    assert sum(old is not None for old in before) <= 8
    assert sum(new is not None for new in now) >= 10


@pytest.mark.parametrize("name", [*AT_HAND, *HELD_OUT])
def test_a_real_list_is_never_stopped(name):
    """Songs, tables, code and forms that repeat themselves on purpose are not stopped at any byte."""
    text = {**AT_HAND, **HELD_OUT}[name].encode()

    assert [n for n in range(len(text) + 1) if loops(text[:n])] == []
