"""GBNF text as rules, by the same syntax as llama.cpp's own parser.

Here: `parse`; errors name line and column.
Not here: what follows from the rules (`grammar.gbnf.analysis`).
"""

from __future__ import annotations

import re
from typing import NoReturn

from blendin_local.errors import UsageError
from blendin_local.grammar.gbnf.nodes import (
    ANY_CHARACTER,
    Characters,
    Choice,
    Literal,
    Node,
    Reference,
    Repeated,
    Rules,
    Sequence,
)

MAX_NESTING = 50
LAST_CODE_POINT = 0x10FFFF
SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
NAME = re.compile(r"[a-zA-Z0-9_-]+")
NUMBER = re.compile(r"[0-9]{1,9}")
LINE_END = re.compile(r"\r\n|\r|\n|\Z")
ESCAPES = {"t": "\t", "r": "\r", "n": "\n", **{each: each for each in '\\"[]-'}}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def parse(text: str) -> Rules:
    """The rules of a grammar, in order.

    Raises:
        UsageError: It is not GBNF; the message has line and column.
    """
    return _Parser(text).rules()


class _Parser:
    """A text and the position in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def rules(self) -> Rules:
        found: Rules = {}
        places: dict[str, int] = {}
        self.skip(lines=True)
        while self.at < len(self.text):
            start = self.at
            name = self.name("the name of a rule")
            if name in found:
                line = self.line_of(places[name])
                self.fail(f"the rule {name} is there twice, first in line {line}", start)
            self.skip()
            self.expect("::=")
            self.skip(lines=True)
            places[name] = start
            found[name] = self.choice(0)
            self.line_end()
            self.skip(lines=True)
        return found

    def choice(self, nesting: int) -> Node:
        if nesting > MAX_NESTING:
            self.fail(f"more than {MAX_NESTING} parentheses are open: give parts a rule of their own")
        parts = [self.sequence(nesting)]
        while self.next_is("|"):
            self.at += 1
            self.skip(lines=True)
            parts.append(self.sequence(nesting))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def sequence(self, nesting: int) -> Node:
        parts: list[Node] = []
        while (part := self.part(nesting)) is not None:
            self.skip(lines=nesting > 0)
            while (times := self.repetition(nesting)) is not None:
                part = Repeated(part, *times)
                self.skip(lines=nesting > 0)
            parts.append(part)
        if self.here() in {"*", "+", "?", "{"}:
            self.fail(f"there is nothing that {self.here()} could repeat")
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def part(self, nesting: int) -> Node | None:
        here = self.here()
        if here == '"':
            return self.literal()
        if here == "[":
            return self.characters()
        if here == "(":
            return self.group(nesting)
        if here == ".":
            self.at += 1
            return ANY_CHARACTER
        if here in {"<", "!"}:
            self.fail("tokens such as <think> are not supported, since the two models have different ones")
        return Reference(self.name("a rule")) if here and NAME.match(here) else None

    def group(self, nesting: int) -> Node:
        start = self.at
        self.at += 1
        self.skip(lines=True)
        inside = self.choice(nesting + 1)
        if not self.next_is(")"):
            self.fail("this parenthesis is not closed", start)
        self.at += 1
        return inside

    def literal(self) -> Node:
        start = self.at
        self.at += 1
        found: list[str] = []
        while not self.next_is('"'):
            found.append(self.character(start, "this quotation mark is not closed"))
        self.at += 1
        return Literal("".join(found))

    def characters(self) -> Node:
        start = self.at
        self.at += 1
        negated = self.next_is("^")
        self.at += negated
        ranges: list[tuple[int, int]] = []
        unclosed = "this bracket is not closed"
        while not self.next_is("]"):
            place = self.at
            first = last = ord(self.character(start, unclosed))
            if self.next_is("-") and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = ord(self.character(start, unclosed))
            if last < first:
                self.fail("this range of characters ends before it begins", place)
            ranges.append((first, last))
        self.at += 1
        if not ranges:
            self.fail("there is no character between these brackets", start)
        return Characters(tuple(ranges), negated)

    def character(self, start: int, unclosed: str) -> str:
        """The next character of a literal or a set, escaped or not."""
        here = self.here()
        if not here or (here == "\\" and self.at + 1 == len(self.text)):
            self.fail(unclosed, start)
        if here != "\\":
            self.at += 1
            return here
        kind = self.text[self.at + 1]
        if kind in HEX_DIGITS:
            return self.code_point(HEX_DIGITS[kind])
        if kind not in ESCAPES:
            self.fail(f"there is no escape \\{kind}")
        self.at += 2
        return ESCAPES[kind]

    def code_point(self, n_digits: int) -> str:
        digits = self.text[self.at + 2 : self.at + 2 + n_digits]
        if not re.fullmatch(rf"[0-9a-fA-F]{{{n_digits}}}", digits):
            self.fail(f"this escape needs {n_digits} hexadecimal digits")
        code = int(digits, 16)
        if code > LAST_CODE_POINT or 0xD800 <= code <= 0xDFFF:
            self.fail("there is no character with this number")
        self.at += 2 + n_digits
        return chr(code)

    def repetition(self, nesting: int) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        here = self.here()
        if here in simple:
            self.at += 1
            return simple[here]
        if here != "{":
            return None
        start = self.at
        self.at += 1
        least = self.number(nesting)
        most: int | None = least
        if self.next_is(","):
            self.at += 1
            self.skip(lines=nesting > 0)
            most = None if self.next_is("}") else self.number(nesting)
        self.expect("}")
        if most is not None and most < least:
            self.fail("the largest number of times is below the smallest", start)
        return least, most

    def number(self, nesting: int) -> int:
        self.skip(lines=nesting > 0)
        match = NUMBER.match(self.text, self.at)
        if match is None:
            self.fail("a number of times is missing")
        self.at = match.end()
        self.skip(lines=nesting > 0)
        return int(match[0])

    def name(self, what: str) -> str:
        match = NAME.match(self.text, self.at)
        if match is None:
            self.fail(f"{what} is missing")
        self.at = match.end()
        return match[0]

    def line_end(self) -> None:
        match = LINE_END.match(self.text, self.at)
        if match is None:
            self.fail("a rule must end with its line here")
        self.at = match.end()

    def expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            self.fail(f"{mark} is missing")
        self.at += len(mark)

    def skip(self, *, lines: bool = False) -> None:
        match = (SPACE_AND_LINES if lines else SPACE).match(self.text, self.at)
        self.at = match.end() if match else self.at

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def next_is(self, mark: str) -> bool:
        return self.here() == mark

    def line_of(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        at = self.at if at is None else at
        column = at - self.text.rfind("\n", 0, at)
        raise UsageError(
            f"the grammar is not valid at line {self.line_of(at)}, column {column}: {problem}", "correct it"
        )
