"""Code spans and links, whose inside is not read before their end has come.

Here: what was taken of one so far, and its pieces when it is complete.
Not here: when one begins, and what happens where none ends (`views.streaming.inline`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from blendin_local.views.streaming.pieces import Piece, joined

Outcome = Literal["goes on", "is complete", "is none"]
CODE, LINK, ADDRESS = ("md.code",), ("md.link",), ("md.mark",)
_ADDRESS = re.compile(r"""<?[^\s<>]+>?(\s+["'(].*)?""")
_ADDRESS_BEGUN = re.compile(r"""<?[^\s<>]*>?(\s+(["'(].*)?)?""")


@dataclass
class CodeSpan:
    """Code between backticks.

    Args:
        mark: The mark of its first backtick.
        length: How many backticks open it; as many close it.
    """

    mark: Hashable
    length: int
    raw: list[tuple[str, Hashable]] = field(default_factory=list)

    @property
    def opening(self) -> str:
        """What was written before `raw`."""
        return "`" * self.length

    @property
    def text(self) -> list[tuple[str, Hashable]]:
        """What a reader waits for."""
        return self.raw

    def take(self, part: str, mark: Hashable) -> Outcome:
        """Take text that is no closing run."""
        self.raw.append((part, mark))
        return "goes on"

    def pieces(self, *, keeps_marks: bool) -> list[Piece]:
        """The code, without the space that separates it from its backticks."""
        pieces = [Piece(part, mark, CODE) for part, mark in self.raw]
        text = "".join(part for part, _ in self.raw)
        if text.startswith(" ") and text.endswith(" ") and text.strip(" "):
            pieces[0] = pieces[0]._replace(text=pieces[0].text[1:])
            pieces[-1] = pieces[-1]._replace(text=pieces[-1].text[:-1])
        tick = Piece(self.opening, self.mark, CODE)
        return joined([tick, *pieces, tick] if keeps_marks else pieces)


@dataclass
class LinkSpan:
    """`[text](address)`, or a bracket that turns out to be no link.

    Args:
        mark: The mark of its opening bracket.
    """

    mark: Hashable
    opening: str = "["
    raw: list[tuple[str, Hashable]] = field(default_factory=list)
    _depth: int = 1
    _text_ends: int | None = None  # index in `raw` of the bracket that ends the text

    @property
    def text(self) -> list[tuple[str, Hashable]]:
        """What stands between the brackets, which a reader waits for."""
        return self.raw[: self._text_ends]

    @property
    def _address(self) -> list[tuple[str, Hashable]]:
        assert self._text_ends is not None
        return self.raw[self._text_ends + 2 : -1]

    def take(self, part: str, mark: Hashable) -> Outcome:
        """Take the next part: a bracket, another special character, or text."""
        self.raw.append((part, mark))
        if self._text_ends is None:
            self._depth += (part == "[") - (part == "]")
            if not self._depth:
                self._text_ends = len(self.raw) - 1
            return "goes on"
        if len(self.raw) == self._text_ends + 2:
            self._depth = 1
            return "goes on" if part == "(" else "is none"
        self._depth += (part == "(") - (part == ")")
        if self._depth:
            begun = "".join(text for text, _ in self.raw[self._text_ends + 2 :])
            return "goes on" if _ADDRESS_BEGUN.fullmatch(begun) else "is none"
        address = "".join(text for text, _ in self._address)
        return "is complete" if _ADDRESS.fullmatch(address) else "is none"

    def pieces(self, text: list[Piece]) -> list[Piece]:
        """The text, and the address in parentheses: what a link leads to is never hidden.

        Args:
            text: The pieces of the text.
        """
        shown = [piece._replace(looks=piece.looks + LINK) for piece in text]
        address = [Piece(part, mark, ADDRESS) for part, mark in self._address]
        if "".join(piece.text for piece in text) == "".join(piece.text for piece in address):
            return joined(shown)
        return joined([*shown, Piece(" (", None, ADDRESS), *address, Piece(")", None, ADDRESS)])


Span = CodeSpan | LinkSpan
