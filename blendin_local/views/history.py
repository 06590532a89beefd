"""Conversations of the history on the terminal.

Here: `ListingView`, a table that fits 40 columns; `print_conversation`; `print_turn`, which marks an answer
as the chat does.
Not here: the records (`history.records`), how a step is marked (`views.answer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.history.records import Conversation, Listed, Opening, Turn
from blendin_local.views.answer import counted
from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.streams import write_utf8
from blendin_local.views.theme import Consoles
from blendin_local.views.visible import label

WIDE = 60
MAX_PAIR = 24


@dataclass(frozen=True)
class ListingView:
    """The table of `logs`; a narrow terminal shows fewer columns."""

    rows: Sequence[Listed]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table for the available width."""
        wide = options.max_width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, expand=True)
        table.add_column("id", justify="right", no_wrap=True, style="heading")
        table.add_column("when", no_wrap=True)
        if wide:
            table.add_column("pair", no_wrap=True, overflow="ellipsis", max_width=MAX_PAIR)
            table.add_column("turns", justify="right", no_wrap=True)
            table.add_column("asked", justify="right", no_wrap=True)
        what = "found" if any(row.found for row in self.rows) else "first question"
        table.add_column(what, no_wrap=True, overflow="ellipsis", ratio=1)
        for row in self.rows:
            rate = row.intervention_rate
            facts = (label(pair_name(row.opening)), str(row.n_turns), "" if rate is None else percent(rate))
            text = label(row.found or " ".join(row.question.split()))
            table.add_row(str(row.id), when(row.latest, wide=wide), *(facts if wide else ()), text)
        yield table


def pair_name(opening: Opening) -> str:
    """The name of the pair, or those of its models' files."""
    names = (reference.rpartition("/")[2] for reference in opening.models.values())
    return opening.pair or " + ".join(names)


def when(time: str, *, wide: bool = True) -> str:
    """A UTC time of the history in the local time zone: `2026-03-31 14:02`, or `03-31 14:02`."""
    try:
        return f"{datetime.fromisoformat(time).astimezone():{'%Y-%m-%d %H:%M' if wide else '%m-%d %H:%M'}}"
    except (ValueError, OverflowError, OSError):
        return label(time)


def print_conversation(conversation: Conversation, consoles: Consoles) -> None:
    """Print every turn to stdout, and what the conversation is to stderr."""
    consoles.err.print(Text(title(conversation), style="notice"))
    system = conversation.context.system
    if system:
        consoles.err.print(Text(f"system: {system}", style="notice"))
    for kept in conversation.turns:
        if not kept.standing:
            consoles.err.print(Text("taken back or answered again:", style="notice"))
        print_turn(kept.turn, consoles.out, plain=consoles.settings.plain)


def title(conversation: Conversation) -> str:
    """`conversation 12 of 2026-03-31 14:02 with demo: 3 turns`."""
    name = label(pair_name(conversation.opening))
    turns = counted(len(conversation.standing), "turn")
    started = when(conversation.started)
    return f"conversation {conversation.id} of {started} with {name}: {turns}"


def print_turn(turn: Turn, out: Console, *, plain: bool = False) -> None:
    """Print a question and its answer as they stood in the chat.

    Args:
        turn: The question and its answer.
        out: Where they go.
        plain: Whether the answer is shown as it was written rather than as Markdown.
    """
    if out.is_terminal:
        out.print(Text(f"> {turn.question}", style="prompt"), soft_wrap=True)
    else:
        write_utf8(out.file, f"> {turn.question}\n")
    is_data = turn.completion is not None and turn.completion.complete is not None
    AnswerPrinter(out, markdown=not plain, is_data=is_data).print(turn.completion or turn.answer)
    out.print() if out.is_terminal else write_utf8(out.file, "\n")
