"""Writes an answer while it grows.

Here: `AnswerPrinter`. On a terminal it wraps words, shows Markdown and marks steps; elsewhere it writes the
answer's own bytes.
Not here: how a step is marked (`views.answer`), the layout (`views.streaming`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from rich.console import COLOR_SYSTEMS, Console
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.style import Style
from rich.text import Text

from blendin_local.core.records import Completion, Step
from blendin_local.core.shown_steps import shown_steps
from blendin_local.views.answer import View, styled_step
from blendin_local.views.streaming.markdown import scanner_for
from blendin_local.views.streaming.pieces import NEWLINE, EraseBack, Event, Operation, Piece
from blendin_local.views.streaming.wrapping import StreamWrapper
from blendin_local.views.streams import naming_stdout, write_utf8
from blendin_local.views.theme import mark_kind

HOLD_COLUMNS = 16  # of an unfinished word; hardly a word is longer, and addresses are not waited for


class AnswerPrinter:
    """Writes an answer step by step.

    On a terminal, words are wrapped at its width, which is read anew for each step; steps are marked and
    control characters made visible. Nothing above the current row is rewritten, and on a terminal that knows
    no escapes (TERM=dumb) nothing at all. Elsewhere only the answer's own UTF-8 bytes are written, or the
    marked text where colours are forced.

    Args:
        console: Where the answer goes.
        view: What the marks show.
        markdown: Whether a terminal shows Markdown rather than the text as it was written. Not where styles
            cannot be shown, steps are marked by characters, or the locale lacks the characters.
        is_data: Whether the answer is data, such as JSON: it is shown as it was written, and its lines are
            not wrapped between words, so that they can be copied.
    """

    def __init__(
        self, console: Console, view: View = "source", *, markdown: bool = False, is_data: bool = False
    ) -> None:
        self._console = console
        self._view: View = view
        self._at_line_start = True
        self._is_terminal = console.is_terminal
        self._marks = mark_kind(console)
        self._screen = (
            _Screen(console, markdown=markdown and not is_data, wraps=not is_data)
            if self._is_terminal and _is_tty(console)
            else None
        )

    def feed(self, step: Step, text: str) -> None:
        """Write what `step` added, as far as its layout is certain, and flush it."""
        if not text:
            return
        if self._screen is not None:
            self._screen.feed(styled_step(step, text, self._view, self._marks))
            return
        self._at_line_start = text.endswith("\n")
        if self._is_terminal:
            segments = styled_step(step, text, self._view, self._marks).render(self._console)
            self._console.print(Segments(segments), end="", soft_wrap=True)
        elif self._marks == "ascii":
            write_utf8(self._console.file, styled_step(step, text, self._view, self._marks).plain)
        else:
            write_utf8(self._console.file, text)

    def flush(self) -> None:
        """Write what is held back."""
        if self._screen is not None:
            self._screen.flush()
            self._at_line_start = self._screen.at_line_start

    def finish(self) -> None:
        """Write what is held back, and end the last line unless it has ended."""
        self.flush()
        if self._at_line_start:
            return
        self._at_line_start = True
        if self._screen is not None:
            self._screen.end_line()
        elif self._is_terminal:
            self._console.print()
        else:
            write_utf8(self._console.file, "\n")

    def print(self, answer: Completion | str) -> None:
        """Write an answer that is known already as it was shown when it grew; a text alone has no marks."""
        if isinstance(answer, str):
            self.feed(Step(0, answer.encode(), "base"), answer)
        else:
            for step, text in shown_steps(answer):
                self.feed(step, text)
        self.finish()


class _Screen:
    """An answer on a terminal: scanned, wrapped and written."""

    def __init__(self, console: Console, *, markdown: bool, wraps: bool) -> None:
        can_style = not console.is_dumb_terminal
        self._console = console
        self._width = _width_of(console)
        self._wrapper = StreamWrapper(self._width(), HOLD_COLUMNS if can_style else None)
        can_render = can_style and mark_kind(console) != "ascii" and console.encoding.startswith("utf")
        keeps_code_marks = not _shows(console, "md.code")
        self._scanner = scanner_for(
            markdown=markdown and can_render, keeps_code_marks=keeps_code_marks, wraps=wraps
        )
        self._styles: dict[tuple[object, ...], Style | None] = {}

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the current row."""
        return self._wrapper.column == 0

    def feed(self, text: Text) -> None:
        """Write what is certain of a text."""
        events: list[Event] = []
        for part, mark in _marked(text):
            events += self._scanner.feed(part, mark)
        self._wrapper.resize(self._width())
        self._write(self._wrapper.feed(events))

    def flush(self) -> None:
        """Write what is held back."""
        self._write([*self._wrapper.feed(self._scanner.finish()), *self._wrapper.finish()])

    def end_line(self) -> None:
        """Begin the next row."""
        self._write(self._wrapper.feed([NEWLINE]))

    def _write(self, operations: list[Operation]) -> None:
        """Write everything at once, so that nothing flickers. rich does the same ten times slower."""
        if not operations:
            return
        segments = [self._segment(operation) for operation in operations]
        if self._console.legacy_windows:
            self._console.print(Segments(segments), end="", soft_wrap=True)
            return
        name = self._console.color_system
        colors = COLOR_SYSTEMS[name] if name else None
        parts = (style.render(text, color_system=colors) if style else text for text, style, _ in segments)
        with naming_stdout():
            self._console.file.write("".join(parts))
            self._console.file.flush()

    def _segment(self, operation: Operation) -> Segment:
        if isinstance(operation, EraseBack):
            back = (ControlType.CURSOR_BACKWARD, operation.columns)
            return Control(back, (ControlType.ERASE_IN_LINE, 0)).segment
        return Segment(operation.text, self._style(operation))

    def _style(self, piece: Piece) -> Style | None:
        """Markdown's styles, the inner ones over the outer ones, and the mark over all."""
        key = piece[1:]
        if key not in self._styles:
            names = [*reversed(piece.looks), *([piece.mark] if isinstance(piece.mark, str | Style) else [])]
            style = Style.combine([Style.null(), *map(self._console.get_style, names)])
            self._styles[key] = style.without_color if self._console.no_color else style
        return self._styles[key]


def _marked(text: Text) -> Iterator[tuple[str, object]]:
    """The parts of a text, each with its style; the styles of steps do not overlap."""
    at = 0
    for start, end, style in text.spans:
        if start > at:
            yield text.plain[at:start], None
        yield text.plain[start:end], style
        at = end
    if at < len(text.plain):
        yield text.plain[at:], None


def _is_tty(console: Console) -> bool:
    return console.file.isatty()


def _shows(console: Console, name: str) -> bool:
    """Whether a style can be seen on this console."""
    style = console.get_style(name)
    return (style.without_color if console.no_color else style).render("x") != "x"


def _width_of(console: Console) -> Callable[[], int]:
    """What tells the columns of the terminal; always the same where the user gave COLUMNS."""
    try:
        descriptor = console.file.fileno()
        columns = os.get_terminal_size(descriptor).columns
    except (OSError, ValueError):
        return lambda: console.width
    if not columns or os.environ.get("COLUMNS", "").isdecimal():
        return lambda: console.width
    return lambda: os.get_terminal_size(descriptor).columns
