"""Listing, searching, reading and deleting conversations."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blendin_local.errors import HistoryError, UsageError
from blendin_local.history.database import open_database
from blendin_local.history.queries import (
    clear,
    contains,
    count,
    find,
    latest,
    newest,
    read,
    remove,
    search,
    words_of,
)
from blendin_local.history.records import Turn
from tests.histories import CONTEXT, turn, writer, written


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def test_reading_creates_nothing(path):
    """Without a file there are no conversations, and none is made."""
    assert latest(path, 9) == search(path, "x", 9) == []
    assert count(path) == 0
    for act in (lambda: read(path, 1), lambda: find(path, 1), lambda: newest(path)):
        with pytest.raises(UsageError, match="there is no conversation"):
            act()
    clear(path)
    remove(path, [1])
    assert not path.exists()


def test_the_latest_answer_comes_first(path):
    """Whichever conversation it belongs to."""
    first, turns = writer(path), [turn("one")]
    first.keep(turns, CONTEXT)
    written(path, "two", "more")
    assert [row.question for row in latest(path, 9)] == ["two", "one"]
    turns.append(turn("again"))
    first.keep(turns, CONTEXT)
    assert [row.question for row in latest(path, 9)] == ["one", "two"]
    assert [row.question for row in latest(path, 1)] == ["one"]
    assert newest(path) == 1
    assert [(row.n_turns, row.steps, row.asked, row.intervention_rate) for row in latest(path, 1)] == [
        (2, 4, 2, 0.5)
    ]


def test_a_search_finds_questions_and_answers(path):
    """Every word must be in one turn, any part of a word will do; the newest conversation comes first."""
    keeper = writer(path)
    keeper.keep([Turn("Why is the SKY blue?", "It scatters light."), Turn("And grass?", "Green.")], CONTEXT)
    written(path, "Another sky")
    found = {
        text: [row.id for row in search(path, text, 9)]
        for text in ("sky", "SCATTER why", "sky green", '"the sky"', '"sky the"', "100%", "_", "blue?")
    }
    assert found == {
        "sky": [2, 1],
        "SCATTER why": [1],
        "sky green": [],
        '"the sky"': [1],
        '"sky the"': [],
        "100%": [],
        "_": [],
        "blue?": [1],
    }
    assert "SKY blue" in search(path, "blue", 9)[0].found
    assert len(search(path, "sky", 1)) == 1


@pytest.mark.parametrize(
    "word", ["空は", "青い", "ＳＫＹ", "sky", "café", "cafe\u0301", "STRASSE", "straße", "ночь", '"', "'"]
)
def test_scripts_widths_and_quotes_are_found(path, word):
    """Two characters of Chinese or Japanese, full width as narrow, either composition, either case."""
    text = 'なぜ空は青い？ Sky, café, Straße, НОЧЬ: "it\'s"'
    writer(path).keep([Turn(text, "x")], CONTEXT)
    assert [row.id for row in search(path, word, 9)] == [1]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_every_word_of_a_turn_is_found(question, answer):
    """Whatever characters it is made of, alone and together with all the others."""
    whole = f"{question}\n{answer}"
    for word in whole.split():
        assert contains(whole, words_of(word)), word
        assert words_of(word) or not word.strip('"'), word


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_no_search_is_an_accident(tmp_path, text):
    """Any text is searched for, or is an error of ours."""
    path = tmp_path / "history.db"
    if not path.exists():
        written(path, "one")
    if words_of(text):
        assert len(search(path, text, 9)) <= 1
    else:
        with pytest.raises(UsageError, match="nothing to search for"):
            search(path, text, 9)


def test_a_deleted_conversation_takes_its_turns_along(path):
    """Turns and steps; the others stay, and its number is not used again."""
    for question in "abc":
        written(path, question)
    remove(path, [1, 3])
    assert [row.question for row in latest(path, 9)] == ["b"]
    with open_database(path) as database:
        for table in ("turns", "steps"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    written(path, "d")
    assert newest(path) == 4


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE steps SET record = x'00'",
        "UPDATE turns SET signature = '{'",
        "UPDATE turns SET signature = '[]'",
        "UPDATE conversations SET options = 'x'",
        "UPDATE conversations SET models = x'ff'",
    ],
)
def test_a_record_that_cannot_be_read_is_one_error(path, damage):
    """Somebody wrote into the tables by hand."""
    written(path, "one")
    with open_database(path) as database:
        database.execute(damage)
    with pytest.raises(HistoryError, match="holds a record that cannot be read"):
        read(path, 1)


def test_turns_that_follow_each_other_in_a_circle_end(path):
    """Also a mistake by hand: reading stops."""
    written(path, "one", "two")
    with open_database(path) as database:
        database.execute("UPDATE turns SET after = 2 WHERE id = 1")
    assert len(read(path, 1).standing) == 2
