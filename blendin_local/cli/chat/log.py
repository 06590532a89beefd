"""The conversation of a chat in the history, kept in step after every line.

Here: `ChatLog`.
Not here: how it is written (`history.writer`), whether it is kept (`cli.common.history`).
"""

from __future__ import annotations

from blendin_local.cli.chat.files import settings_to_json
from blendin_local.cli.chat.state import ChatHistory
from blendin_local.history.records import Context
from blendin_local.history.writer import HistoryWriter


class ChatLog:
    """Keeps what a chat's conversation has become; a conversation that was loaded is another one.

    Args:
        writer: What writes it; None keeps nothing.
        history: The conversation at the beginning.
    """

    def __init__(self, writer: HistoryWriter | None, history: ChatHistory) -> None:
        self._writer = writer
        self._history = history

    def keep(self, history: ChatHistory) -> None:
        """Write what is new; a failure is told once and stops nothing."""
        if self._writer is None:
            return
        if history is not self._history:
            self._history = history
            self._writer.begin(history.turns)
        self._writer.keep(history.turns, Context(history.system, settings_to_json(history.settings)))
