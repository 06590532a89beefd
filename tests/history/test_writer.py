"""A conversation kept in step: the file has it as it stands, and nothing stops the user."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from blendin_local.history.database import open_database, transaction
from blendin_local.history.queries import clear, count, read, remove
from blendin_local.history.records import Context, Turn
from tests.histories import CONTEXT, OPENING, turn, writer, written


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def questions(kept):
    return [each.turn.question for each in kept]


def test_a_conversation_is_read_back_equal(path):
    """Its turns with every step, its system text and settings, and how it was opened."""
    turns = written(path, "one", 'two "quoted"\n\x00 語', "three")
    found = read(path, 1)
    assert tuple(kept.turn for kept in found.standing) == tuple(turns)
    assert (found.opening, found.context) == (OPENING, CONTEXT)
    assert [kept.time for kept in found.turns] == sorted(kept.time for kept in found.turns)


def test_a_turn_without_steps_is_kept_with_its_text(path):
    """After a second Ctrl-C only the text of an answer is known."""
    writer(path).keep([Turn("one", "as far as")], CONTEXT)
    assert read(path, 1).turns[0].turn == Turn("one", "as far as")


@pytest.mark.slow
def test_whatever_is_done_the_file_has_the_conversation_as_it_stands(path):
    """Random answers, retries, removals and edits: every turn is written once, the standing ones in order."""
    for seed in range(5):
        rng, keeper, turns, made = random.Random(seed), writer(path), [turn("first")], 1
        keeper.keep(turns, CONTEXT)
        number = count(path)
        for step in range(12):
            match rng.choice(["ask", "ask", "retry", "undo", "edit", "drop"]):
                case "ask":
                    turns.append(turn(f"{step}"))
                    made += 1
                case "retry":
                    turns[-1] = turn(turns[-1].question)
                    made += 1
                case "undo" if len(turns) > 1:
                    turns.pop()
                case "edit":
                    del turns[rng.randrange(len(turns)) :]
                    turns.append(turn(f"{step} edited"))
                    made += 1
                case "drop" if len(turns) > 2:  # the oldest turn leaves the context, not the conversation
                    turns = turns[1:]
            keeper.keep(turns, CONTEXT)
            found = read(path, number)
            assert questions(found.standing)[-len(turns) :] == [each.question for each in turns]
            assert len(found.turns) == made
    assert count(path) == 5


def test_settings_changed_after_the_last_answer_are_kept(path):
    """A continuation begins with them."""
    keeper, turns = writer(path), [turn("one")]
    keeper.keep(turns, CONTEXT)
    keeper.keep(turns, replace(CONTEXT, system="Be long."))
    assert read(path, 1).context.system == "Be long."
    assert len(read(path, 1).turns) == 1


def test_an_empty_conversation_ends_the_one_before(path):
    """After /clear another begins; the one before can still be continued."""
    keeper = writer(path)
    keeper.keep([turn("one")], CONTEXT)
    keeper.keep([], CONTEXT)
    assert questions(read(path, 1).standing) == ["one"]
    keeper.keep([turn("two")], CONTEXT)
    assert [questions(read(path, number).standing) for number in (1, 2)] == [["one"], ["two"]]


def test_a_loaded_conversation_is_written_with_its_next_turn(path):
    """Loading alone writes nothing; the next turn brings those before it."""
    keeper, loaded = writer(path), [Turn("old", "answer")]
    keeper.begin(loaded)
    keeper.keep(loaded, CONTEXT)
    assert count(path) == 0
    keeper.keep([*loaded, turn("new")], CONTEXT)
    assert questions(read(path, 1).standing) == ["old", "new"]


def test_a_continuation_appends(path):
    """The turns of before are not written again."""
    written(path, "one", "two")
    found = read(path, 1)
    turns = [kept.turn for kept in found.standing]
    keeper = writer(path)
    keeper.resume(found)
    before = path.read_bytes()
    keeper.keep(turns, found.context)
    assert path.read_bytes() == before
    keeper.keep([*turns, turn("three")], CONTEXT)
    assert questions(read(path, 1).turns) == ["one", "two", "three"]


def test_what_was_deleted_is_not_written_again(path):
    """The turns after that begin a conversation of their own, also in a new file."""
    keeper, turns = writer(path), [turn("secret")]
    keeper.keep(turns, CONTEXT)
    remove(path, [1])
    turns.append(turn("next"))
    keeper.keep(turns, CONTEXT)
    assert questions(read(path, 2).standing) == ["next"]
    path.unlink()
    written(path, "of another chat")
    turns.append(turn("last"))
    keeper.keep(turns, CONTEXT)
    assert questions(read(path, 2).standing) == ["last"]
    assert b"secret" not in path.read_bytes()


def test_deleted_text_is_overwritten(path):
    """Neither a search of the disk nor a larger file tells of it."""
    written(path, "one", "a very secret question")
    clear(path)
    assert b"very secret" not in path.read_bytes()
    assert count(path) == 0


def test_a_failure_is_told_once_and_stops_nothing(tmp_path):
    """A history that is a directory: one notice, and no exception."""
    failures = []
    keeper, turns = writer(tmp_path, failures.append), []
    for number in range(3):
        turns.append(turn(f"{number}"))
        keeper.keep(turns, CONTEXT)
    assert len(failures) == 1


def test_after_a_lock_everything_is_written(path):
    """The turns that found the file locked come with the next one; the second wait is short."""
    failures, turns = [], []
    keeper = writer(path, failures.append, timeout_s=0.05)
    written(path, "of another chat")
    with open_database(path) as database, transaction(database):
        for number in range(2):
            turns.append(turn(f"{number}"))
            keeper.keep(turns, CONTEXT)
    assert len(failures) == 1
    turns.append(turn("2"))
    keeper.keep(turns, CONTEXT)
    assert questions(read(path, 2).standing) == ["0", "1", "2"]


@pytest.mark.parametrize("text", ["caf\udce9", "\ud800"])
def test_what_is_no_text_costs_a_notice(path, text):
    """It cannot be written, and the chat goes on."""
    failures = []
    writer(path, failures.append).keep([Turn(text, "answer")], Context())
    assert [failure.message[:26] for failure in failures] == ["an answer does not fit int"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser writes read-only files")
def test_a_read_only_file_is_read_and_not_written(path):
    """One notice from the writer; the conversations can still be seen."""
    written(path, "one")
    path.chmod(0o400)
    failures = []
    writer(path, failures.append).keep([turn("two")], CONTEXT)
    assert "read-only" in failures[0].message
    assert questions(read(path, 1).turns) == ["one"]


def test_a_python_without_sqlite_costs_a_notice(path, monkeypatch):
    """Some builds lack it."""
    monkeypatch.setitem(__import__("sys").modules, "sqlite3", None)
    failures = []
    writer(path, failures.append).keep([turn("one")], CONTEXT)
    assert "without sqlite3" in failures[0].message
    assert not path.exists()
