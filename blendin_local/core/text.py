"""Text rules of a prompt and an answer: whole characters, stop strings.

Here: pure functions on bytes, and `StopStringBuffer`, which releases the part of a growing answer that can no
longer change.
Not here: the loop that applies them (`decode.respond`), endless repetition (`core.loops`).
Source: design rule "Whole characters".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from blendin_local.core.records import Step
from blendin_local.errors import UsageError

_HALF = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def split_characters(data: bytes) -> tuple[bytes, bytes]:
    """Part `data` into whole characters and an unfinished one at the end.

    Bytes that can never become a character turn into U+FFFD.

    Returns:
        (valid UTF-8, the 0 to 3 bytes of a character that may still be finished).
    """
    if data.isascii():
        return data, b""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text.encode(), decoder.getstate()[0]


def whole_characters(data: bytes) -> bytes:
    """`data` as valid UTF-8; an unfinished character at its end is U+FFFD too."""
    whole, unfinished = split_characters(data)
    return whole + REPLACEMENT if unfinished else whole


def require_text(text: str, name: str) -> str:
    """Return `text` if it consists of whole characters; the one check for all input.

    A lone surrogate, half of a character, is how Python represents a byte that is not UTF-8; JSON can also
    contain one. It is refused rather than replaced, so that a model never gets another text than the given.

    Args:
        text: The input.
        name: The name of the input, for the message.

    Raises:
        UsageError: It contains a lone surrogate; the message gives the position.
    """
    half = _HALF.search(text)
    if half is None:
        return text
    code = ord(half[0])
    if 0xDC80 <= code <= 0xDCFF:
        found = f"{name} is not UTF-8: byte 0x{code - 0xDC00:02x} after {half.start()} characters"
    else:
        found = (
            f"{name} has half of a character (U+{code:04X}, a lone surrogate) after {half.start()} characters"
        )
    raise UsageError(found, "convert it to UTF-8")


def is_whole(data: bytes) -> bool:
    """Whether `data` is whole characters and nothing else: valid UTF-8."""
    return split_characters(data) == (data, b"")


def continues(unfinished: bytes, following: bytes) -> bool:
    """Whether the first byte of `following` carries an unfinished character on."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        decoder.decode(unfinished + following[:1])
    except UnicodeDecodeError:
        return False
    return bool(following)


def find_stop(text: bytes, start: int, stops: Sequence[bytes]) -> int | None:
    """Where the earliest stop string that ends after `start` begins, or None.

    Args:
        text: The answer so far.
        start: What came before has been searched.
        stops: The stop strings, none of them empty.
    """
    found = [text.find(stop, max(0, start - len(stop) + 1)) for stop in stops]
    return min([at for at in found if at >= 0], default=None)


class StopStringBuffer:
    """Releases the text of steps once it can no longer be the beginning of a stop string.

    Joined released parts are a prefix of the answer's text, and all of it after `flush`.

    Args:
        stops: The stop strings of the answer.
        n_start: Number of steps that the answer begins with; a stop string inside these ends nothing.
    """

    def __init__(self, stops: Sequence[str], n_start: int = 0) -> None:
        self._stops = [stop.encode() for stop in stops]
        self._held: list[Step] = []
        self._n_start = n_start
        self._n_searched = 0  # bytes held that belong to the start

    def feed(self, step: Step) -> list[tuple[Step, str]]:
        """Take the next step; return the steps that are safe to show, each with its text."""
        self._held.append(step)
        text = b"".join(held.bytes for held in self._held)
        if self._n_start:
            self._n_start -= 1
            self._n_searched = len(text)
        if find_stop(text, self._n_searched, self._stops) is not None:
            return []
        return self._release(len(text) - self._pending(text))

    def flush(self) -> list[tuple[Step, str]]:
        """Release what is held at the end of an answer, up to the stop string if there is one."""
        text = b"".join(held.bytes for held in self._held)
        cut = find_stop(text, self._n_searched, self._stops)
        size = len(text) if cut is None else cut
        released = self._release(size)
        left = size - sum(len(step.bytes) for step, _ in released)
        if left:
            released.append((self._held[0], self._held[0].bytes[:left].decode()))
        self._held = []
        return released

    def _pending(self, text: bytes) -> int:
        """Length of the longest tail of `text` that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0

    def _release(self, size: int) -> list[tuple[Step, str]]:
        """Let go of the steps that lie wholly within the first `size` bytes held."""
        released: list[tuple[Step, str]] = []
        while self._held and size >= len(self._held[0].bytes):
            step = self._held.pop(0)
            size -= len(step.bytes)
            self._n_searched = max(0, self._n_searched - len(step.bytes))
            released.append((step, step.text))
        return released
