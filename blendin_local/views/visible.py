"""Bytes and control characters made visible.

Here: pure functions from bytes or text to text. Nothing they return can move the cursor or change the writing
direction. Every text that did not come from this program goes through one of them.
Not here: colours and tables (`views.answer`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

END_NAME = "END"
MAX_MESSAGE = 1200
_BIDI_CONTROLS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_UNSAFE = frozenset({"Cs", "Zl", "Zp"})
_HIDDEN = _UNSAFE | {"Cf"}
_WHITE_SPACE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def escape_controls(text: str) -> str:
    """Text that is safe on a terminal: controls other than newline and tab in caret form (`^[` is ESC).

    Bidirectional controls, line and paragraph separators and lone surrogates are made visible too. Joiners of
    emoji and letters are kept: ordinary text needs them.
    """
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" else _escaped(char) for char in text)


def label(text: str) -> str:
    """A name or a message on one line, with all invisible characters shown."""
    if text.isprintable():
        return text
    return "".join(" " if char in "\n\t" else _escaped(char, hidden=_HIDDEN) for char in text)


def message_line(text: str) -> str:
    """An error message on one line; the middle of a very long one is left out."""
    if len(text) > MAX_MESSAGE:
        text = f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 4 :]}"
    return label(text)


def _escaped(char: str, hidden: frozenset[str] = _UNSAFE) -> str:
    kind = unicodedata.category(char)
    if kind == "Cc":
        return _caret(char)
    if kind == "Cs" and "\udc80" <= char <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"<{ord(char) - 0xDC00:02X}>"
    return f"<U+{ord(char):04X}>" if kind in hidden or char in _BIDI_CONTROLS else char


def _caret(char: str) -> str:
    code = ord(char)
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else f"<{code:02X}>"


def visible(data: bytes) -> str:
    """A candidate's bytes on one line: `·` space, `⏎` newline, `<F0 9F>` bytes that are not UTF-8."""
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
    if char in _WHITE_SPACE:
        return _WHITE_SPACE[char]
    kind = unicodedata.category(char)
    if kind == "Cc":
        return _caret(char)
    hidden = kind in {"Cf", "Zl", "Zp", "Co", "Cn"} or (kind == "Zs")
    return f"<U+{ord(char):04X}>" if hidden else char
