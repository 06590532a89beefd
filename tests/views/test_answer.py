from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest

from blendin_local.core.records import Candidate, CandidateLists, Step
from blendin_local.views.answer import footer, footer_items, styled_step
from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.answer_tables import comparison_table, stats_table, tokens_table, why_table
from blendin_local.views.theme import make_console
from blendin_local.views.visible import escape_controls, visible
from tests.answers import Terminal, asked_step, base_step, completion, rendered


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def printed(stream, *steps, color="auto", theme="dark", marks="auto", view="source"):
    printer = AnswerPrinter(make_console(stream, color, theme, marks), view)
    for step in steps:
        printer.feed(step, step.text)
    printer.finish()
    return stream.getvalue()


STEPS = (base_step(0, b"A"), asked_step(1, b" b", "kept"), asked_step(2, b" c"), base_step(3, b"\td"))


def test_a_terminal_sees_marks_that_differ_by_attribute():
    """Changed is bold, underlined and coloured, kept is underlined and never faint, base is plain."""
    assert printed(Terminal(), *STEPS) == "A \x1b[4mb\x1b[0m \x1b[1;4;38;5;81mc\x1b[0m\td\n"
    assert printed(Terminal(), *STEPS, theme="light") == "A \x1b[4mb\x1b[0m \x1b[1;4;38;5;24mc\x1b[0m\td\n"
    assert printed(Terminal(), *STEPS, theme="mono") == "A \x1b[4mb\x1b[0m \x1b[1;4mc\x1b[0m\td\n"


def test_marks_survive_no_color(monkeypatch):
    """Under NO_COLOR the attributes stay and the colour goes."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(Terminal(), *STEPS) == "A \x1b[4mb\x1b[0m \x1b[1;4mc\x1b[0m\td\n"


@pytest.mark.parametrize("term", ["xterm", "linux", "screen", "xterm-16color"])
def test_a_terminal_of_sixteen_colours_gets_attributes_alone(monkeypatch, term):
    """No colour of the sixteen can be read in every palette that people give them."""
    monkeypatch.setenv("TERM", term)
    assert printed(Terminal(), *STEPS) == "A \x1b[4mb\x1b[0m \x1b[1;4mc\x1b[0m\td\n"


def test_color_off_acts_as_no_color():
    """`--color off` leaves the same attributes on a terminal."""
    assert "\x1b[1;4mc" in printed(Terminal(), *STEPS, color="off")


@pytest.mark.parametrize("color", ["auto", "off"])
def test_a_pipe_gets_the_answer_alone(color):
    """No escape is written where nobody looks, and controls of the model pass unaltered."""
    assert printed(io.StringIO(), *STEPS, base_step(4, b"\x1b[31m\r"), color=color) == "A b c\td\x1b[31m\r\n"


def test_color_on_marks_even_in_a_pipe():
    """`--color on` is an explicit wish."""
    assert "\x1b[1;4;" in printed(io.StringIO(), *STEPS, color="on")


def test_a_dumb_terminal_gets_no_escape(monkeypatch):
    """TERM=dumb understands none."""
    monkeypatch.setenv("TERM", "dumb")
    assert printed(Terminal(), *STEPS) == "A b c\td\n"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["dumb terminal", "pipe"])
def test_marks_on_puts_characters_where_no_style_can_be_shown(monkeypatch, stream):
    """Changed in brackets, kept between underscores; the white space around a word stays outside."""
    monkeypatch.setenv("TERM", "dumb")
    assert printed(stream, *STEPS, marks="on") == "A _b_ [c]\td\n"


def test_marks_ascii_and_off_hold_on_every_terminal():
    """`ascii` writes characters also where styles could be shown; `off` marks nothing."""
    assert printed(Terminal(), *STEPS, marks="ascii") == "A _b_ [c]\td\n"
    assert printed(Terminal(), *STEPS, marks="off") == "A b c\td\n"
    assert printed(Terminal(), *STEPS, marks="on") == printed(Terminal(), *STEPS)


@pytest.mark.parametrize(("data", "shown"), [(b" ", "[ ]"), (b"\n", "\n"), (b"\n x ", "\n [x] ")])
def test_ascii_marks_keep_white_space_whole(data, shown):
    """A space alone is marked, a line break is not, and no mark moves to another line than its word."""
    assert styled_step(asked_step(0, data), data.decode(), marks="ascii").plain == shown


def test_control_characters_never_reach_a_terminal_raw():
    """ESC, carriage return and bell of a model are shown, not obeyed."""
    text = printed(Terminal(), base_step(0, b"\x1b[2J\r\x07\xc2\x9b"))
    assert text == "^[[2J^M^G<9B>\n"


def test_a_pipe_gets_utf8_whatever_the_locale():
    """The bytes of the answer do not depend on the encoding of stdout."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    AnswerPrinter(make_console(stream)).feed(base_step(0, b"x"), "\u20ac\n")
    assert raw.getvalue() == "\u20ac\n".encode()


def test_each_part_is_flushed():
    """A reader of the pipe sees a part before the next one comes."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        AnswerPrinter(make_console(stream)).feed(base_step(0, b"x"), "now")
        assert os.read(reading, 10) == b"now"
    os.close(reading)


def test_finish_ends_the_line_once():
    """An answer that ends in a newline gets no second one, and an empty answer none."""
    assert printed(io.StringIO(), base_step(0, b"x\n")) == "x\n"
    assert printed(io.StringIO()) == ""


def test_the_view_prob_marks_how_sure_the_base_was():
    """The less sure, the stronger the mark; attributes differ, not only colours."""
    steps = [base_step(i, b"x", p) for i, p in enumerate((0.9, 0.5, 0.2, 0.05))]
    text = printed(Terminal(), *steps, view="prob", color="off")
    assert text == "x\x1b[3mx\x1b[0m\x1b[4mx\x1b[0m\x1b[1;4mx\x1b[0m\n"


def test_the_view_plain_marks_nothing():
    """`plain` is text alone."""
    assert printed(Terminal(), *STEPS, view="plain") == "A b c\td\n"


def test_the_footer_gives_asked_and_changed_together():
    """One line holds speed, steps, both rates, the guide's tokens and the end."""
    answer = completion(*(base_step(i, b"a") for i in range(8)), asked_step(8, b" x", "kept"), asked_step(9))
    assert footer(answer).plain == (
        "10.0 tok/s · 10 steps · 20.0 % asked · 10.0 % changed · 31 guide tokens · ended by the guide"
    )


def test_the_warning_comes_above_a_fifth():
    """More than 20 % asked brings the paper's warning, whole where it is wanted and always as a sign."""
    shown = footer(completion(asked_step(0)))
    assert "100.0 % asked (!)" in shown.plain
    assert "Warning (!): the guide was asked at over 20 % of the steps" in shown.plain

    short = footer(completion(asked_step(0)), warn=False)
    assert "100.0 % asked (!)" in short.plain
    assert "Warning" not in short.plain


@pytest.mark.parametrize(("method", "warned"), [("ensemble", False), ("proxy", False), ("blendin", True)])
def test_the_warning_speaks_of_methods_with_a_gate(method, warned):
    """A method that asks at every step by what it is cannot be told to ask less."""
    answer = replace(completion(asked_step(0)), signature={"blend": {"method": method}})
    assert ("Warning" in footer(answer).plain) is warned


def test_a_narrow_footer_breaks_between_facts():
    """No line is longer than the width, and no fact is torn."""
    lines = footer(completion(*[base_step(i, b"a") for i in range(9)]), 40).plain.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "END"),
        (b" a\n", "·a⏎"),
        (b"\xf0\x9f", "<F0 9F>"),
        (b"\xf0\x9f\x98\x80", "\U0001f600"),
        (b"\x1b[0m", "^[[0m"),
        ("\u200b\u202e\u00a0".encode(), "<U+200B><U+202E><U+00A0>"),
        (b"a\xffb", "a<FF>b"),
    ],
)
def test_bytes_are_visible(data, seen):
    """Every byte string has one line that shows it."""
    assert visible(data) == seen


def test_ordinary_text_is_not_escaped():
    """Newlines, tabs and writing of all kinds pass."""
    assert escape_controls("a\n\tb \u4f60\u597d \U0001f600") == "a\n\tb \u4f60\u597d \U0001f600"


def test_why_puts_the_three_side_by_side_and_marks_the_winner():
    """One row holds the candidates of base, guide and blend; the winner has a mark of its own."""
    text = rendered(why_table(asked_step(17)))
    assert "step 17 ·Sure changed" in text
    assert "alpha 0.81" in text
    assert "·I    21.0 %  ▸·Sure   83.0 %  ▸·Sure  66.0 %" in text
    assert "·I    21 %  ▸·Sure   83 %  ▸·Sure" in rendered(why_table(asked_step(17)), 50)


@pytest.mark.parametrize(
    ("source", "escape"), [("changed", "1;4;38;5;81"), ("kept", "4"), ("base", "1"), ("guide", "1")]
)
def test_why_marks_the_winner_as_the_answer_does(source, escape):
    """The winner has the style of its source; one that is plain in an answer is bold."""
    console = make_console(Terminal(), theme="dark")
    with console.capture() as captured:
        console.print(why_table(asked_step(17, source=source)))
    assert f"\x1b[{escape}mSure" in captured.get() or f"\x1b[{escape}m·" in captured.get()


def test_why_explains_a_part_of_a_character():
    """`<E8>` is said to be the beginning of a character, and what it became if it won."""
    half = Candidate("é".encode()[:1], 0.1)
    lost = Step(3, b" x", "kept", 0.8, candidates=CandidateLists((Candidate(b" x", 0.3), half), None, None))
    text = rendered(why_table(lost), 200)
    assert "<C3> is the beginning of a character that a model writes in several tokens" in text
    assert "if one is chosen, the same model writes the rest" in text

    won = Step(3, "é".encode(), "changed", 0.8, candidates=CandidateLists(None, (half,), None))
    assert "the same model wrote the rest of é" in rendered(why_table(won), 200)

    both = CandidateLists((half, Candidate(b"\xe8", 0.1)), None, None)
    assert "<C3>, <E8> are beginnings of" in rendered(why_table(replace(lost, candidates=both)), 200)
    whole = Step(0, b" I", "kept", candidates=CandidateLists((Candidate(b" I", 1),), None, None))
    assert "beginning" not in rendered(why_table(whole))


def test_why_marks_the_half_character_that_was_finished():
    """The candidate is the beginning of what the step said."""
    half = CandidateLists(
        (Candidate(b" I", 0.2),), (Candidate(b"\xf0\x9f", 0.8),), (Candidate(b"\xf0\x9f", 0.7),)
    )
    step = Step(3, "\U0001f600".encode(), "changed", 0.8, half.base[0], half.guide[0], half)
    assert rendered(why_table(step)).count("▸<F0 9F>") == 2


def test_why_without_candidates_shows_first_choices():
    """Where the lists were not kept, what is known is shown."""
    assert "·I" in rendered(
        why_table(Step(0, b" I", "kept", 0.5, Candidate(b" I", 0.3), Candidate(b" I", 0.4)))
    )
    assert "No candidates" in rendered(why_table(Step(0, b"x", "base")))


def test_why_cuts_no_percentage_in_forty_columns():
    """The words give way: every row ends with a whole percentage."""
    words = [Candidate(f" a long word {i}".encode(), 0.0999 / 2**i) for i in range(10)]
    lists = CandidateLists(*[(Candidate(b" Sure", 0.8123), *words)] * 3)
    step = Step(0, b" Sure", "kept", 0.81, words[0], words[0], lists)
    rows = [line for line in rendered(why_table(step), 40).splitlines() if line[:3].strip().isdigit()]
    assert len(rows) == 10
    assert all(row.count("%") == 3 for row in rows)


@pytest.mark.parametrize("width", [40, 100])
def test_tables_fit(width):
    """No line is wider than the terminal, and names are whole."""
    long = base_step(0, b" internationalization of everything there is under the sun and moon and more")
    answer = completion(long, asked_step(1), asked_step(2, b" I", "kept"))
    for table in (
        why_table(asked_step(17)),
        why_table(long),
        tokens_table(answer.steps),
        comparison_table({"base": answer, "blendin": answer}),
        stats_table([answer, answer]),
    ):
        text = rendered(table, width)
        assert max(map(len, text.splitlines())) <= width
        assert len(text.splitlines()) < 14
    assert "blendin" in rendered(comparison_table({"blendin": answer}), width)
    assert "changed" in rendered(tokens_table(answer.steps), width)


def test_the_line_below_a_steered_answer_says_what_its_gate_did():
    """Open or closed, and by how much; other methods have no gate to speak of."""
    plain = completion(*STEPS)
    for value, words in ((321.25, "gate open (+321.2)"), (-0.05, "gate closed (-0.05)")):
        reading = {"value": value, "open": value > 0}
        steered = replace(plain, signature={**plain.signature, "steering": reading})
        assert words in footer_items(steered)
    assert not any("gate" in item for item in footer_items(plain))
