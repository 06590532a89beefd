"""A list of names with a text each, as `/help`, `/set` and `/show` print it.

Here: `listing`.
Not here: tables about answers (`views.answer_tables`).
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from blendin_local.views.visible import escape_controls


def listing(rows: Mapping[str, str]) -> Table:
    """Names on the left, texts on the right, wrapped where they are long."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="heading")
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, escape_controls(text))
    return table
