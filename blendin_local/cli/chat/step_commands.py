"""Commands that look at an answer step by step: `/why`, `/tokens`, `/view`, `/stats`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), how a step looks (`views.answer_tables`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.answer_commands import last_completion
from blendin_local.core.records import Completion, Step, shown_steps
from blendin_local.errors import UsageError
from blendin_local.views.answer import View, footer
from blendin_local.views.answer_tables import stats_table, tokens_table, why_table
from blendin_local.views.legend import legend
from blendin_local.views.theme import mark_kind

MAX_DIGITS = 10  # of a step's number
VIEWS: tuple[View, ...] = get_args(View)


def decisions(completion: Completion) -> list[Step]:
    """The steps of an answer, and END where that ended it."""
    return [*completion.steps, *([] if completion.end is None else [completion.end])]


def why(chat: Chat, text: str) -> None:
    """Show the candidates of a step: by its number, else the first that the guide changed."""
    steps = decisions(last_completion(chat))
    if not steps:
        raise UsageError("the last answer has no steps")
    if not text:
        step = next((step for step in steps if step.source == "changed"), steps[0])
    elif text.isdecimal() and len(text) < MAX_DIGITS and int(text) < len(steps):
        step = steps[int(text)]
    else:
        raise UsageError(f"there is no step {text}", f"the last answer has steps 0 to {len(steps) - 1}")
    chat.err.print(why_table(step))


def tokens(chat: Chat, which: str) -> None:
    """List the steps of the last answer, without what a stop string cut off."""
    completion = last_completion(chat)
    steps = [replace(step, bytes=text.encode()) for step, text in shown_steps(completion)]
    groups = {
        "": steps,
        "asked": [step for step in steps if step.asked],
        "changed": [step for step in steps if step.source == "changed"],
    }
    if which not in groups:
        raise UsageError(f"there are no tokens named {which!r}", "/tokens, /tokens asked or /tokens changed")
    chat.err.print(tokens_table(groups[which]))


def view(chat: Chat, name: str) -> None:
    """Choose what the marks show, and show the last answer so; without a name, explain the marks."""
    marks, width = mark_kind(chat.out), chat.err.width
    if not name:
        for each in VIEWS:
            chat.err.print(Text(f"/view {each}", style="heading"), legend(each, marks, width), sep="\n")
        return
    chosen = next((each for each in VIEWS if each == name), None)
    if chosen is None:
        raise UsageError(f"there is no view {name!r}", f"one of {', '.join(VIEWS)}")
    chat.history.settings = replace(chat.history.settings, view=chosen)
    chat.err.print(legend(chosen, marks, width))
    if chat.err.is_terminal and chat.history.completions:
        chat.printer(chat.err).print(chat.history.completions[-1])


def stats(chat: Chat, _: str) -> None:
    """Show how often the guide was asked, for each answer."""
    answers = chat.history.completions
    if not answers:
        raise UsageError("there is no answer yet", "ask something first")
    chat.err.print(stats_table(answers))
    chat.err.print(footer(answers[-1], chat.err.width, warn=False))
