"""Questions to the user at the terminal, and what happens without one.

Here: `ask`; `confirmation`, before something is deleted or adopted; `acceptance`, about a models.toml of the
working directory; `fetch_text`.
Not here: what such a file may do without asking (`models.overrides`), what is done after a yes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from blendin_local.cli.common.interrupt import ordinary_interrupts
from blendin_local.cli.common.keyboard import ordinary_keyboard
from blendin_local.cli.common.printing import print_note
from blendin_local.errors import UsageError
from blendin_local.jobs.inventory import source_text
from blendin_local.models.overrides import Accept, Overrides
from blendin_local.models.references import Resolved
from blendin_local.views.visible import escape_controls


def can_ask(err: Console) -> bool:
    """Whether there is a terminal to ask on."""
    return sys.stdin is not None and sys.stdin.isatty() and err.is_terminal


def ask(question: str, err: Console) -> bool:
    """Whether the answer is yes; anything else means no. Ctrl-C leaves at once."""
    with ordinary_interrupts(), ordinary_keyboard():
        reply = err.input(f"{escape_controls(question)} [y/N] ", markup=False)
    return reply.strip().lower() in {"y", "yes"}


def confirmation(err: Console, *, yes: bool) -> Callable[[str], bool]:
    """A `confirm` callback for a job: shows what the question is about, also with `--quiet`, then asks it.

    Args:
        err: Where it is asked.
        yes: Whether the user has already agreed, with `--yes`.
    """

    def confirm(text: str) -> bool:
        *details, question = text.splitlines()
        quiet, err.quiet = err.quiet, False
        for line in details:
            print_note(err, line, style="none")
        err.quiet = quiet
        if yes:
            return True
        if not can_ask(err):
            raise UsageError(f"cannot ask without a terminal: {question}", "add --yes to agree")
        return ask(question, err)

    return confirm


def acceptance(err: Console, *, yes: bool = False) -> Accept | None:
    """A callback to accept changes by a models.toml of the working directory; None without a terminal."""
    if yes:
        return lambda _: True
    if not can_ask(err):
        return None

    def accept(changes: Overrides) -> bool:
        accepted = ask(f"{changes}. Use what it says?", err)
        if not accepted:
            err.print("its changes are not used; its new names are", style="footer")
        return accepted

    return accept


def fetch_text(item: Resolved) -> str:
    """A sentence about a file that would be downloaded because of a models.toml of the working directory."""
    source = source_text(item.source) or "nothing"
    return escape_controls(f"{item.reference}: {item.distrusted} wants to fetch {source}")
