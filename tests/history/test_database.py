"""The file: private, upgraded, shared by processes, whole after a kill, refused where it is not ours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from blendin_local.errors import HistoryError
from blendin_local.history.database import MIGRATIONS, open_database, transaction
from blendin_local.history.queries import count, latest, read
from tests.histories import written
from tests.paths import ROOT

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "history.db"


@posix
def test_only_the_user_can_read_it(path):
    """The file has mode 0600 and its directory 0700, also where the file was readable before."""
    old = os.umask(0)
    try:
        written(path, "one")
    finally:
        os.umask(old)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    written(path, "two")
    assert path.stat().st_mode & 0o777 == 0o600


@posix
def test_the_journal_is_as_private_as_the_file(path):
    """While a transaction runs, its journal lies beside the file."""
    written(path, "one")
    with open_database(path) as database, transaction(database):
        database.execute("UPDATE conversations SET system = 'x'")
        modes = {each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        assert len(list(path.parent.iterdir())) == 2
    assert modes == {0o600}


def test_it_is_one_file_at_rest(path):
    """No journal stays behind."""
    written(path, "one", "two")
    assert [each.name for each in path.parent.iterdir()] == ["history.db"]


def test_a_newer_program_upgrades_an_older_file(path):
    """What was in it is still there, the new column too, and the older program refuses it then."""
    written(path, "one")
    newer = (*MIGRATIONS, "ALTER TABLE turns ADD COLUMN mood TEXT DEFAULT 'calm'")
    with open_database(path, migrations=newer) as database:
        assert database.execute("SELECT question, mood FROM turns").fetchall() == [("one", "calm")]
    with pytest.raises(HistoryError, match="has version 2; this program reads up to version 1"):
        count(path)


def test_an_upgrade_that_fails_changes_nothing(path):
    """It is one transaction: the older program still reads the file."""
    written(path, "one")
    broken = (*MIGRATIONS, "ALTER TABLE turns ADD COLUMN mood TEXT; ALTER TABLE nowhere ADD COLUMN x TEXT")
    with pytest.raises(HistoryError, match="no such table"), open_database(path, migrations=broken):
        pass
    assert count(path) == 1


def test_a_database_of_another_program_is_left_alone(path):
    """With tables, or with its mark in the header."""
    path.parent.mkdir()
    for statement in ("CREATE TABLE songs (title TEXT)", "PRAGMA user_version = 1"):
        other = sqlite3.connect(path)
        other.execute(statement)
        other.commit()
        other.close()
        before = path.read_bytes()
        with pytest.raises(HistoryError, match="is a database of another program"):
            written(path, "one")
        assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["directory", "damaged", "cut", "device"])
def test_what_cannot_be_a_history_is_one_error(path, kind):
    """It names the file and the next step, for reading as for writing."""
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "damaged":
        path.write_bytes(b"a diary, not a database" * 100)
    elif kind == "cut":
        written(path, *"abcdefgh")
        path.write_bytes(path.read_bytes()[:6000])
    else:
        path = type(path)(os.devnull)
    for act in (lambda: written(path, "one"), lambda: read(path, 1)):
        with pytest.raises(HistoryError) as caught:
            act()
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_a_locked_file_is_a_passing_failure(path):
    """Another program holds it: the error says that it may work later."""
    written(path, "one")
    with (
        open_database(path) as database,
        transaction(database),
        pytest.raises(HistoryError, match="is locked by another program") as caught,
        open_database(path, timeout_s=0.05) as other,
        transaction(other),
    ):
        pass
    assert caught.value.passing


def fill(path):
    """Write more than the file may grow."""
    with open_database(path) as database:
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        with transaction(database):
            database.execute("UPDATE turns SET answer = ?", ("x" * 10**6,))


def test_a_full_disk_leaves_what_was_there(path):
    """The transaction is undone."""
    written(path, "one")
    with pytest.raises(HistoryError, match="the disk is full"):
        fill(path)
    assert read(path, 1).turns[0].turn.answer == "Sure. Yes"


def start_writing(path, number, name):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.histories", str(path), str(number), name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(path):
    """Three chats from the first moment on, the creation of the file included."""
    running = [start_writing(path, 10, name) for name in "abc"]
    for each in running:
        each.communicate(timeout=60)
    assert [each.returncode for each in running] == [0, 0, 0]
    found = latest(path, 100)
    assert sorted(row.question for row in found) == sorted(
        f"{name}-{n}-a" for name in "abc" for n in range(10)
    )
    for row in found:
        assert [kept.turn.question[:-1] for kept in read(path, row.id).standing] == [row.question[:-1]] * 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_killed_writer_leaves_a_readable_file(path):
    """Killed at ten moments: every turn that was told as written is there, and the file can be written."""
    told = 0
    for attempt in range(10):
        running = start_writing(path, 10**6, f"k{attempt}")
        for _ in range(3):
            running.stdout.readline()
        time.sleep(attempt * 0.003)
        running.kill()
        rest, _ = running.communicate()
        told += 3 + rest.count("\n")
    rows = latest(path, 10**6)
    assert len(rows) >= told
    assert all(read(path, row.id).turns for row in rows)
    written(path, "after")
    assert latest(path, 1)[0].question == "after"
