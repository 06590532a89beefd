"""The SQLite file of the history: opened privately, with the newest schema, or refused with one error.

Here: `open_database`, the schema and its migrations.
Not here: what is written (`history.writer`) and read (`history.reader`).
The file has SQLite's ordinary rollback journal: it is one file at rest, it works in a home directory on a
network, and a process that is killed leaves a file that the next one repairs. A transaction takes
milliseconds, so that several chats wait for each other no longer than that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from blendin_local.errors import HistoryError, UsageError
from blendin_local.files import open_private_fd
from blendin_local.paths import require_file

APPLICATION_ID = 0x424C4E44  # "BLND", in the header of the file
TIMEOUT_S = 3.0  # how long to wait for another process
DIRECTORY_MODE = 0o700

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        started TEXT NOT NULL,
        command TEXT NOT NULL,
        pair TEXT NOT NULL,
        models TEXT NOT NULL,
        options TEXT NOT NULL,
        system TEXT NOT NULL,
        settings TEXT NOT NULL,
        last_turn INTEGER
    );
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        after INTEGER,
        time TEXT NOT NULL,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,
        stopped_by TEXT,
        steps INTEGER,
        asked INTEGER,
        changed INTEGER,
        signature TEXT
    );
    CREATE INDEX turns_by_conversation ON turns (conversation);
    CREATE TABLE steps (
        turn INTEGER PRIMARY KEY REFERENCES turns ON DELETE CASCADE,
        record BLOB NOT NULL
    );
    """,
)
"""What leads from each version of the schema to the next, from an empty file on; only ever appended to."""


@contextmanager
def open_database(
    path: Path, *, timeout_s: float = TIMEOUT_S, migrations: Sequence[str] = MIGRATIONS
) -> Iterator[sqlite3.Connection]:
    """Open the history, creating or upgrading it where needed; the directory and file are the user's alone.

    Args:
        path: The file.
        timeout_s: How long to wait while another process writes.
        migrations: The schema, as in `MIGRATIONS`.

    Raises:
        HistoryError: It cannot be opened, read or written, or another program or a newer version wrote it.
    """
    try:
        _prepare(path)
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            _upgrade(connection, path, migrations)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _failure(path, error) from error
    except OSError as error:
        raise HistoryError(f"the history {path} cannot be opened: {error.strerror or error}", MOVE) from error
    except UsageError as error:  # a directory, a pipe, a device
        raise HistoryError(f"the history cannot be kept: {error.message}", MOVE) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All writes within the block, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _prepare(path: Path) -> None:
    """Create the directory and the file with the user's rights only; narrow those of an existing file.

    No connection of this process may be open: closing a file descriptor would drop its locks.
    """
    require_file(path)
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    try:
        os.close(open_private_fd(path, os.O_RDWR | os.O_CREAT))
    except OSError:
        if os.access(path, os.W_OK) or not os.access(path, os.R_OK):  # a read-only file can still be read
            raise


def _upgrade(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = _version(connection)
    if version == len(migrations):
        _require_ours(connection, path)
        return
    if version > len(migrations):
        _require_ours(connection, path)
        raise HistoryError(
            f"the history {path} has version {version}; this program reads up to version {len(migrations)}",
            "upgrade blendin-local, or set BLENDIN_HISTORY to another file",
        )
    with transaction(connection):
        if _version(connection) == 0:
            _require_empty(connection, path)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for migration in migrations[_version(connection) :]:  # another process may have been quicker
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _foreign(path)


def _require_empty(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _foreign(path)


def _foreign(path: Path) -> HistoryError:
    return HistoryError(
        f"{path} is a database of another program", "set BLENDIN_HISTORY to a file of its own"
    )


MOVE = "check it, or set BLENDIN_HISTORY to another file; BLENDIN_NO_HISTORY=1 keeps none"
_REASONS = {
    sqlite3.SQLITE_BUSY: ("is locked by another program", "try again when that has finished"),
    sqlite3.SQLITE_LOCKED: ("is locked by another program", "try again when that has finished"),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "free some space"),
    sqlite3.SQLITE_READONLY: ("cannot be written: it is read-only", MOVE),
    sqlite3.SQLITE_NOTADB: ("is damaged or not a database", "move it away; the next answer begins a new one"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "move it away; the next answer begins a new one"),
}
_PRIMARY_CODE = 0xFF  # of an extended result code


def _failure(path: Path, error: sqlite3.Error) -> HistoryError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    reason, hint = _REASONS.get(code, (f"cannot be used: {error}", MOVE))
    passing = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return HistoryError(f"the history {path} {reason}", hint, passing=passing)
