"""How a text may go on if it repeats itself.

Here: `continuation`, what followed the last occurrence of the text's end.
Not here: whether a draft of it pays (`core.drafting`).
Source: prompt lookup decoding, here on bytes, so that it needs no vocabulary.
"""

from __future__ import annotations

MIN_MATCH = 12  # bytes; shorter ends occur by chance
MAX_MATCH = 48  # bytes; a longer match is no better
SEARCHED = 65_536  # bytes of the text's end that are searched


def continuation(text: bytes, n: int) -> tuple[bytes, int]:
    """What followed the last earlier occurrence of the text's end.

    Args:
        text: Prompt and answer so far.
        n: How many bytes are wanted.

    Returns:
        `n` bytes, empty if the last `MIN_MATCH` bytes occur nowhere before, and how many bytes before them
        agree, at most `MAX_MATCH`.
    """
    end = text[-MIN_MATCH:]
    if len(end) < MIN_MATCH:
        return b"", 0
    at = text.rfind(end, max(0, len(text) - SEARCHED), len(text) - 1)
    if at < 0:
        return b"", 0
    at += MIN_MATCH
    agreeing = MIN_MATCH
    while agreeing < min(at, MAX_MATCH) and text[at - agreeing - 1] == text[-agreeing - 1]:
        agreeing += 1
    following = text[at:]  # where that is less than asked for, the text repeats its end
    return (following * (n // len(following) + 1))[:n], agreeing
