"""A table whose rows are shown one by one, before the later ones are known.

Here: `TableLayout`: widths from the head and from the terminal, and the lines of one row.
Not here: recognizing tables (`views.streaming.markdown`), wrapping (`views.streaming.wrapping`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from blendin_local.views.streaming.characters import columns
from blendin_local.views.streaming.pieces import Piece, TableHead, TableRow

USUAL_COLUMNS = 24  # of a cell whose column nobody has seen yet
MIN_COLUMNS = 4
BAR = Piece(" │ ", None, ("md.mark",))


class TableLayout:
    """The columns of one table.

    A column is as wide as its head is written, since a table that was written aligned shows its widths there,
    and at least `USUAL_COLUMNS`, as far as the terminal has room for all.

    Args:
        head: The first row.
        width: Columns of the terminal.

    Attributes:
        widths: The columns of each cell.
    """

    def __init__(self, head: TableRow, width: int) -> None:
        n = max(1, len(head.cells))
        written = head.head or TableHead((0,) * n, ("left",) * n)
        room = width - len(BAR.text) * (n - 1)
        wanted = [max(own, min(room // n, USUAL_COLUMNS)) for own in written.columns]
        self.widths = wanted if sum(wanted) <= room else _shared(wanted, room)
        self._alignments = written.alignments

    @staticmethod
    def fits(head: TableRow, width: int) -> bool:
        """Whether so many columns have room beside each other."""
        n = len(head.cells)
        return n * MIN_COLUMNS + (n - 1) * len(BAR.text) <= width

    def lines(self, cells: Sequence[list[list[Piece]]], *, is_head: bool) -> Iterator[list[Piece]]:
        """The lines of one row, given the rows of each cell; below a head comes a rule."""
        for parts in zip_longest(*cells, fillvalue=[]):
            line: list[Piece] = []
            for part, width, alignment in zip(parts, self.widths, self._alignments, strict=False):
                line += [*([BAR] if line else []), *_aligned(part, width, alignment)]
            yield line
        if is_head:
            rule = "─┼─".join("─" * width for width in self.widths)
            yield [Piece(rule, None, ("md.mark",))]


def _shared(wanted: Sequence[int], room: int) -> list[int]:
    """The widths that columns get where not all have room: narrow ones all they want, the others the same."""
    widths = [0] * len(wanted)
    for done, i in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        widths[i] = min(wanted[i], room // (len(wanted) - done))
        room -= widths[i]
    return widths


def _aligned(pieces: list[Piece], width: int, alignment: str) -> list[Piece]:
    free = max(0, width - sum(columns(piece.text) for piece in pieces))
    before = {"left": 0, "right": free, "center": free // 2}[alignment]
    return [Piece(" " * before), *pieces, Piece(" " * (free - before))]
