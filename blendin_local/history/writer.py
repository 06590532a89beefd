"""Keeping a conversation in step with the history, whatever is done to it.

Here: `HistoryWriter`.
Not here: the file (`history.database`), reading it (`history.queries`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from blendin_local.errors import HistoryError
from blendin_local.history.database import TIMEOUT_S, open_database, transaction
from blendin_local.history.records import Context, Conversation, Opening, Turn, packed

TIMEOUT_AFTER_FAILURE_S = 0.1  # a file that was locked before is not waited for again
DELETED = 0  # the number of a turn that was written and then deleted by somebody else


class HistoryWriter:
    """Writes the turns of a conversation that are not in the history yet, each once.

    A turn names the turn that it follows. What is taken back, or answered again, stays in the file; the
    conversation's last turn, and those before it, tell what it is made of now. A conversation that another
    process has deleted is not written again: the turns after that begin a new one.

    Nothing here stops the user: if the file cannot be written, `on_failure` is called, once for each reason.

    Args:
        path: The file of the history.
        opening: How the conversation was opened.
        on_failure: Called with what is wrong.
        timeout_s: How long to wait while another process writes.
    """

    def __init__(
        self,
        path: Path,
        opening: Opening,
        on_failure: Callable[[HistoryError], None],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._path = path
        self._opening = opening
        self._on_failure = on_failure
        self._timeout_s = timeout_s
        self._told: set[str] = set()
        self._stopped = False
        self.begin()

    def begin(self, loaded: Iterable[Turn] = ()) -> None:
        """Begin a conversation; it is written with its first turn that is not one of those `loaded`."""
        self._conversation: tuple[int, str] | None = None
        self._numbers: dict[int, tuple[Turn, int]] = {}  # by identity; a turn that is held keeps its identity
        self._loaded = list(loaded)
        self._state: tuple[int, Context] | None = None

    def resume(self, conversation: Conversation) -> None:
        """Go on with a conversation of the history, from its standing turns."""
        self.begin()
        kept = conversation.standing
        self._conversation = (conversation.id, conversation.started)
        self._numbers = {id(each.turn): (each.turn, each.id) for each in kept}
        self._state = (id(kept[-1].turn), conversation.context) if kept else None

    def keep(self, turns: Sequence[Turn], context: Context) -> None:
        """Write what has changed: new turns, the last turn, the system text and the settings.

        Args:
            turns: The conversation as it stands; none of them ends it.
            context: What its next answer depends on.
        """
        if not turns:
            self.begin()
            return
        state = (id(turns[-1]), context)
        if self._stopped or state == self._state or self._is_only_loaded(turns):
            return
        try:
            with open_database(self._path, timeout_s=self._timeout_s) as database, transaction(database):
                conversation, numbers = self._write(database, turns, context)
        except HistoryError as error:
            self._fail(error)
            return
        except (ValueError, TypeError, OverflowError) as error:  # text or a number that no file can hold
            self._fail(HistoryError(f"an answer does not fit into the history: {error}"))
            return
        self._conversation, self._state = conversation, state
        self._numbers |= numbers

    def _is_only_loaded(self, turns: Sequence[Turn]) -> bool:
        loaded = {id(turn) for turn in self._loaded}
        return self._conversation is None and all(id(turn) in loaded for turn in turns)

    def _write(
        self, database: sqlite3.Connection, turns: Sequence[Turn], context: Context
    ) -> tuple[tuple[int, str] | None, dict[int, tuple[Turn, int]]]:
        """Write into an open transaction; the conversation, and the numbers of its turns."""
        conversation = self._conversation
        numbers = dict(self._numbers)
        if conversation is not None and not _is_there(database, conversation):
            conversation = None
            numbers = {key: (turn, DELETED) for key, (turn, _) in numbers.items()}
        new = [turn for turn in turns if id(turn) not in numbers]
        if conversation is None:
            if not new:
                return None, numbers
            conversation = _insert_conversation(database, self._opening, context)
        after = None
        for turn in turns:
            if id(turn) not in numbers:
                numbers[id(turn)] = (turn, _insert_turn(database, conversation[0], after, turn))
            after = numbers[id(turn)][1] or None
        database.execute(
            "UPDATE conversations SET last_turn = ?, system = ?, settings = ? WHERE id = ?",
            (after, context.system, _json(context.settings), conversation[0]),
        )
        return conversation, numbers

    def _fail(self, error: HistoryError) -> None:
        if error.passing:
            self._timeout_s = min(self._timeout_s, TIMEOUT_AFTER_FAILURE_S)
        else:
            self._stopped = True
        if error.message not in self._told:
            self._told.add(error.message)
            self._on_failure(error)


def _is_there(database: sqlite3.Connection, conversation: tuple[int, str]) -> bool:
    """Whether it is; by its start too, since a new file may use its number again."""
    found = database.execute("SELECT 1 FROM conversations WHERE id = ? AND started = ?", conversation)
    return found.fetchone() is not None


def _insert_conversation(database: sqlite3.Connection, opening: Opening, context: Context) -> tuple[int, str]:
    started = _now()
    cursor = database.execute(
        "INSERT INTO conversations (started, command, pair, models, options, system, settings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            started,
            opening.command,
            opening.pair,
            _json(opening.models),
            _json(opening.options),
            context.system,
            _json(context.settings),
        ),
    )
    return int(cursor.lastrowid or 0), started


def _insert_turn(database: sqlite3.Connection, conversation: int, after: int | None, turn: Turn) -> int:
    completion = turn.completion
    summary = None if completion is None else completion.blend
    cursor = database.execute(
        "INSERT INTO turns (conversation, after, time, question, answer,"
        " stopped_by, steps, asked, changed, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation,
            after,
            _now(),
            turn.question,
            turn.answer,
            completion and completion.stopped_by,
            summary and summary.steps,
            summary and summary.asked,
            summary and summary.changed,
            completion and _json(completion.signature),
        ),
    )
    number = int(cursor.lastrowid or 0)
    if completion is not None:
        database.execute("INSERT INTO steps (turn, record) VALUES (?, ?)", (number, packed(completion)))
    return number


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
