"""The history on the command line: whether it is kept, what writes it, and a notice if it cannot be.

Here: `keeps_history`, `opening_of` and `open_writer`.
Not here: the file (`blendin_local.history`), the chat's part (`cli.chat.log`, `cli.chat.continuing`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from blendin_local.cli.common.load_options import load_options
from blendin_local.cli.common.options import HistoryOptions, SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.errors import HistoryError
from blendin_local.history.place import history_file, is_off
from blendin_local.history.records import Opening
from blendin_local.history.writer import HistoryWriter
from blendin_local.models.registry import history_settings
from blendin_local.settings import HistorySettings

if TYPE_CHECKING:
    from blendin_local.pair.resolve import ResolvedPair


def keeps_history(options: HistoryOptions | None = None, models_file: Path | None = None) -> bool:
    """Whether questions and answers are kept; BLENDIN_NO_HISTORY wins, then the option, then `[history]`.

    Args:
        options: Those of the command; None if it has none.
        models_file: The file of `--models`.

    Raises:
        UsageError: A `[history]` table has a wrong value.
    """
    given = {} if options is None else options.settings()
    return not is_off() and HistorySettings(**history_settings(models_file) | given).log


def opening_of(command: str, options: SessionOptions, resolved: ResolvedPair) -> Opening:
    """How a conversation is opened with models that are loaded here.

    Args:
        command: `chat` or `run`.
        options: Those of the command line.
        resolved: What they mean.
    """
    references = {str(role): reference for role, reference in resolved.references.items()}
    return Opening(command, resolved.pair_name, references, load_options(options))


def open_writer(opening: Opening, err: Console) -> HistoryWriter:
    """What keeps a conversation; trouble with the file is one notice.

    Args:
        opening: How the conversation is opened.
        err: Where the notice goes.
    """

    def tell(error: HistoryError) -> None:
        outcome = (
            "it is tried again after the next answer" if error.passing else "this conversation is not kept"
        )
        print_note(err, f"note: {error.message}; {outcome} ({error.hint})", style="notice")

    return HistoryWriter(history_file(), opening, tell)
