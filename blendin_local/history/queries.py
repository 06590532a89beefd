"""What is asked of the history: its conversations, one of them, those with some words, and their removal.

Here: `latest`, `search`, `find`, `read`, `newest`, `count`, `remove`, `clear`.
Not here: writing (`history.writer`), the file (`history.database`).
A search compares every stored text, so that it finds any part of any word in any script; 10,000 turns take
less than a second.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from blendin_local.core.records import Completion
from blendin_local.errors import HistoryError, UsageError
from blendin_local.history.database import open_database, transaction
from blendin_local.history.records import Context, Conversation, KeptTurn, Listed, Opening, Turn, unpacked

BEFORE_CHARS, FOUND_CHARS = 20, 120  # of the text around what a search found
NOT_A_RECORD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, zlib.error, RecursionError)

_LISTED = """
    SELECT c.id, c.started, c.command, c.pair, c.models, c.options,
        (SELECT max(time) FROM turns WHERE conversation = c.id),
        (SELECT question FROM turns WHERE conversation = c.id ORDER BY id LIMIT 1),
        (SELECT count(*) FROM turns WHERE conversation = c.id),
        (SELECT coalesce(sum(steps), 0) FROM turns WHERE conversation = c.id),
        (SELECT coalesce(sum(asked), 0) FROM turns WHERE conversation = c.id)
    FROM conversations c
"""


def latest(path: Path, n: int) -> list[Listed]:
    """The conversations whose last answers are the latest, the newest first.

    Args:
        path: The file of the history.
        n: How many at most.

    Raises:
        HistoryError: The file cannot be read.
    """
    with _opened(path) as database:
        if database is None:
            return []
        rows = database.execute(f"{_LISTED} ORDER BY 7 DESC, c.id DESC LIMIT ?", (n,)).fetchall()
    return [_listed(path, row) for row in rows]


def search(path: Path, text: str, n: int) -> list[Listed]:
    """The conversations with a turn that contains all the words, those with the newest such turn first.

    Case, width and composition of characters make no difference. A phrase in double quotes is one word.

    Args:
        path: The file of the history.
        text: The words.
        n: How many conversations at most.

    Raises:
        HistoryError: The file cannot be read.
        UsageError: There are no words.
    """
    words = words_of(text)
    if not words:
        raise UsageError("there is nothing to search for", "name a word: blendin logs --search WORD")
    found: dict[int, str] = {}
    with _opened(path) as database:
        if database is None:
            return []
        turns = database.execute("SELECT conversation, question, answer FROM turns ORDER BY id DESC")
        for conversation, question, answer in turns:
            whole = f"{question}\n{answer}"
            if conversation not in found and contains(whole, words):
                found[conversation] = _around(whole, words[0])
                if len(found) == n:
                    break
        rows = [database.execute(f"{_LISTED} WHERE c.id = ?", (number,)).fetchone() for number in found]
    return [_listed(path, row, found[row[0]]) for row in rows]


def words_of(text: str) -> list[str]:
    """The words and quoted phrases of a search, as they are compared."""
    parts = [phrase or word for phrase, word in re.findall(r'"([^"]+)"|(\S+)', text)]
    return [compared for part in parts if (compared := _comparable(part).strip())]


def contains(text: str, words: Sequence[str]) -> bool:
    """Whether a text contains all of these words, which are those of `words_of`."""
    compared = _comparable(text)
    return all(word in compared for word in words)


def read(path: Path, number: int) -> Conversation:
    """A conversation with all its turns.

    Raises:
        HistoryError: The file cannot be read.
        UsageError: There is no such conversation.
    """
    with _opened(path) as database:
        if database is not None:
            columns = "id, started, command, pair, models, options, system, settings, last_turn"
            row = database.execute(f"SELECT {columns} FROM conversations WHERE id = ?", (number,)).fetchone()
            if row is not None:
                return _conversation(path, row, _turns(database, number))
    raise _no_conversation(number)


def newest(path: Path) -> int:
    """The number of the conversation with the latest answer.

    Raises:
        HistoryError: The file cannot be read.
        UsageError: There is none.
    """
    listed = latest(path, 1)
    if not listed:
        raise UsageError(f"there is no conversation to continue in {path}", "begin one with blendin chat")
    return listed[0].id


def find(path: Path, number: int) -> Listed:
    """A conversation as a listing shows it.

    Raises:
        HistoryError: The file cannot be read.
        UsageError: There is no such conversation.
    """
    with _opened(path) as database:
        row = None
        if database is not None:
            row = database.execute(f"{_LISTED} WHERE c.id = ?", (number,)).fetchone()
    if row is None:
        raise _no_conversation(number)
    return _listed(path, row)


def count(path: Path) -> int:
    """The number of conversations.

    Raises:
        HistoryError: The file cannot be read.
    """
    with _opened(path) as database:
        if database is None:
            return 0
        return int(database.execute("SELECT count(*) FROM conversations").fetchone()[0])


def remove(path: Path, numbers: Sequence[int]) -> None:
    """Delete conversations; the file becomes smaller, and what was deleted is overwritten.

    Raises:
        HistoryError: The file cannot be written.
    """
    with _opened(path) as database:
        if database is None:
            return
        with transaction(database):
            database.executemany("DELETE FROM conversations WHERE id = ?", [(number,) for number in numbers])
        database.execute("VACUUM")


def clear(path: Path) -> None:
    """Delete every conversation.

    Raises:
        HistoryError: The file cannot be written.
    """
    with _opened(path) as database:
        if database is None:
            return
        database.execute("DELETE FROM conversations")
        database.execute("VACUUM")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The file, None where there is none: reading creates nothing."""
    if not path.exists():
        yield None
        return
    with open_database(path) as database:
        yield database


def _listed(path: Path, row: Sequence[object], found: str = "") -> Listed:
    number, started, command, pair, models, options, last, question, n_turns, steps, asked = row
    return Listed(
        id=int(str(number)),
        started=str(started),
        latest=str(last or started),
        opening=_opening(path, command, pair, models, options),
        question=str(question or ""),
        n_turns=int(str(n_turns)),
        steps=int(str(steps)),
        asked=int(str(asked)),
        found=found,
    )


def _conversation(path: Path, row: Sequence[object], turns: Sequence[Sequence[object]]) -> Conversation:
    number, started, command, pair, models, options, system, settings, last = row
    before = {turn[0]: turn[1] for turn in turns}
    standing: set[object] = set()
    while last in before and last not in standing:
        standing.add(last)
        last = before[last]
    return Conversation(
        id=int(str(number)),
        started=str(started),
        opening=_opening(path, command, pair, models, options),
        context=Context(str(system), _json(path, settings)),
        turns=tuple(_kept_turn(path, turn, standing=turn[0] in standing) for turn in turns),
    )


def _opening(path: Path, command: object, pair: object, models: object, options: object) -> Opening:
    references = {role: str(reference) for role, reference in _json(path, models).items()}
    return Opening(str(command), str(pair), references, _json(path, options))


def _turns(database: sqlite3.Connection, conversation: int) -> list[Sequence[object]]:
    return database.execute(
        "SELECT id, after, time, question, answer, signature, record FROM turns"
        " LEFT JOIN steps ON steps.turn = turns.id WHERE conversation = ? ORDER BY id",
        (conversation,),
    ).fetchall()


def _kept_turn(path: Path, row: Sequence[object], *, standing: bool) -> KeptTurn:
    number, _, time, question, answer, signature, record = row
    completion = _completion(path, record, str(answer), signature)
    return KeptTurn(int(str(number)), str(time), Turn(str(question), str(answer), completion), standing)


def _completion(path: Path, record: object, answer: str, signature: object) -> Completion | None:
    if not isinstance(record, bytes):
        return None
    try:
        return unpacked(record, answer, _json(path, signature))
    except NOT_A_RECORD as error:
        raise _damaged(path) from error


def _json(path: Path, text: object) -> dict[str, object]:
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def _no_conversation(number: int) -> UsageError:
    return UsageError(f"there is no conversation {number}", "blendin logs lists them")


def _damaged(path: Path) -> HistoryError:
    return HistoryError(f"the history {path} holds a record that cannot be read", "move the file away")


def _comparable(text: str) -> str:
    """The text as it is compared: compatible and composed characters, without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _around(text: str, word: str) -> str:
    """The text around the first occurrence of a word, on one line."""
    at = max(text.casefold().find(word), 0)
    start = max(at - BEFORE_CHARS, 0)
    shown = " ".join(text[start : at + FOUND_CHARS].split())
    return f"…{shown}" if start else shown
