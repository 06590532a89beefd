"""Stored answers as they were recorded: those to one question together, each with its marks.

Here: `answers_view`; `by_question`, `answer_label` and `answer_facts`, which the page of stored answers uses
too (`reports.answer_html`).
Not here: what other settings would have done (`views.replay`), how a step is marked (`views.answer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.core.records import summarize
from blendin_local.core.shown_steps import shown_steps
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.views.answer import STOP_TEXTS, counted, styled_step
from blendin_local.views.legend import legend
from blendin_local.views.theme import MarkKind
from blendin_local.views.visible import escape_controls

ALONE = {"base": "base alone", "guide": "guide alone"}
CUT_OFF = "the record is cut off here"


def answers_view(
    answers: Sequence[StoredAnswer], marks: MarkKind = "styles", width: int = 80
) -> RenderableType:
    """Each question with its answers, and what the marks mean.

    Args:
        answers: In the order of their file.
        marks: How the console marks steps.
        width: Columns.
    """
    parts: list[RenderableType] = []
    for same_question in by_question(answers):
        parts += [*_question(same_question[0]), _answers(same_question, marks), Text()]
    return Group(*parts, *([] if marks == "none" else [legend("source", marks, width), Text()]))


def by_question(answers: Iterable[StoredAnswer]) -> list[list[StoredAnswer]]:
    """The answers that answer the same conversation together; one without a conversation is by itself."""
    found: dict[object, list[StoredAnswer]] = {}
    for i, stored in enumerate(answers):
        found.setdefault(stored.messages or i, []).append(stored)
    return list(found.values())


def question_of(stored: StoredAnswer) -> str:
    """The last message that it answers; empty if the record has none."""
    return stored.messages[-1].text if stored.messages else ""


def answer_label(stored: StoredAnswer) -> str:
    """Who answers: `base alone`, `guide alone`, or the method."""
    return ALONE.get(stored.blend.method, stored.blend.method)


def answer_facts(stored: StoredAnswer) -> list[str]:
    """Its id, its length, how often the guide was asked where there are two models, and its end."""
    blend = summarize(stored.steps)
    rates = [f"{percent(blend.intervention_rate)} asked", f"{percent(blend.changed_rate)} changed"]
    end = CUT_OFF if stored.stopped_by is None else STOP_TEXTS[stored.stopped_by].clause
    return [
        stored.name,
        counted(blend.steps, "step"),
        *([] if stored.blend.method in ALONE else rates),
        end,
    ]


def _question(stored: StoredAnswer) -> list[RenderableType]:
    question = question_of(stored)
    if not question:
        return []
    earlier = len(stored.messages) - 1
    before = Text(f"after {counted(earlier, 'earlier message')}:", style="hint")
    return [*([before] if earlier else []), Text(escape_controls(question), style="heading")]


def _answers(same_question: Sequence[StoredAnswer], marks: MarkKind) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="heading", no_wrap=True)
    table.add_column(overflow="fold")
    for stored in same_question:
        texts = [styled_step(step, text, marks=marks) for step, text in shown_steps(stored)]
        table.add_row(Text(answer_label(stored)), Text("").join(texts))
        table.add_row("", Text(escape_controls(" · ".join(answer_facts(stored))), style="footer"))
    return table
