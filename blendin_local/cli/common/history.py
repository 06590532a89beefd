"""The history on the command line: whether it is kept, what writes it, and a notice if it cannot be.

Here: `keeps_history` and `open_writer`.
Not here: the file (`blendin_local.history`), the chat's part (`cli.chat.log`, `cli.chat.continuing`).
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from blendin_local.cli.common.options import HistoryOptions, SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.errors import HistoryError
from blendin_local.history.place import history_file, is_off
from blendin_local.history.records import Opening
from blendin_local.history.writer import HistoryWriter
from blendin_local.models.registry import history_settings
from blendin_local.pair.resolve import ResolvedPair
from blendin_local.paths import expand_user, is_file, working_directory
from blendin_local.settings import HistorySettings

OF_ONE_RUN = frozenset({"pull", "offline"})  # options that a continuation does not take over
MODEL_NAMES = ("base", "guide", "untuned")


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


def open_writer(command: str, options: SessionOptions, resolved: ResolvedPair, err: Console) -> HistoryWriter:
    """What keeps a conversation with this pair; trouble with the file is one notice.

    Args:
        command: `chat` or `run`.
        options: Those of the command line.
        resolved: What they mean.
        err: Where the notice goes.
    """
    references = {str(role): reference for role, reference in resolved.references.items()}
    opening = Opening(command, resolved.pair_name, references, opening_options(options))

    def tell(error: HistoryError) -> None:
        outcome = (
            "it is tried again after the next answer" if error.passing else "this conversation is not kept"
        )
        print_note(err, f"note: {error.message}; {outcome} ({error.hint})", style="notice")

    return HistoryWriter(history_file(), opening, tell)


def opening_options(options: SessionOptions) -> dict[str, Any]:
    """The options about the models that were given, with paths that hold in every directory."""
    groups: tuple[Any, ...] = (options.models, options.runtime)
    given = {each.name: getattr(group, each.name) for group in groups for each in fields(group)}
    return {
        name: _lasting(name, value)
        for name, value in given.items()
        if value is not None and name not in OF_ONE_RUN
    }


def _lasting(name: str, value: Any) -> Any:  # noqa: ANN401 - a value per option
    if isinstance(value, Path) or (name in MODEL_NAMES and is_file(expand_user(value))):
        return str((working_directory() or Path()) / expand_user(value))
    return value
