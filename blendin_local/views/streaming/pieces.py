"""What passes from the text of an answer to the terminal, and what a terminal is asked to do.

Here: `Piece`, the events that a scanner makes of pieces, and the operations that the wrapper makes of events.
Not here: styles (`views.theme`): a mark is whatever the caller passes in, and a look is the name of a style.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple


class Piece(NamedTuple):
    r"""Text of one appearance. `"\n"` alone ends a line; no other piece holds a newline.

    Attributes:
        text: What is shown.
        mark: What the step that it comes from is marked with.
        looks: The styles that Markdown gives it, outermost last.
    """

    text: str
    mark: Hashable = None
    looks: tuple[str, ...] = ()


NEWLINE = Piece("\n")


class LineStart(NamedTuple):
    """The next line of the text begins.

    Attributes:
        prefix: What stands before its text, such as a bullet.
        hanging: What stands before each further row, if it is wrapped.
        wraps: Whether it is wrapped at spaces. Code is not, so that it can be copied.
    """

    prefix: tuple[Piece, ...] = ()
    hanging: tuple[Piece, ...] = ()
    wraps: bool = True


class TableRow(NamedTuple):
    """A row of a table, and the newline after it.

    Attributes:
        cells: The pieces of each cell.
        head: How wide and how aligned its columns are written, if this is the first row.
    """

    cells: tuple[tuple[Piece, ...], ...]
    head: TableHead | None = None


class TableHead(NamedTuple):
    """The columns of a table as its source has them.

    Attributes:
        columns: The columns each cell of the first two lines takes in the source, the wider of both.
        alignments: `left`, `right` or `center` for each.
    """

    columns: tuple[int, ...]
    alignments: tuple[str, ...]


class EraseBack(NamedTuple):
    """Move the cursor back within its row and erase what comes after it.

    Attributes:
        columns: How far; what stands there is text of one column a character.
    """

    columns: int


Event = Piece | LineStart | TableRow
Operation = Piece | EraseBack


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same text in as few pieces as possible; newlines stay alone."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else NEWLINE
        if last[1:] == piece[1:] and "\n" not in (last.text, piece.text):
            merged[-1] = last._replace(text=last.text + piece.text)
        elif piece.text:
            merged.append(piece)
    return merged
