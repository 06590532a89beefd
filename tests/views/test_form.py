"""What a person sees of an answer with a prescribed form: forced text, legal mass, whether it is complete."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import get_args

import pytest

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.state import ChatSettings, ChatStart
from blendin_local.cli.chat.step_commands import print_answer
from blendin_local.cli.run.outputs import Screen
from blendin_local.core.records import Candidate, Source, Step, StoppedBy
from blendin_local.history.records import Turn
from blendin_local.settings import FORMS, AnswerSettings
from blendin_local.views.answer import STOP_TEXTS, footer, style_of, styled_step
from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.answer_tables import (
    SOURCE_TEXTS,
    comparison_table,
    stats_table,
    tokens_table,
    why_table,
)
from blendin_local.views.form import FORM_NAMES, UNFINISHED, form_text, has_form
from blendin_local.views.history import print_turn
from blendin_local.views.legend import legend
from blendin_local.views.theme import STYLES, Consoles, make_console
from tests.answers import Terminal, asked_step, base_step, completion, rendered
from tests.paths import ROOT


def forced(i, data=b'{"name": "'):
    return Step(i, data, "forced")


def of_form(*steps, complete=True, stopped_by="complete", **form):
    answer = form or {"json_schema": "{}"}
    made = completion(*steps, stopped_by=stopped_by)
    return replace(made, complete=complete, signature={"answer": answer})


MARIE = replace(base_step(1, b"Marie"), legal_base=0.9)
CURIE = replace(asked_step(2, b" Curie"), legal_base=0.5, legal_guide=0.25)
ANSWER = of_form(forced(0), MARIE, CURIE, forced(3, b'"}'))


def test_every_source_and_every_end_has_its_words_and_its_style():
    """A record of any kind can be shown."""
    assert set(STOP_TEXTS) == set(get_args(StoppedBy))
    assert set(SOURCE_TEXTS) == set(get_args(Source))
    assert {f"source.{source}" for source in get_args(Source)} <= set(STYLES)
    assert all(len(text.short) <= 6 for text in STOP_TEXTS.values())


def test_the_page_of_a_server_says_the_same_of_every_source():
    """Its script has the terminal's sentences."""
    script = (ROOT / "blendin_local" / "server" / "assets" / "answer.js").read_text()
    spoken = re.search(r"const WHY = \{(.*?)\n\};", script, re.S)[1]
    assert dict(re.findall(r'(\w+): "(.*)",', spoken)) == dict(SOURCE_TEXTS)


def test_each_form_has_its_name_and_its_sentence():
    """Whatever form was asked for, it can be named and its end be missed."""
    assert set(FORM_NAMES) == set(UNFINISHED) == set(FORMS)
    for form in FORMS:
        settings = {**dict.fromkeys(FORMS), form: "x"}
        assert has_form(settings)
        assert form_text(settings) == {FORM_NAMES[form]: "x"}
    assert not has_form(dict.fromkeys(FORMS))
    assert form_text({}) == {}


def test_the_footer_counts_forced_text_apart():
    """Rates and speed are of the steps that models were asked for; a line tells what the form did."""
    first, second = footer(ANSWER).plain.splitlines()[:2]
    assert first.startswith("2.0 tok/s · 2 steps · 50.0 % asked (!) · 50.0 % changed")
    assert first.endswith("· complete")
    assert second == (
        "the form wrote 2 of 4 steps · the base gave 70.0 %, the guide 25.0 % to what was legal"
    )


def test_the_footer_names_the_models_that_were_asked():
    """None where the form wrote everything, the guide where it answers alone."""
    assert footer(of_form(forced(0))).plain.splitlines()[1] == "the form wrote 1 of 1 step"
    alone = Step(0, b"yes", "guide", guide_top=Candidate(b"yes", 0.9), legal_guide=0.125)
    assert footer(of_form(alone)).plain.splitlines()[1] == (
        "the form wrote 0 of 1 step · the guide gave 12.5 % to what was legal"
    )


def test_an_answer_without_a_form_has_the_usual_footer():
    """Nothing is said of forms where none was asked for."""
    assert "form" not in footer(completion(base_step(0, b"a"))).plain


@pytest.mark.parametrize(
    ("stopped_by", "form", "says"),
    [
        ("max_tokens", "json_schema", "cut by its length: the JSON is not complete"),
        ("context", "json_schema", "cut by a full context: the JSON is not complete"),
        ("stop_string", "regex", "cut at a stop string: the text does not match the regular expression"),
        ("user", "grammar", "stopped by you: the text does not match the grammar"),
    ],
)
def test_an_answer_without_its_form_is_said_to_be_incomplete(stopped_by, form, says):
    """A line of its own, styled as a warning, names the cut and what is wrong."""
    shown = footer(of_form(base_step(0, b"a"), complete=False, stopped_by=stopped_by, **{form: "x"}))
    assert says in shown.plain.splitlines()
    assert any(str(span.style) == "warning" for span in shown.spans)


def test_a_complete_answer_is_not_warned_of():
    """Even where its length ended it."""
    made = of_form(base_step(0, b"a"), stopped_by="max_tokens")
    assert "not complete" not in footer(made).plain


@pytest.mark.parametrize("view", ["source", "prob"])
def test_forced_text_has_a_quiet_mark(view):
    """It has an attribute and the colour of what stands around an answer; in plain characters parentheses."""
    assert style_of(forced(0), view) == "source.forced"
    assert STYLES["source.forced"] == ("italic", "quiet")
    assert styled_step(forced(0, b' "x": '), ' "x": ', view, "ascii").plain == ' ("x":) '
    assert style_of(forced(0), "plain") == "none"


def test_the_legend_explains_forced_text_where_there_may_be_any():
    """In both views that mark it, and without a form in none."""
    for view in ("source", "prob"):
        assert "forced by the form" in legend(view, has_form=True).plain
        assert "(forced) by the form" in legend(view, "ascii", has_form=True).plain
        assert "forced" not in legend(view).plain
    assert legend("source", width=90, has_form=True).plain.splitlines() == [
        "changed by the guide · kept though the guide was asked · plain: not asked",
        "forced by the form",
    ]


def test_why_says_that_nobody_was_asked():
    """A forced step has no candidates to miss."""
    text = rendered(why_table(forced(4)))
    assert text == 'step 4 {"name":·" forced: the form allowed nothing else, so no model was asked\n'


def test_why_tells_what_was_legal():
    """What each model gave to it, and what the probabilities are shares of; nothing where all was legal."""
    text = " ".join(rendered(why_table(CURIE)).split())
    assert "The base gave 50.0 %, the guide 25.0 % to what was legal here; the probabilities are" in text
    assert "The base gave 90.0 % to what" in " ".join(rendered(why_table(MARIE)).split())
    assert "legal" not in rendered(why_table(replace(MARIE, legal_base=0.9999)))
    assert "legal" not in rendered(why_table(base_step(0, b"a")))


def test_the_list_of_steps_has_the_legal_mass():
    """Per step, of the base or of a guide that answers alone; no such column without a form."""
    alone = Step(4, b"!", "guide", guide_top=Candidate(b"!", 0.9), legal_guide=0.125)
    head, _, *rows = rendered(tokens_table([*ANSWER.steps, alone])).splitlines()
    assert head.split()[-1] == "legal"
    assert [row.split()[-2:] for row in (rows[1], rows[2], rows[4])] == [
        ["90", "%"],
        ["50", "%"],
        ["12", "%"],
    ]
    assert "forced" in rows[0]
    assert not rows[0].rstrip().endswith("%")
    assert "legal" not in rendered(tokens_table([base_step(0, b"a")]))


def test_tables_of_answers_count_forced_text_apart():
    """A column for it where there is any; the steps beside it are those of models."""
    made = of_form(*ANSWER.steps, forced(4, b"\n"))
    for table in (comparison_table({"base": made}), stats_table([made, made])):
        head, _, *rows = rendered(table).splitlines()
        assert head.split()[1:4] == ["steps", "form", "asked"]
        assert rows[0].split()[1:3] == ["2", "3"]
        assert rows[0].split()[-1] == "form"
        assert len(rows) == 1 or rows[-1].split()[:3] == ["all", "4", "6"]
    plain = completion(base_step(0, b"a"))
    assert "form" not in rendered(comparison_table({"base": plain}))


@pytest.mark.parametrize("width", [40, 100])
def test_tables_with_a_form_fit(width):
    """No line is wider than the terminal, and the columns that a form adds are whole."""
    for table in (
        why_table(CURIE),
        why_table(forced(0)),
        tokens_table(ANSWER.steps),
        comparison_table({"blendin": ANSWER}),
        stats_table([ANSWER, ANSWER]),
    ):
        text = rendered(table, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text.splitlines()[0]
    assert "90 %" in rendered(tokens_table(ANSWER.steps), width)


DATA = '{"note": "a long *line* of `text` with __many__ words that a row does not hold"}'
STEPS = [base_step(i, part.encode()) for i, part in enumerate(re.findall(r" ?\S{1,5}|\s", DATA))]


@pytest.fixture
def terminal(monkeypatch):
    """A console of 40 columns, and the rows that were written to it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)

    def make():
        console = make_console(Terminal(), "off")
        console.width = 40
        return console, lambda: re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", console.file.getvalue()).splitlines()

    return make


def test_data_is_shown_as_it_was_written(terminal):
    """A terminal gets every character of it, and no line break that could come into a string."""
    rows = {}
    for is_data in (True, False):
        console, written = terminal()
        printer = AnswerPrinter(console, markdown=True, is_data=is_data)
        for step in STEPS:
            printer.feed(step, step.text)
        printer.finish()
        rows[is_data] = written()
    assert rows[True] == [DATA]
    assert len(rows[False]) > 1
    assert "".join(rows[False]) != DATA


@pytest.mark.parametrize("form", [{"json_schema": "{}"}, {"regex": ".*"}, {"json_schema": None}])
def test_an_answer_with_a_form_is_data_wherever_it_is_shown(terminal, form):
    """By `run`, in a chat when it is made and when it is shown again, and by `logs`."""
    is_data = None not in form.values()
    made = of_form(*STEPS, complete=True if is_data else None, **form)
    consoles = [terminal() for _ in range(4)]
    (of_run, _), (of_logs, _), (of_chat, _), (of_view, _) = consoles

    screen = Screen(Consoles(of_run, make_console(io.StringIO())))
    screen.begin({}, made.signature)
    for step in STEPS:
        screen.step(step, step.text)
    screen.flush()
    print_turn(Turn("Which?", DATA, made), of_logs)
    start = ChatStart(settings=ChatSettings(answer=AnswerSettings(**form)))
    talk = Chat(AnsweringPair(made), start, of_chat, make_console(io.StringIO()))
    talk.ask("Which?")
    talk.err = of_view
    print_answer(talk, talk.history.turns[-1])

    for _, written in consoles:
        assert (DATA in written()) is is_data


class AnsweringPair:
    """Gives one answer, to anything."""

    def __init__(self, made):
        self.made = made

    def stream(self, conversation, /, **settings):
        del conversation, settings
        return self

    reading = None

    def shown(self):
        return ((step, step.text) for step in self.made.steps)

    @property
    def completion(self):
        return self.made

    @property
    def signature(self):
        return self.made.signature
