"""The help of a chat: the commands in groups, in as many columns as there are.

Here: `print_help`.
Not here: the commands themselves (`cli.chat.commands`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NARROW = 64  # columns; below, a command's text stands under it
INDENT = 4
KEYS: Mapping[str, str] = {
    "Enter": "send",
    "Alt+Enter": "start a new line",
    '"""': "open and close a block of lines",
    "Ctrl-X Ctrl-E": "write the line in $EDITOR, then send it",
    "Ctrl-C": "stop an answer and keep it",
    "Ctrl-D": "leave",
    "//text": "send /text",
}


class Described(Protocol):
    """A command, as help shows it."""

    @property
    def usage(self) -> str:
        """What may follow its name."""

    @property
    def help(self) -> str:
        """What it does."""

    @property
    def group(self) -> str:
        """The heading that it stands under."""


def print_help(console: Console, commands: Mapping[str, Described]) -> None:
    """Print every command under the heading of its group, and the keys."""
    groups: dict[str, dict[str, str]] = {}
    for name, command in commands.items():
        groups.setdefault(command.group, {})[f"{name} {command.usage}".strip()] = command.help
    for heading, rows in {**groups, "Keys": KEYS}.items():
        console.print(Text(heading, style="heading"))
        print_rows(console, rows)


def print_rows(console: Console, rows: Mapping[str, str]) -> None:
    """Names with their texts beside them, or under them where there is little room."""
    if console.width < NARROW:
        for name, text in rows.items():
            console.print(Padding(Text(name), (0, 0, 0, 2)))
            console.print(Padding(Text(text, style="hint"), (0, 0, 0, INDENT)))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=26, max_width=28, overflow="fold")
    table.add_column(style="hint", overflow="fold")
    for name, text in rows.items():
        table.add_row(Text(f"  {name}"), Text(text))
    console.print(table)
