"""Commands that look at an answer step by step: `/why`, `/tokens`, `/view`, `/stats`.

Here: these commands; `last` and `last_completion`, the answer that a command is about.
Not here: the table of commands (`cli.chat.commands`), how a step looks (`views.answer_tables`), steps and
candidates as they are typed (`cli.common.named_steps`), where a word is in an answer (`cli.chat.words`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.words import near_words, steps_of_word
from blendin_local.cli.common.named_steps import decisions, is_number, unquoted
from blendin_local.core.records import Completion, Step
from blendin_local.core.shown_steps import shown_steps
from blendin_local.errors import UsageError
from blendin_local.history.records import Turn
from blendin_local.views.answer import View, footer
from blendin_local.views.answer_tables import stats_table, tokens_table, why_table
from blendin_local.views.form import has_form
from blendin_local.views.legend import legend
from blendin_local.views.theme import mark_kind
from blendin_local.views.visible import escape_controls

MAX_WHY = 5  # steps of one word whose candidates are shown
VIEWS: tuple[View, ...] = get_args(View)


def last(chat: Chat) -> Turn:
    """The last turn. UsageError if there is none."""
    if not chat.history.turns:
        raise UsageError("there is no answer yet", "ask something first")
    return chat.history.turns[-1]


def last_completion(chat: Chat) -> Completion:
    """The last answer with its steps. UsageError if they are not known."""
    completion = last(chat).completion
    if completion is None:
        raise UsageError(
            "the steps of the last answer are not known: it was interrupted, or loaded without them",
            "/retry answers again",
        )
    return completion


def why(chat: Chat, text: str) -> None:
    """Show the candidates of a step: by its number, by a word, else the first that the guide changed."""
    completion = last_completion(chat)
    steps = decisions(completion)
    if not steps:
        raise UsageError("the last answer has no steps")
    if not text:
        chat.err.print(why_table(next((step for step in steps if step.source == "changed"), steps[0])))
    elif is_number(text) and int(text) < len(steps):
        chat.err.print(why_table(steps[int(text)]))
    elif text == "END" and completion.end is not None:
        chat.err.print(why_table(completion.end))
    else:
        _why_word(chat, completion, unquoted(text), is_step=text.isdecimal())


def _why_word(chat: Chat, completion: Completion, word: str, *, is_step: bool) -> None:
    """Show the steps of a word, the first place in whole, and name the other places."""
    places = steps_of_word(completion, word)
    if not places:
        near = near_words(completion.text, word)
        raise UsageError(
            f"there is no step {word}" if is_step else f"the last answer has no {escape_controls(word)!r}",
            f"near to it: {', '.join(near)}"
            if near
            else f"the last answer has steps 0 to {len(decisions(completion)) - 1}; /tokens lists them",
        )
    first, *others = places
    for step in first[:MAX_WHY]:
        chat.err.print(why_table(step))
    if len(first) > MAX_WHY:
        chat.notice(f"The rest of it are steps {first[MAX_WHY].i} to {first[-1].i}.")
    if others:
        numbers = ", ".join(_span(place) for place in others)
        chat.notice(f"It is there {len(places)} times; the others begin at step {numbers}. /why N shows one.")


def _span(steps: Sequence[Step]) -> str:
    return str(steps[0].i)


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
    explained = {each: _legend(chat, each) for each in VIEWS}
    if not name:
        for each, text in explained.items():
            chat.err.print(Text(f"/view {each}", style="heading"), text, sep="\n")
        return
    chosen = next((each for each in VIEWS if each == name), None)
    if chosen is None:
        raise UsageError(f"there is no view {name!r}", f"one of {', '.join(VIEWS)}")
    chat.history.settings = replace(chat.history.settings, view=chosen)
    chat.err.print(explained[chosen])
    if chat.err.is_terminal and chat.history.turns:
        print_answer(chat, chat.history.turns[-1])


def _legend(chat: Chat, view: View) -> Text:
    """What the marks mean, those of a form too where an answer has one or the next one must."""
    answers, settings = chat.history.completions, chat.history.settings
    shows_form = has_form(vars(settings.answer)) or any(each.complete is not None for each in answers)
    return legend(view, mark_kind(chat.out), chat.err.width, has_form=shows_form)


def print_answer(chat: Chat, turn: Turn) -> None:
    """Show an answer again, with its marks if its steps are known."""
    if turn.completion is None:
        chat.err.print(Text(escape_controls(turn.answer)), soft_wrap=True)
        return
    is_data = turn.completion.complete is not None
    chat.printer(chat.err, is_data=is_data).print(turn.completion)


def stats(chat: Chat, _: str) -> None:
    """Show how often the guide was asked, for each answer."""
    answers = chat.history.completions
    if not answers:
        raise UsageError("there is no answer yet", "ask something first")
    chat.err.print(stats_table(answers))
    chat.err.print(footer(answers[-1], chat.err.width, warn=False))
