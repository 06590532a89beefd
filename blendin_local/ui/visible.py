"""Bytes and control characters as something an eye can see.

Here: pure functions from bytes or text to text; nothing they return can move a cursor.
Not here: colours and tables (`ui.views`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

END_NAME = "END"
_WHITE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def escape_controls(text: str) -> str:
    """Text that is safe on a terminal: controls other than newline and tab in caret form (`^[` is ESC)."""
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" else _caret(char) for char in text)


def _caret(char: str) -> str:
    code = ord(char)
    if unicodedata.category(char) != "Cc":
        return char
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else f"<{code:02X}>"


def visible(data: bytes) -> str:
    """A candidate's bytes on one line: `·` space, `⏎` newline, `<F0 9F>` bytes that are no character."""
    if not data:
        return END_NAME
    return "".join(_shown(data))


def _shown(data: bytes) -> Iterator[str]:
    while data:
        try:
            text, broken, data = data.decode(), b"", b""
        except UnicodeDecodeError as error:
            text, broken = data[: error.start].decode(), data[error.start : error.end]
            data = data[error.end :]
        yield "".join(_mark(char) for char in text)
        if broken:
            yield f"<{broken.hex(' ').upper()}>"


def _mark(char: str) -> str:
    if char in _WHITE:
        return _WHITE[char]
    kind = unicodedata.category(char)
    if kind == "Cc":
        return _caret(char)
    hidden = kind in {"Cf", "Zl", "Zp", "Co", "Cn"} or (kind == "Zs")
    return f"<U+{ord(char):04X}>" if hidden else char
