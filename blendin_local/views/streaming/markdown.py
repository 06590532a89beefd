"""Markdown read while it grows: which kind of line each line is.

Here: `MarkdownScanner` and `RawScanner`, from text to events. The beginning of a line is held back until its
kind is certain: mostly for one character, for a fence or a row of a table until the line ends.
Not here: what is inside a line (`views.streaming.inline`), layout (`views.streaming.wrapping`).

It is the Markdown of answers in a chat. Lines stay lines, and indented text is no code. HTML, images and
headings that are underlined stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Protocol

from blendin_local.views.streaming.characters import columns
from blendin_local.views.streaming.inline import MARK, InlineScanner
from blendin_local.views.streaming.pieces import NEWLINE, Event, LineStart, Piece, TableHead, TableRow, joined
from blendin_local.views.streaming.spans import CODE

Marked = list[tuple[str, Hashable]]  # characters with their marks

HEADING = ("md.heading",)
BULLET, BAR, RULE = "•", "│ ", "─" * 24
_LINES = re.compile(r"\n|[^\n]+")
_UNDECIDED = re.compile(
    r"""[ \t]*(
        | \#{1,6}[ \t]* | > | \+[ \t]* | \d{1,9} | \d{1,9}[.)][ \t]*
        | ([-*_])([ \t]*\2)*[ \t]*
        | `{1,2} | `{3,}[^`]* | ~{1,2} | ~{3,}.* | \|.*
    )""",
    re.VERBOSE,
)
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+")
_QUOTE = re.compile(r"[ \t]*> ?")
_ITEM = re.compile(r"([ \t]*)([-*+]|\d{1,9}[.)])[ \t]+")
_RULE = re.compile(r"[ \t]*([-*_])([ \t]*\1){2,}[ \t]*")
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*|.*)")
_DELIMITERS = re.compile(r"[ \t]*\|([ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-*:?[ \t]*")
_CELL_BREAK = re.compile(r"(?<!\\)\|")


class Scanner(Protocol):
    """Makes events of the text of an answer."""

    def feed(self, text: str, mark: Hashable) -> list[Event]:
        """Take the next part of the text; return what is decided."""

    def finish(self) -> list[Event]:
        """Return what is held at the end of the text."""


@dataclass(frozen=True, slots=True)
class _Fence:
    """The fence that opened a block of code."""

    char: str
    length: int
    indent: int

    def may_be_closed_by(self, line: str) -> bool:
        """Whether a line that begins so may close the block."""
        return not line.strip(" \t").strip(self.char) and " " not in line.strip(" \t")

    def is_closed_by(self, line: str) -> bool:
        """Whether this line closes the block."""
        return self.may_be_closed_by(line) and len(line.strip(" \t")) >= self.length


def _opened_fence(line: str) -> _Fence | None:
    found = _FENCE.fullmatch(line)
    if found is None or (found[2][0] == "`" and "`" in found[3]):
        return None
    return _Fence(found[2][0], len(found[2]), len(found[1]))


class RawScanner:
    """Text as it was written. Blocks of code are recognized, because they are not wrapped.

    Args:
        wraps: Whether the other lines are.
    """

    def __init__(self, *, wraps: bool = True) -> None:
        self._wraps = wraps
        self._line = ""
        self._fence: _Fence | None = None

    def feed(self, text: str, mark: Hashable) -> list[Event]:
        """Take the next part of the text; nothing is held."""
        events: list[Event] = []
        for part in _LINES.findall(text):
            if not self._line and (self._fence is not None or not self._wraps):
                events.append(LineStart(wraps=False))
            if part != "\n":
                self._line += part
                events.append(Piece(part, mark))
                continue
            events.append(NEWLINE)
            if self._fence is None:
                self._fence = _opened_fence(self._line)
            elif self._fence.is_closed_by(self._line):
                self._fence = None
            self._line = ""
        return events

    def finish(self) -> list[Event]:
        """Nothing is held."""
        return []


class MarkdownScanner:
    """Text as Markdown.

    Args:
        keeps_code_marks: Whether the backticks of code in a line are shown, where no style shows it.
    """

    def __init__(self, *, keeps_code_marks: bool = False) -> None:
        self._keeps_code_marks = keeps_code_marks
        self._start: Marked = []  # the beginning of a line whose kind is not certain
        self._prefix: list[Piece] = []
        self._hanging: list[Piece] = []
        self._is_quoted = False
        self._body: InlineScanner | None = None
        self._fence: _Fence | None = None
        self._is_in_code = False  # within a line of code
        self._head: Marked | None = None  # a line that may be the head of a table
        self._n_cells = 0  # of the rows of the table that this is in; 0 for none
        self._events: list[Event] = []

    def feed(self, text: str, mark: Hashable) -> list[Event]:
        """Take the next part of the text; return what is decided."""
        for part in _LINES.findall(text):
            if part == "\n":
                self._end_line(is_last=False)
            else:
                self._take(part, mark)
        return self._taken()

    def finish(self) -> list[Event]:
        """Return what is held at the end of the text."""
        self._end_line(is_last=True)
        self._leave_table()
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _take(self, part: str, mark: Hashable) -> None:
        """Take text without newlines."""
        for at, char in enumerate(part):
            if self._body is not None:
                self._events += self._body.feed(part[at:], mark)
                return
            if self._is_in_code:
                self._events.append(Piece(part[at:], mark, CODE))
                return
            self._start.append((char, mark))
            self._decide()

    def _decide(self) -> None:
        """Begin the line as soon as the beginning shows what it is."""
        text = _text(self._start)
        if self._fence is not None:
            if not self._fence.may_be_closed_by(text):
                self._begin_code(self._fence)
            return
        while not _UNDECIDED.fullmatch(text):
            if found := _HEADING.match(text):
                self._cut(found.end())
                self._begin_text(HEADING)
                return
            if found := _QUOTE.match(text):
                self._add_before_text([Piece(BAR, self._cut(found.end())[-1][1], MARK)])
                self._is_quoted = True
            elif found := _ITEM.match(text):
                self._begin_item(found)
            else:
                self._begin_text()
                return
            text = _text(self._start)

    def _cut(self, n: int) -> Marked:
        """Take the first `n` characters of the line away."""
        cut, self._start = self._start[:n], self._start[n:]
        return cut

    def _add_before_text(self, prefix: list[Piece], hanging: list[Piece] | None = None) -> None:
        self._prefix += prefix
        self._hanging += prefix if hanging is None else hanging

    def _begin_item(self, found: re.Match[str]) -> None:
        """Begin the item of a list; its further rows are indented as far as its text."""
        indent, marker = found[1], found[2]
        cut = self._cut(found.end())[len(indent) : len(indent) + len(marker)]
        label = [Piece(BULLET if char in "-*+" else char, mark) for char, mark in cut]
        space = Piece(" " * (len(indent) + len(marker) + 1))
        self._add_before_text([Piece(indent), *label, Piece(" ")], [space])

    def _begin_text(self, looks: tuple[str, ...] = ()) -> None:
        """Begin a line of text: what was held is its first part."""
        self._leave_table()
        text = _text(self._start)
        indent = len(text) - len(text.lstrip(" \t"))
        self._add_before_text([Piece(char, mark) for char, mark in self._cut(indent)])
        self._begin_line()
        self._body = InlineScanner(looks, self._keeps_code_marks)
        for char, mark in self._cut(len(self._start)):
            self._events += self._body.feed(char, mark)

    def _begin_line(self, *, wraps: bool = True) -> None:
        self._events.append(LineStart(tuple(joined(self._prefix)), tuple(joined(self._hanging)), wraps))
        self._prefix, self._hanging, self._is_quoted = [], [], False

    def _begin_code(self, fence: _Fence) -> None:
        """Begin a line of code, without the indentation of its fence."""
        text = _text(self._start)
        self._cut(min(fence.indent, len(text) - len(text.lstrip(" "))))
        self._begin_line(wraps=False)
        self._events += [Piece(char, mark, CODE) for char, mark in self._cut(len(self._start))]
        self._is_in_code = True

    def _end_line(self, *, is_last: bool) -> None:
        """End a line, or the text if `is_last`; a beginning that is still undecided is decided now."""
        text = _text(self._start)
        if self._body is not None:
            self._events += self._body.finish()
        elif self._fence is not None:
            self._end_code(text)
        elif text.lstrip(" \t").startswith("|") and not self._prefix:
            if self._end_table_line(is_last=is_last):
                return
        elif text or not is_last:
            self._end_undecided(text)
        self._body, self._is_in_code = None, False
        if not is_last:
            self._events.append(NEWLINE)

    def _end_code(self, text: str) -> None:
        assert self._fence is not None
        if self._fence.is_closed_by(text):
            self._show_fence()
            self._fence = None
        elif self._start:
            self._begin_code(self._fence)

    def _end_undecided(self, text: str) -> None:
        """Show a line that ended before its kind was certain."""
        self._leave_table()
        fence = None if self._is_quoted else _opened_fence(text)
        if fence is not None:
            before = sum(columns(piece.text) for piece in self._prefix)  # of the item it stands in
            self._fence = replace(fence, indent=fence.indent + before)
            self._show_fence()
        elif _RULE.fullmatch(text):
            mark = self._cut(len(text))[-1][1]
            self._begin_line()
            self._events.append(Piece(RULE, mark, MARK))
        else:
            self._begin_text()
            self._events += self._body.finish() if self._body is not None else []

    def _show_fence(self) -> None:
        self._begin_line(wraps=False)
        self._events += [Piece(char, mark, MARK) for char, mark in self._cut(len(self._start))]

    def _end_table_line(self, *, is_last: bool) -> bool:
        """Take a line that begins with a bar; returns whether it is shown or held with its newline."""
        line = self._cut(len(self._start))
        if self._n_cells:
            self._events.append(TableRow(self._cells(line, self._n_cells)))
            return True
        head = self._head and _table_head(_text(self._head), _text(line))
        if head:
            assert self._head is not None
            self._n_cells = len(head.columns)
            cells = self._cells(self._head, self._n_cells, HEADING)
            self._events.append(TableRow(cells, head))
            self._head = None
            return True
        self._leave_table()
        if not is_last:
            self._head = line
            return True
        self._start = line
        self._begin_text()
        self._events += self._body.finish() if self._body is not None else []
        return False

    def _leave_table(self) -> None:
        """A line comes that is no row; a line that waited for the rest of its table is text."""
        self._n_cells = 0
        if self._head is None:
            return
        head, self._head = self._head, None
        waiting = self._start, self._prefix, self._hanging
        self._start, self._prefix, self._hanging = head, [], []
        self._begin_text()
        self._events += [*(self._body.finish() if self._body is not None else []), NEWLINE]
        self._body = None
        self._start, self._prefix, self._hanging = waiting

    def _cells(self, line: Marked, n: int, looks: tuple[str, ...] = ()) -> tuple[tuple[Piece, ...], ...]:
        """The first `n` cells of a line; what is beyond them stays in the last."""
        cells = _split(line)
        for extra in cells[n:]:
            cells[n - 1] += [("|", None), *extra]
        shown = []
        for cell in [*cells[:n], *[[] for _ in range(n - len(cells))]]:
            while cell and cell[-1][0] == " ":
                cell.pop()
            while cell and cell[0][0] == " ":
                del cell[0]
            scanner = InlineScanner(looks, self._keeps_code_marks)
            pieces = [piece for char, mark in cell for piece in scanner.feed(char, mark)]
            shown.append(tuple(joined([*pieces, *scanner.finish()])))
        return tuple(shown)


def _text(characters: Marked) -> str:
    return "".join(char for char, _ in characters)


def _split(line: Marked) -> list[Marked]:
    """The cells between the bars of a line, with the space around them."""
    text = _text(line)
    ends = [found.start() for found in _CELL_BREAK.finditer(text)]
    cells = [line[a + 1 : b] for a, b in zip(ends, [*ends[1:], len(line)], strict=True)]
    return cells[:-1] if len(cells) > 1 and not _text(cells[-1]).strip() else cells


def _table_head(head: str, delimiters: str) -> TableHead | None:
    """The columns of a table, if the second of two lines is the rule below its head."""
    if not _DELIMITERS.fullmatch(delimiters) or "-" not in delimiters:
        return None
    names, rules = (_split([(char, None) for char in line]) for line in (head, delimiters))
    if len(names) != len(rules):
        return None
    widths = [
        max(columns(_text(name).strip()), columns(_text(name)) - 2, len(rule) - 2)
        for name, rule in zip(names, rules, strict=True)
    ]
    return TableHead(tuple(widths), tuple(_alignment(_text(rule).strip()) for rule in rules))


def _alignment(rule: str) -> str:
    if rule.endswith(":"):
        return "center" if rule.startswith(":") else "right"
    return "left"


def scanner_for(*, markdown: bool, keeps_code_marks: bool, wraps: bool = True) -> Scanner:
    """The scanner of an answer that is shown as Markdown, or as it was written, wrapped or not."""
    return MarkdownScanner(keeps_code_marks=keeps_code_marks) if markdown else RawScanner(wraps=wraps)
