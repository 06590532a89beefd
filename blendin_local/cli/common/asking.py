"""Questions to whoever sits at the terminal, and what holds where nobody does.

Here: `ask`; `acceptance`, the question about a models.toml of the working directory; `fetch_text`.
Not here: what such a file may do unasked (`models.overrides`), what is done after a yes.
"""

from __future__ import annotations

import sys

from rich.console import Console

from blendin_local.jobs.inventory import source_text
from blendin_local.models.overrides import Accept, Changes
from blendin_local.models.references import Resolved
from blendin_local.views.visible import escape_controls


def can_ask(err: Console) -> bool:
    """Whether somebody could answer."""
    return sys.stdin is not None and sys.stdin.isatty() and err.is_terminal


def ask(question: str, err: Console) -> bool:
    """Whether the answer is a yes; anything else is a no."""
    reply = err.input(f"{escape_controls(question)} [y/N] ", markup=False)
    return reply.strip().lower() in {"y", "yes"}


def acceptance(err: Console, *, yes: bool = False) -> Accept | None:
    """Who decides on what a models.toml of the working directory changes; None where nobody can."""
    if yes:
        return lambda _: True
    if not can_ask(err):
        return None

    def accept(changes: Changes) -> bool:
        wanted = ask(f"{changes}. Use what it says?", err)
        if not wanted:
            err.print("left out; its new names are there", style="footer")
        return wanted

    return accept


def fetch_text(item: Resolved) -> str:
    """A sentence about a file that a models.toml of the working directory wants to have fetched."""
    source = source_text(item.source) or "nothing"
    return escape_controls(f"{item.reference}: {item.distrusted} wants to fetch {source}")
