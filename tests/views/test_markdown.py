"""Laws of Markdown that is read while it grows; markdown-it's reading of the same text is the slow twin."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from blendin_local.views.streaming.inline import MAX_HELD, InlineScanner
from blendin_local.views.streaming.markdown import MarkdownScanner, RawScanner
from blendin_local.views.streaming.pieces import LineStart, Piece, TableRow, joined
from blendin_local.views.streaming.wrapping import StreamWrapper
from tests.views.markdown_answers import ANSWERS
from tests.views.terminals import Emulator, cut, plain, written

CUTS = st.lists(st.integers(0, 300))
MARKDOWN = st.lists(
    st.one_of(
        st.sampled_from(list("*_`#->+|~[]()!\\:. \n\t\n")),
        st.sampled_from(["**", "```", "- ", "1. ", "# ", "| ", "---", "> "]),
        st.sampled_from(["word", "two words", "日本", "🇩🇪", "12", "|-|-|\n", "](http://x.org)"]),
        st.text(st.characters(exclude_categories=["Cc", "Cn", "Co", "Cs", "Zl", "Zp"]), max_size=4),
    )
).map("".join)
SYNTAX = frozenset("*_`#->+|~[]()!\\:. \n\t│•─┼")


def scanned(parts, scanner=None):
    scanner = scanner or MarkdownScanner()
    return [event for part in parts for event in scanner.feed(part, None)] + scanner.finish()


def normal(events):
    """The same events with as few pieces as possible."""
    found = []
    for event in events:
        if isinstance(event, Piece) and found and isinstance(found[-1], Piece):
            found[-1:] = joined([found[-1], event])
        else:
            found.append(event)
    return found


def shown(text, width=80):
    wrapper = StreamWrapper(width)
    return plain(wrapper.feed(scanned([text])) + wrapper.finish())


def content(text):
    return [char for char in text if not (char in SYNTAX or char.isspace() or char == "\u200b")]


@given(MARKDOWN, CUTS)
def test_the_reading_does_not_depend_on_how_the_text_is_cut(text, places):
    """Steps may end anywhere."""
    assert normal(scanned(cut(text, places))) == normal(scanned([text]))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_reads_the_same_by_characters(name):
    """A line that is longer than what may be held is read the same a character at a time and as a whole."""
    line = ANSWERS[name].replace("\n\n", "\n") + "word " * 20 + "*[text](http://x.org/)* and `code` "
    assert normal(scanned(list(line * 2))) == normal(scanned([line * 2]))


@given(MARKDOWN)
def test_nothing_but_syntax_is_left_out(text):
    """Every character that is no syntax is shown, once and in its place."""
    assert content(shown(text)) == content(text)


@given(MARKDOWN, st.sampled_from([12, 40, 80]), CUTS)
def test_the_screen_is_that_of_the_whole_text(text, width, places):
    """What a terminal shows in the end does not depend on how the answer arrived."""
    screens = []
    for parts in (cut(text, places), [text]):
        scanner, wrapper, emulator = MarkdownScanner(), StreamWrapper(width, 6), Emulator(width)
        for part in parts:
            emulator.feed(written(wrapper.feed(scanner.feed(part, None))))
        emulator.feed(written(wrapper.feed(scanner.finish()) + wrapper.finish()))
        screens.append(emulator.rows())
    assert screens[0] == screens[1]


@given(st.text(), CUTS)
def test_raw_text_stays_as_it_is(text, places):
    """Without Markdown the pieces are the text."""
    pieces = scanned(cut(text, places), RawScanner())
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == text


@given(st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1))
def test_words_are_not_held(text):
    """Text that cannot be syntax is passed on at once."""
    assume(not text[0].isdigit() and text.strip())
    scanner = InlineScanner()
    assert "".join(piece.text for piece in scanner.feed(text, None)) == text


def styles_of(pieces):
    """The letters and digits, each with its styles."""
    return [
        (char, frozenset(look[3:] for look in piece.looks))
        for piece in pieces
        for char in piece.text
        if char.isalnum() and "md.mark" not in piece.looks
    ]


def our_styles(text):
    pieces = []
    for event in scanned([text]):
        if isinstance(event, Piece):
            pieces.append(event)
        elif isinstance(event, LineStart):
            pieces += [piece for piece in event.prefix if not re.fullmatch(r"\d+[.)]", piece.text.strip())]
        elif isinstance(event, TableRow):
            pieces += [piece for cell in event.cells for piece in cell]
    return [(char, styles - {"link"}) for char, styles in styles_of(pieces)]


NAMES = {"strong": "strong", "em": "emphasis", "heading": "heading", "th": "heading"}


def twin_styles(text):
    """The same by markdown-it, which has the whole text."""
    pieces = []
    open_looks = []

    def walk(tokens):
        for token in tokens:
            kind = token.type.rpartition("_")[0]
            if kind in NAMES and token.nesting == 1:
                open_looks.append(f"md.{NAMES[kind]}")
            elif kind in NAMES and token.nesting == -1:
                open_looks.remove(f"md.{NAMES[kind]}")
            elif token.type == "inline":
                walk(token.children)
            elif token.type in {"text", "text_special"}:
                pieces.append(Piece(token.content, None, tuple(open_looks)))
            elif token.type in {"code_inline", "fence"}:
                pieces.append(Piece(token.content, None, ("md.code", *open_looks)))

    walk(MarkdownIt("commonmark", {"html": False}).enable("table").parse(text))
    return styles_of(pieces)


@pytest.mark.parametrize("name", ANSWERS)
def test_typical_answers_are_read_as_markdown_it_reads_them(name):
    """Each letter of prose, lists, tables and code has the styles that a whole-text parser gives it."""
    assert our_styles(ANSWERS[name]) == twin_styles(ANSWERS[name])


INLINE = st.lists(
    st.sampled_from(["*", "**", "***", "`", "``", "_", " ", "a", "b c", "d.", "(e)", "\\*", "[f](g)"])
).map("".join)


@given(INLINE)
def test_a_line_is_read_as_markdown_it_reads_it(line):
    """Emphasis, code and links agree with CommonMark, but where we differ on purpose."""
    assume(len(line) < MAX_HELD and not re.search(r"\w\*+\w|__|\*\*\*\*", line))
    assert our_styles(f"x {line} x") == twin_styles(f"x {line} x")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("## Title\ntext", "Title\ntext"),
        ("- one\n* two\n  + three", "• one\n• two\n  • three"),
        ("1. one\n12) two", "1. one\n12) two"),
        ("> quoted\n> > twice", "│ quoted\n│ │ twice"),
        ("***", "─" * 24),
        ("- - -", "─" * 24),
        ("a **b** *c* `d` ***e***", "a b c d e"),
        ("[site](http://x.org/a_b_c) and [1]", "site (http://x.org/a_b_c) and [1]"),
        ("[http://x.org](http://x.org)", "http://x.org"),
        ("![alt](x.png) <img src='*'>", "![alt](x.png) <img src='*'>"),
        ("[red]no markup[/red]", "[red]no markup[/red]"),
        ("2*3*4 = 24, 2 * 3, __init__, *args", "2*3*4 = 24, 2 * 3, __init__, *args"),
        ("snake_case_name, a\\_b, \\[x\\]", "snake_case_name, a_b, \\[x\\]"),
        ("**重点：**这是", "重点：这是"),
        ("1990 was. 3.14 #1 -5 +1", "1990 was. 3.14 #1 -5 +1"),
        ("#hashtag\n-dash\n1.5", "#hashtag\n-dash\n1.5"),
        ("```py\nx = *a*\n\n```\n*b*", "```py\nx = *a*\n\n```\nb"),
        ("1. do\n   ```\n   x\n     y\n   ```", "1. do\n   ```\nx\n  y\n   ```"),
        ("~~~\n```\n~~~", "~~~\n```\n~~~"),
        ("| a | b |\nno table", "| a | b |\nno table"),
    ],
)
def test_what_is_shown(text, seen):
    """Marks of Markdown give way to styles and signs; what is none stays."""
    assert shown(text) == seen


@pytest.mark.parametrize(
    "text",
    [
        "**bold",
        "a *b",
        "`code",
        "[link](http://x",
        "[link",
        "** ",
        "#",
        "1.",
        "-",
        "| a |",
        "a\\",
        "**a *b*",
        "**",
    ],
)
def test_what_does_not_end_is_shown_as_it_was(text):
    """At the end of an answer nothing of the text is missing."""
    assert content(shown(text)) == content(text)
    assert shown(text).replace("•", "-") in {text, text.rstrip(), text.replace("*b*", "b")}


def test_long_emphasis_is_not_waited_for():
    """Its marks are shown as they were written, and the text between them in its style."""
    scanner = InlineScanner()
    first = scanner.feed("**" + "word " * 13, None)
    assert first[0] == Piece("**", None, ("md.mark",))
    assert first[1].looks == ("md.strong",)
    assert scanner.feed("more", None) == [Piece("more", None, ("md.strong",))]
    assert scanner.feed("** after", None) == [Piece("**", None, ("md.mark",)), Piece(" after")]


def test_marks_stay_on_their_words():
    """A piece keeps the mark of its step inside emphasis, code and links, and on the sign of an item."""
    scanner = MarkdownScanner()
    events = [
        event
        for text, mark in [("-", "a"), (" **bo", "b"), ("ld", "c"), ("** `x", "d"), ("`", "e")]
        for event in scanner.feed(text, mark)
    ] + scanner.finish()
    assert events[0].prefix == (Piece("•", "a"), Piece(" "))
    assert joined(events[1:]) == [
        Piece("bo", "b", ("md.strong",)),
        Piece("ld", "c", ("md.strong",)),
        Piece(" ", "d"),
        Piece("x", "d", ("md.code",)),
    ]


def test_backticks_stay_where_no_style_shows_code():
    """Without colours, code is told from text by its backticks."""
    scanner = MarkdownScanner(keeps_code_marks=True)
    pieces = [event for event in scanned(["a `b` c"], scanner) if isinstance(event, Piece)]
    assert "".join(piece.text for piece in pieces) == "a `b` c"


def test_a_table_has_its_columns_from_the_first_row_on():
    """Each row is shown when it ends; long cells take several lines, further cells stay in the last."""
    scanner, wrapper = MarkdownScanner(), StreamWrapper(40)
    assert wrapper.feed(scanner.feed("| Name | Year |\n|---|--:|", None)) == []
    head = plain(wrapper.feed(scanner.feed("\n", None))).splitlines()
    assert head == ["Name               │               Year", "───────────────────┼───────────────────"[:39]]
    row = plain(wrapper.feed(scanner.feed("| Marie **Curie** of Warsaw | 1867 | x |\n", None))).splitlines()
    assert row == ["Marie Curie of     │           1867 | x", "Warsaw             │                   "]


def test_a_table_that_has_no_room_is_text():
    """More columns than the terminal has room for are wrapped as words are."""
    text = "|" + " a |" * 9 + "\n|" + "-|" * 9 + "\n"
    assert shown(text, 20) == "a │ a │ a │ a │ a │\na │ a │ a │ a\n"
