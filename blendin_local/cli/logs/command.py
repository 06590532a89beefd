"""`blendin logs`: the conversations of the history, listed, searched, shown and deleted.

Here: the command and its options.
Not here: what it does (`cli.logs.run`), how it looks (`views.history`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import TerminalOptions
from blendin_local.cli.common.verb import add_verb
from blendin_local.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "logs",
        grouped(logs),
        Example("List the latest conversations", "blendin logs"),
        Example("Find those in which both words are said", 'blendin logs --search "rome week"'),
        Example("Show one of them", "blendin logs 12"),
    )


def logs(
    number: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="Show this conversation; without it, list the latest."),
    ] = None,
    *,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="WORDS",
            help='List the conversations with a turn that contains all these words; "..." is a phrase.',
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="List at most this many conversations.")
    ] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print where the history is kept.")] = False,
    delete: Annotated[
        list[int] | None,
        typer.Option("--delete", metavar="ID", help="Delete this conversation; can be repeated."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete every conversation.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to all questions.")] = False,
    terminal: TerminalOptions,
) -> None:
    """List, search, show or delete earlier conversations."""
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.logs import run  # noqa: PLC0415

    asked = [number is not None, search is not None, path, bool(delete), clear]
    if sum(asked) > 1:
        raise UsageError(
            "logs does one thing at a time", "give one of an ID, --search, --path, --delete and --clear"
        )
    consoles = open_consoles(terminal)
    if path:
        run.print_path()
    elif clear:
        run.clear_all(consoles.err, yes=yes)
    elif delete:
        run.delete(delete, consoles.err, yes=yes)
    elif number is not None:
        run.show(number, consoles, as_json=json)
    else:
        run.list_conversations(search, count, consoles, as_json=json)
