"""Words wrapped at the edge of a terminal while they arrive.

Here: `StreamWrapper`, from events to operations, and `wrapped`, the rows of a text that is whole.
Not here: what the events come from (`views.streaming.markdown`), writing (`views.answer_printer`).

A word is held back until it ends, because only then it is known whether it fits. The first word of a row is
not: it cannot be better placed. Nor is what is longer than `hold` columns, such as an address: it is shown as
it grows, and if it reaches the edge it is moved to a row of its own, the one thing that is ever rewritten.
The layout does not depend on how the text was cut into events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blendin_local.views.streaming.characters import (
    EMOJI_STYLE,
    SPACES,
    char_columns,
    columns,
    continues_cluster,
    may_break,
    may_grow,
    space_columns,
)
from blendin_local.views.streaming.pieces import (
    NEWLINE,
    EraseBack,
    Event,
    LineStart,
    Operation,
    Piece,
    TableRow,
    joined,
)
from blendin_local.views.streaming.tables import BAR, TableLayout

MIN_WIDTH = 4  # columns; a terminal that is narrower is written as if it had these


@dataclass(slots=True)
class _Cluster:
    """A visible character: what no line break and no change of style may come into."""

    piece: Piece
    columns: int

    def add(self, char: str) -> None:
        """Add a character that continues it."""
        grows = self.columns == 1 and char == EMOJI_STYLE
        self.columns += 1 if grows else char_columns(char)
        self.piece = self.piece._replace(text=self.piece.text + char)


class StreamWrapper:
    """Lays a growing text out in rows.

    Args:
        width: Columns of the terminal.
        hold: Columns of an unfinished word from which on it is shown before it ends, and moved if need be.
            None holds every word back to its end, and only appends.
    """

    def __init__(self, width: int, hold: int | None = None) -> None:
        self._width = max(width, MIN_WIDTH)
        self._hold = hold
        self._line = LineStart()
        self._column = 0
        self._is_fresh = True  # the row holds nothing but what stands before its text
        self._spaces: list[Piece] = []
        self._word: list[_Cluster] = []
        self._word_columns = 0
        self._n_shown = 0  # clusters of the word that are on the screen
        self._moves_from: int | None = None  # the column of a word that may still be moved to the next row
        self._table: TableRow | None = None  # its head
        self._operations: list[Operation] = []

    @property
    def column(self) -> int:
        """The column at which the next text comes; 0 at the beginning of a line."""
        return self._column

    def resize(self, width: int) -> None:
        """Use another width from the next word on. A row that is longer by now gets no further text."""
        if max(width, MIN_WIDTH) != self._width:
            self._width = max(width, MIN_WIDTH)
            self._moves_from = None  # terminals that wrap the row anew have moved it already

    def feed(self, events: Iterable[Event]) -> list[Operation]:
        """Take what comes next; return what can be shown of it."""
        for event in events:
            if isinstance(event, TableRow):
                self._add_row(event)
            elif isinstance(event, LineStart):
                self._begin_line(event)
            elif event.text == "\n":
                self._end_line()
            elif self._line.wraps:
                self._add_text(event)
            else:
                self._write(event, columns(event.text))
        self._show_begun_word()
        return self._taken()

    def finish(self) -> list[Operation]:
        """Show what is held back."""
        self._end_word()
        self._write_spaces_if_they_fit()
        return self._taken()

    def _taken(self) -> list[Operation]:
        operations, self._operations = self._operations, []
        return operations

    def _add_text(self, piece: Piece) -> None:
        text, mark, looks = piece
        for char in text:
            if char in SPACES:
                self._end_word()
                self._spaces.append(Piece(char, mark, looks))
            elif self._word and continues_cluster(self._word[-1].piece.text, char):
                self._extend_word(char)
            else:
                if self._word and may_break(self._word[-1].piece.text, char):
                    self._end_word()
                width = char_columns(char)
                self._word.append(_Cluster(Piece(char, mark, looks), width))
                self._word_columns += width

    def _extend_word(self, char: str) -> None:
        """Add a character to the last cluster, on the screen too if it is there already."""
        last = self._word[-1]
        before = last.columns
        last.add(char)
        self._word_columns += last.columns - before
        if self._n_shown == len(self._word):
            self._write(last.piece._replace(text=char), last.columns - before)

    def _show_begun_word(self) -> None:
        """Show what is certain of a word that may go on."""
        if not self._word:
            return
        if not self._n_shown:
            fits = self._column + self._columns_of_spaces() + self._word_columns <= self._width
            is_placed = not fits or (self._is_fresh and not self._spaces)
            if not is_placed and not self._is_long():
                return
            may_move = fits and not self._is_fresh
            self._begin_word()
            self._moves_from = self._column if may_move else None
        self._write_word(is_whole=False)

    def _is_long(self) -> bool:
        """Whether the word is too long to be held. Only ASCII is moved: its width is the same everywhere."""
        if self._hold is None or self._word_columns < self._hold:
            return False
        return all(cluster.piece.text.isascii() for cluster in self._word)

    def _end_word(self) -> None:
        """Show the word, which is whole now."""
        if not self._word:
            return
        if not self._n_shown:
            self._begin_word()
        self._write_word(is_whole=True)
        self._word, self._word_columns, self._n_shown, self._moves_from = [], 0, 0, None

    def _begin_word(self) -> None:
        """Go to where the word begins: after the spaces, or on the next row."""
        if self._column + self._columns_of_spaces() + self._word_columns <= self._width:
            self._write_spaces()
        elif self._is_fresh:
            self._spaces = []
        else:
            self._begin_row()

    def _write_word(self, *, is_whole: bool) -> None:
        if self._moves_from is not None and self._moves_from + self._word_columns > self._width:
            self._operations.append(EraseBack(self._column - self._moves_from))
            self._begin_row()
            self._n_shown, self._moves_from = 0, None
        # A word that may yet be moved leaves the last column free: beyond it terminals lose the cursor.
        width = self._width - (self._moves_from is not None and not is_whole)
        for cluster in self._word[self._n_shown :]:
            is_last = self._n_shown == len(self._word) - 1
            if not is_whole and is_last and may_grow(cluster.piece.text):
                break
            if self._column + cluster.columns > width:
                if self._moves_from is not None:
                    break
                if not self._is_fresh:
                    self._begin_row()
            self._write(cluster.piece, cluster.columns)
            self._n_shown += 1

    def _columns_of_spaces(self) -> int:
        if not self._spaces:
            return 0
        return space_columns("".join(piece.text for piece in self._spaces), self._column)

    def _write_spaces(self) -> None:
        for piece in self._spaces:
            self._write(piece, space_columns(piece.text, self._column))
        self._spaces = []

    def _write_spaces_if_they_fit(self) -> None:
        if self._column + self._columns_of_spaces() <= self._width:
            self._write_spaces()
        self._spaces = []

    def _write(self, piece: Piece, width: int) -> None:
        last = self._operations[-1] if self._operations else NEWLINE
        if last[1:] == piece[1:] and isinstance(last, Piece) and last.text != "\n":
            self._operations[-1] = Piece(last.text + piece.text, piece.mark, piece.looks)
        else:
            self._operations.append(piece)
        self._column += width
        self._is_fresh = False

    def _begin_line(self, line: LineStart) -> None:
        """Begin a line of the text; what stands before it is text itself where it would fill half the row."""
        if any(self._is_wide(pieces) for pieces in (line.prefix, line.hanging)):
            self._line = LineStart(wraps=line.wraps)
            for piece in line.prefix:
                self._add_text(piece)
            return
        self._line = line
        self._write_before_text(line.prefix)

    def _begin_row(self) -> None:
        """Go on with the line on the next row."""
        self._spaces = []
        self._operations.append(NEWLINE)
        self._column = 0
        self._write_before_text(() if self._is_wide(self._line.hanging) else self._line.hanging)

    def _is_wide(self, pieces: Iterable[Piece]) -> bool:
        return 2 * sum(columns(piece.text) for piece in pieces) > self._width

    def _write_before_text(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._write(piece, columns(piece.text))
        self._is_fresh = True

    def _end_line(self) -> None:
        self._end_word()
        self._write_spaces_if_they_fit()
        self._operations.append(NEWLINE)
        self._column, self._is_fresh, self._line = 0, True, LineStart()

    def _add_row(self, row: TableRow) -> None:
        """Lay a row of a table out: a line for each of the rows that its cells need."""
        self._table = row if row.head is not None or self._table is None else self._table
        if not TableLayout.fits(self._table, self._width):
            for i, cell in enumerate(row.cells):
                for piece in ([BAR] if i else []) + list(cell):
                    self._add_text(piece)
        else:
            layout = TableLayout(self._table, self._width)
            cells = [wrapped(cell, width) for cell, width in zip(row.cells, layout.widths, strict=False)]
            for pieces in layout.lines(cells, is_head=row.head is not None):
                self._operations += [*pieces, NEWLINE]
            self._operations.pop()
        self._end_line()


def wrapped(pieces: Iterable[Piece], width: int) -> list[list[Piece]]:
    """A whole text without newlines as rows of at most `width` columns; at least one."""
    wrapper = StreamWrapper(width)
    rows: list[list[Piece]] = [[]]
    for operation in [*wrapper.feed(pieces), *wrapper.finish()]:
        if operation == NEWLINE:
            rows.append([])
        elif isinstance(operation, Piece):
            rows[-1].append(operation)
    return [joined(row) for row in rows]
