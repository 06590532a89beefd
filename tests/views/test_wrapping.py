"""Laws of text that is wrapped while it grows, on an emulated terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.views.streaming.characters import (
    SPACES,
    columns,
    continues_cluster,
    may_break,
    space_columns,
)
from blendin_local.views.streaming.markdown import RawScanner
from blendin_local.views.streaming.pieces import NEWLINE, EraseBack, LineStart, Piece
from blendin_local.views.streaming.wrapping import StreamWrapper, wrapped
from tests.views.terminals import FAMILY, FLAG, HEART, PROSE, THUMB, Emulator, cut, plain, written

WIDTHS = st.sampled_from([10, 19, 40, 80])
CUTS = st.lists(st.integers(0, 300))


def events(text):
    return [NEWLINE if part == "\n" else Piece(part) for part in re.findall(r"\n|[^\n]+", text)]


def streamed(parts, width, hold=None):
    wrapper = StreamWrapper(width, hold)
    return [one for part in parts for one in wrapper.feed(events(part))] + wrapper.finish()


def on_screen(operations, width):
    emulator = Emulator(width)
    emulator.feed(written(operations))
    return emulator.rows()


def clusters(text):
    found = []
    for char in text:
        if found and char not in SPACES and found[-1] not in SPACES and continues_cluster(found[-1], char):
            found[-1] += char
        else:
            found.append(char)
    return found


def words(line):
    """The parts of a line that no line break may come into, and the spaces between them."""
    found = []
    for cluster in clusters(line):
        if found and goes_on(found[-1], cluster):
            found[-1] += cluster
        else:
            found.append(cluster)
    return found


def goes_on(word, cluster):
    if (cluster in SPACES) != (word[-1] in SPACES):
        return False
    return cluster in SPACES or not may_break(clusters(word)[-1], cluster[0])


def slow_rows(line, width):
    """The rows of one line, by going over its words once: the slow twin."""
    rows, row, column, gap = [], "", 0, ""
    for word in words(line):
        if word[0] in SPACES:
            gap = word
            continue
        if column + space_columns(gap, column) + columns(word) > width:
            if row:
                rows.append(row)
            row, column, gap = "", 0, ""
        column += space_columns(gap, column)
        row += gap
        for cluster in clusters(word):
            if column + columns(cluster) > width and row:
                rows.append(row)
                row, column = "", 0
            row += cluster
            column += columns(cluster)
        gap = ""
    return [*rows, row]


@given(PROSE, WIDTHS, CUTS)
def test_appending_gives_the_rows_of_the_whole_text(text, width, places):
    """However a text is cut, the appended output has the rows that wrapping the whole text gives."""
    shown = plain(streamed(cut(text, places), width)).split("\n")
    expected = [row for line in text.split("\n") for row in slow_rows(line, width)]
    assert [row.rstrip(" \t") for row in shown] == [row.rstrip(" \t") for row in expected]


@given(PROSE, WIDTHS, CUTS)
def test_moving_long_words_gives_the_same_screen(text, width, places):
    """A terminal that shows long words as they grow ends with the screen of one that only appends."""
    assert on_screen(streamed(cut(text, places), width, 6), width) == on_screen(
        streamed([text], width), width
    )


@given(PROSE, WIDTHS, CUTS)
def test_no_row_is_too_long(text, width, places):
    """The terminal never has to wrap a row itself: its cursor is as far down as there are newlines."""
    operations = streamed(cut(text, places), width, 6)
    emulator = Emulator(width)
    emulator.feed(written(operations))
    newlines = sum(isinstance(one, Piece) and one.text == "\n" for one in operations)
    assert emulator.screen.cursor.y == newlines
    assert all(columns(row) <= width for row in plain(streamed([text], width)).replace("\t", " ").split("\n"))


@given(PROSE, WIDTHS, CUTS)
def test_only_white_space_is_left_out(text, width, places):
    """Every other character of the text is shown once and in its place."""
    shown = plain(streamed(cut(text, places), width))
    left_out = str.maketrans("", "", "".join(SPACES) + "\n")
    assert shown.translate(left_out) == text.translate(left_out)


@given(PROSE, WIDTHS, st.sampled_from([10, 25, 60]), CUTS)
def test_a_change_of_width_garbles_nothing(text, before, after, places):
    """Every character is shown once, and no row that begins after the change is longer than the new width."""
    parts = cut(text, places)
    wrapper = StreamWrapper(before)
    first = [one for part in parts[: len(parts) // 2] for one in wrapper.feed(events(part))]
    wrapper.resize(after)
    second = [one for part in parts[len(parts) // 2 :] for one in wrapper.feed(events(part))]
    later = plain([*second, *wrapper.finish()])
    left_out = str.maketrans("", "", "".join(SPACES) + "\n")
    assert (plain(first) + later).translate(left_out) == text.translate(left_out)
    assert all(columns(row.replace("\t", " ")) <= after for row in later.split("\n")[1:])


def test_a_row_that_is_longer_than_the_new_width_is_left():
    """The next word begins a row, whether or not the terminal has wrapped the long one anew."""
    wrapper = StreamWrapper(20)
    wrapper.feed([Piece("one two three four ")])
    wrapper.resize(10)
    assert plain(wrapper.feed([Piece("five six seven")]) + wrapper.finish()) == "\nfive six\nseven"


def test_a_word_is_shown_when_it_ends_and_the_first_of_a_row_at_once():
    """Only a word that may not fit is waited for."""
    wrapper = StreamWrapper(12)
    assert plain(wrapper.feed([Piece("Pho")])) == "Pho"
    assert plain(wrapper.feed([Piece("to"), Piece(" syn")])) == "to"
    assert plain(wrapper.feed([Piece("the")])) == ""
    assert plain(wrapper.feed([Piece("sis")])) == "\nsynthesis"
    assert plain(wrapper.feed([Piece(" is")])) == ""
    assert plain(wrapper.feed([Piece(" o")])) == " is\no"
    assert plain(wrapper.feed([Piece("k")])) == "k"


def test_a_long_word_is_shown_as_it_grows_and_moved_at_the_edge():
    """It stays in its row up to the last column; beyond that it is erased there and shown in the next row."""
    wrapper = StreamWrapper(20, hold=6)
    assert plain(wrapper.feed([Piece("see ")])) == "see"
    assert plain(wrapper.feed([Piece("http://")])) == " http://"
    assert plain(wrapper.feed([Piece("a.org/ab")])) == "a.org/ab"
    assert wrapper.feed([Piece("cd")]) == [EraseBack(15), NEWLINE, Piece("http://a.org/abcd")]
    assert plain(wrapper.feed([Piece("ef ")]) + wrapper.finish()) == "ef "


@pytest.mark.parametrize("emoji", [FAMILY, FLAG, THUMB, HEART, "e\u0301"])
def test_no_row_ends_within_a_visible_character(emoji):
    """A row of emoji without spaces is broken between them, however they arrive."""
    for width in range(4, 12):
        shown = plain(streamed(list(emoji * 9), width))
        assert set(shown.replace(emoji, "").replace("\n", "")) == set()
        assert shown.replace("\n", "") == emoji * 9


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("私は日本語が好きです。", ["私は日本語", "が好きで", "す。"]),
        ("彼は「はい」と言った", ["彼は「は", "い」と言っ", "た"]),
        ("Python是一种语言", ["Python是一", "种语言"]),
        ("한국어를 배웁니다", ["한국어를", "배웁니다"]),
        ("no\u00a0break here", ["no\u00a0break", "here"]),
        ("ab cd\u200bef ghij", ["ab cdef", "ghij"]),
    ],
)
def test_writing_without_spaces(text, rows):
    """Lines end between ideographs, not before closing punctuation or after an opening bracket."""
    assert plain(streamed([text], 10)).replace("\u200b", "").split("\n") == rows


def test_what_stands_before_a_line_is_kept_on_its_further_rows():
    """The rows of an item are indented as far as its text; a prefix of half the width is text."""
    wrapper = StreamWrapper(14)
    item = LineStart((Piece("• "),), (Piece("  "),))
    assert plain(wrapper.feed([item, Piece("one two three")]) + wrapper.finish()) == "• one two\n  three"
    deep = LineStart((Piece("> " * 4),), (Piece("> " * 4),))
    rows = plain(StreamWrapper(14).feed([deep, Piece("one two three "), NEWLINE])).split("\n")
    assert rows == ["> > > > one", "two three ", ""]


def test_code_is_not_wrapped():
    """Its line is given to the terminal as it is, so that it can be copied whole."""
    text = "```\n" + "x = 1 " * 20 + "\n```\n" + "word " * 20
    scanner, wrapper = RawScanner(), StreamWrapper(30)
    shown = plain(wrapper.feed(scanner.feed(text, None)) + wrapper.finish()).split("\n")
    assert "x = 1 " * 20 in shown
    assert all(len(row) <= 30 for row in shown[3:])


def test_marks_stay_on_their_words():
    """A piece keeps its mark on the next row, and a visible character has one mark."""
    pieces = [
        Piece("one ", "a"),
        Piece("two", "b"),
        Piece(" \U0001f468\u200d", "a"),
        Piece("\U0001f469", "b"),
    ]
    assert wrapped(pieces, 4) == [
        [Piece("one", "a")],
        [Piece("two", "b")],
        [Piece("\U0001f468\u200d\U0001f469", "a")],
    ]
