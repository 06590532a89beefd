"""Emphasis, code and links within one line of Markdown, while the line grows.

Here: `InlineScanner`, from text to pieces. It follows CommonMark's rules for delimiter runs, line by line.
Not here: what a line is (`views.streaming.markdown`).

What may be syntax is held back until that is decided: an opening `**` until its end comes, so that one which
never ends is shown as it was written. Where that would take more than `MAX_HELD` columns, the opening is
shown as it was and the text after it gets its style: no text waits long, and none is lost.

Apart from CommonMark: a `*` between two letters or digits of ASCII is itself (`2*3*4`), and so is a name such
as `__init__`. Emphasis may end beside wide characters as it does beside spaces, since Chinese and Japanese
have none. A backslash stays before brackets, where LaTeX has it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass, field

from blendin_local.views.streaming.characters import char_columns, columns
from blendin_local.views.streaming.pieces import Piece, joined
from blendin_local.views.streaming.spans import CodeSpan, LinkSpan, Span

MAX_HELD = 60  # columns
MARK = ("md.mark",)
EMPHASIS, STRONG = "md.emphasis", "md.strong"
_PARTS = re.compile(r"[*_`\\\[\]()]|[^*_`\\\[\]()]+")
_ESCAPABLE = frozenset("*_`#+-.!|<>~")
_NAME = re.compile(r"\w+", re.ASCII)


@dataclass(slots=True)
class _Node:
    """Text that is held, and whether emphasis may begin there.

    Attributes:
        piece: The text; of a delimiter, what is left of it.
        length: The length of the delimiter as it was written; 0 for text and for what is decided.
        closes: Whether the delimiter could have closed too.
    """

    piece: Piece
    length: int = 0
    closes: bool = False

    def style(self, look: str) -> None:
        """Add a style."""
        self.piece = self.piece._replace(looks=(*self.piece.looks, look))


@dataclass(slots=True)
class _Run:
    """Equal characters whose end has not come yet."""

    char: str
    length: int
    mark: Hashable
    before: str


@dataclass(slots=True)
class _Open:
    """Emphasis or code that began too long ago to wait for its end."""

    char: str
    length: int
    looks: tuple[str, ...]


@dataclass
class InlineScanner:
    """The pieces of one line.

    Args:
        looks: The styles of the whole line.
        keeps_code_marks: Whether the backticks of code are shown.
    """

    looks: tuple[str, ...] = ()
    keeps_code_marks: bool = False
    _nodes: list[_Node] = field(default_factory=list)
    _run: _Run | None = None
    _span: Span | None = None
    _open: list[_Open] = field(default_factory=list)
    _before: str = " "
    _escape: Piece | None = None

    def feed(self, text: str, mark: Hashable) -> list[Piece]:
        """Take text without newlines; return what is decided."""
        for part in _PARTS.findall(text):
            self._take(part, mark)
            while self._is_holding() and self._held_columns() > MAX_HELD:
                self._stop_holding()
        return self._decided()

    def finish(self) -> list[Piece]:
        """Return what is held at the end of the line, as it was written."""
        self._end_run(" ")
        while self._span is not None:
            self._give_up_span()
            self._end_run(" ")
        self._end_escape()
        for node in self._nodes:
            node.length = 0
        return self._decided()

    def _take(self, part: str, mark: Hashable) -> None:
        if self._run is not None and part[0] == self._run.char:
            self._run.length += len(part)
            return
        self._end_run(part[0])
        if self._span is not None:
            self._take_in_span(part, mark)
        elif self._escape is not None:
            self._take_escaped(part, mark)
        elif part[0] == "`" or (part in {"*", "_"} and not self._is_in_code()):
            self._run = _Run(part[0], len(part), mark, self._before)
        elif part == "\\" and not self._is_in_code():
            self._escape = Piece(part, mark)
        elif part == "[" and self._before != "!" and not self._is_in_code():
            self._span = LinkSpan(mark)
        else:
            self._add(part, mark)

    def _take_in_span(self, part: str, mark: Hashable) -> None:
        assert self._span is not None
        if isinstance(self._span, CodeSpan) and part[0] == "`":
            self._run = _Run("`", len(part), mark, self._before)
            return
        outcome = self._span.take(part, mark)
        if outcome == "is none":
            self._give_up_span()
        elif outcome == "is complete":
            self._end_span()

    def _take_escaped(self, part: str, mark: Hashable) -> None:
        """Take what comes after a backslash: punctuation loses its meaning and the backslash."""
        if part[0] not in _ESCAPABLE:
            self._end_escape()
            self._take(part, mark)
            return
        self._escape = None
        self._add(part[0], mark)
        if part[1:]:
            self._take(part[1:], mark)

    def _end_escape(self) -> None:
        if self._escape is not None:
            backslash, self._escape = self._escape, None
            self._add(*backslash[:2])

    def _is_in_code(self) -> bool:
        return any(each.char == "`" for each in self._open)

    def _add(self, text: str, mark: Hashable, looks: tuple[str, ...] = (), *, length: int = 0) -> _Node:
        """Add text in the styles that are open."""
        around = tuple(look for each in self._open for look in each.looks)
        node = _Node(Piece(text, mark, looks + around), length)
        self._nodes.append(node)
        self._before = text[-1]
        return node

    def _end_run(self, after: str) -> None:
        """Decide what a run of equal characters is, given the character after it."""
        if self._run is None:
            return
        run, self._run = self._run, None
        if run.char == "`":
            self._end_backticks(run)
            return
        opens, closes = _flanks(run, after)
        length = run.length
        if closes:
            self._close(run, opens=opens)
        if run.length:
            node = self._add(run.char * run.length, run.mark, length=length if opens else 0)
            node.closes = closes

    def _end_backticks(self, run: _Run) -> None:
        text = "`" * run.length
        if isinstance(self._span, CodeSpan):
            if self._span.length == run.length:
                self._end_span()
            else:
                self._span.take(text, run.mark)
        elif not self._is_in_code():
            self._span = CodeSpan(run.mark, run.length)
        elif self._open[-1].length == run.length:
            self._open.pop()
            self._add(text, run.mark, MARK)
        else:
            self._add(text, run.mark)

    def _close(self, run: _Run, *, opens: bool) -> None:
        """End the emphasis that a run of `*` or `_` closes; what is left of the run stays in it."""
        length = run.length
        while run.length and (at := self._opener(run.char, length, opens=opens)) is not None:
            opener, inside = self._nodes[at], self._nodes[at + 1 :]
            used = 2 if min(len(opener.piece.text), run.length) > 1 else 1
            if run.char == "_" and used == 2 and _is_name(inside):
                opener.length = 0
                return
            for node in inside:
                node.style(STRONG if used == 2 else EMPHASIS)
                node.length = 0
            run.length -= used
            opener.piece = opener.piece._replace(text=opener.piece.text[used:])
            if not opener.piece.text:
                del self._nodes[at]
            self._before = run.char
        for each in [each for each in reversed(self._open) if each.char == run.char]:
            if each.length <= run.length:
                self._open.remove(each)
                self._add(run.char * each.length, run.mark, MARK)
                run.length -= each.length

    def _opener(self, char: str, length: int, *, opens: bool) -> int | None:
        """Where the nearest held delimiter is that a run of this length closes (the rule of three)."""
        for at in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[at]
            if node.length and node.piece.text[0] == char:
                both = opens or node.closes
                if not (both and (node.length + length) % 3 == 0 and (node.length % 3 or length % 3)):
                    return at
        return None

    def _end_span(self) -> None:
        """Add the pieces of a code span or link that is complete."""
        span, self._span = self._span, None
        if isinstance(span, LinkSpan):
            inner = InlineScanner(keeps_code_marks=self.keeps_code_marks)
            text = [piece for raw in span.text for piece in inner.feed(*raw)] + inner.finish()
            pieces = span.pieces(text)
        elif span is not None:
            pieces = span.pieces(keeps_marks=self.keeps_code_marks)
        for piece in pieces:
            self._add(*piece)
        self._before = ")"

    def _give_up_span(self) -> None:
        """Read what began as a code span or link as text; only its beginning is certain to be none."""
        span, self._span = self._span, None
        if span is not None:
            self._add(span.opening, span.mark)
            for part, mark in span.raw:
                self._take(part, mark)

    def _is_holding(self) -> bool:
        return self._span is not None or any(node.length for node in self._nodes)

    def _held_columns(self) -> int:
        """The columns of the text that has to wait, from the first delimiter or the beginning of a span."""
        first = next((at for at, node in enumerate(self._nodes) if node.length), len(self._nodes))
        held = [node.piece.text for node in self._nodes[first:]]
        held += [part for part, _ in (self._span.text if self._span else ())]
        return sum(map(columns, held))

    def _stop_holding(self) -> None:
        """Show the delimiters that are held as they were written; the text after them gets their style."""
        if isinstance(self._span, LinkSpan):
            self._give_up_span()
            return
        around: list[str] = []
        for node in self._nodes:
            for look in around:
                node.style(look)
            if node.length:
                begun = _Open(node.piece.text[0], len(node.piece.text), _looks_of(len(node.piece.text)))
                node.piece, node.length = node.piece._replace(looks=(*node.piece.looks, *MARK)), 0
                self._open.append(begun)
                around += begun.looks
        if isinstance(self._span, CodeSpan):
            span, self._span = self._span, None
            self._add(span.opening, span.mark, MARK)
            self._open.append(_Open("`", span.length, ("md.code",)))
            for part, mark in span.raw:
                self._add(part, mark)

    def _decided(self) -> list[Piece]:
        if any(node.length for node in self._nodes):
            return []
        nodes, self._nodes = self._nodes, []
        return joined(node.piece._replace(looks=node.piece.looks + self.looks) for node in nodes)


def _looks_of(length: int) -> tuple[str, ...]:
    """The styles of a delimiter of that many characters."""
    return {1: (EMPHASIS,), 2: (STRONG,)}.get(length, (EMPHASIS, STRONG))


def _is_name(nodes: list[_Node]) -> bool:
    return _NAME.fullmatch("".join(node.piece.text for node in nodes)) is not None


def _flanks(run: _Run, after: str) -> tuple[bool, bool]:
    """Whether a run may open and whether it may close emphasis, by the characters around it."""
    before = run.before
    left = not after.isspace() and (not _is_punctuation(after) or _is_open(before))
    right = not before.isspace() and (not _is_punctuation(before) or _is_open(after))
    if run.char == "_":
        return left and (not right or _is_punctuation(before)), right and (not left or _is_punctuation(after))
    if all(char.isascii() and char.isalnum() for char in (before, after)):
        return False, False
    return left, right


def _is_open(char: str) -> bool:
    return char.isspace() or _is_punctuation(char) or char_columns(char) == 2


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS" and char_columns(char) < 2
