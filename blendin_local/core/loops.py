"""Whether an answer only repeats itself: the rules of the loop guard.

Here: `loops`; its parts are `repeats`, for the same bytes over and over, and `repeats_numbered`, for the same
items of a numbered list.
Not here: when it is asked (`decode.respond`), what keeps a model from repeating itself (`core.penalties`).
The rules are this program's; docs/methods.md has what they stop and when.
"""

from __future__ import annotations

import re

TIMES = 3  # repetitions at least of the same bytes, however long the unit
MIN_BYTES = 240  # of the same bytes over and over, however short the unit
MIN_LETTERS = 120  # of the same items of a numbered list
WINDOW = 8192  # bytes at the end of an answer that are searched
NUMBERED_TIMES = 4  # repetitions at least of the items of a numbered list
NUMBERED_WINDOW = 2048
PROBE = 48  # last bytes, whose earlier occurrence gives the period
NUMBER = re.compile(rb"(?<![^\s(*#>-])([0-9]{1,4})(?=[.)](?:[\s*]|$))")
NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
LETTERS = re.compile(rb"[A-Za-z\x80-\xff]")


def loops(text: bytes) -> bool:
    """Whether an answer that ends in `text` only repeats itself."""
    return repeats(text) or repeats_numbered(text)


def repeats(text: bytes) -> bool:
    """Whether `text` ends in the same bytes over and over: three times, and 240 bytes.

    Examples are a long line three times, or 240 bytes of dashes. The lines of ordinary lists and tables
    differ.
    """
    window = text[-WINDOW:]
    period = _period(window)
    return period > 0 and _is_periodic(window, period, max(MIN_BYTES, TIMES * period))


def repeats_numbered(text: bytes) -> bool:
    """Whether `text` ends in a numbered list whose items are the same but for their numbers.

    The items, or groups of them, must repeat four times and have 120 letters. `1. A 2. A 3. A` is such a list
    if A is long enough. The numbers are the whole ones before a full stop or a closing bracket, each one more
    than the last. All other numbers belong to the items, so the rows of a times table differ.
    """
    items = without_numbers(text[-NUMBERED_WINDOW:])
    period = _period(items)
    letters = len(LETTERS.findall(items[-period:])) if period else 0
    if letters == 0:
        return False
    times = max(NUMBERED_TIMES, -(-MIN_LETTERS // letters))
    return _is_periodic(items, period, times * period)


def without_numbers(text: bytes) -> bytes:
    """The numbered list at the end of `text`, without its numbers; empty if there are not four items.

    The list begins where the numbers begin that count up to the last one.
    """
    if len(text.translate(None, NO_DIGITS)) < NUMBERED_TIMES:  # most texts; a tenth of the time of the search
        return b""
    numbers = list(NUMBER.finditer(text))
    first = len(numbers) - 1
    while first > 0 and int(numbers[first][1]) == int(numbers[first - 1][1]) + 1:
        first -= 1
    if len(numbers) - first < NUMBERED_TIMES:
        return b""
    ends = [number.start() for number in numbers[first + 1 :]] + [len(text)]
    return b"".join(text[number.end() : end] for number, end in zip(numbers[first:], ends, strict=True))


def _period(text: bytes) -> int:
    """How far back the last bytes of `text` occur before; 0 if they do not."""
    earlier = text.rfind(text[-PROBE:], 0, max(0, len(text) - 1))
    return len(text) - min(PROBE, len(text)) - earlier if earlier >= 0 else 0


def _is_periodic(text: bytes, period: int, length: int) -> bool:
    """Whether the last `length` bytes are there and repeat themselves after `period` bytes."""
    tail = text[-length:]
    return len(tail) == length and tail[period:] == tail[:-period]
