"""The slash commands of a chat.

Here: `COMMANDS`, one entry each with its help, and `run_command`.
Not here: answering (`cli.chat.answer`), settings by name (`cli.chat.settings`), files (`cli.chat.files`).
A command is a function of the chat and the text after its name; what is wrong is a UsageError.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from rich.table import Table
from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.files import load, save
from blendin_local.cli.chat.settings import (
    SETTABLE,
    did_you_mean,
    setting_name,
    values_as_text,
    with_setting,
)
from blendin_local.cli.chat.state import Turn
from blendin_local.cli.common.values import without_surrogates
from blendin_local.core.records import Completion, Step
from blendin_local.errors import UsageError
from blendin_local.paths import expand_user
from blendin_local.views.answer import AnswerPrinter, View, counted, footer, shown_steps
from blendin_local.views.answer_tables import comparison_table, stats_table, tokens_table, why_table
from blendin_local.views.legend import legend
from blendin_local.views.theme import mark_kind
from blendin_local.views.visible import escape_controls

MAX_DIGITS = 10  # of a step's number
VIEWS: tuple[View, ...] = get_args(View)


@dataclass(frozen=True)
class Command:
    """One slash command.

    Attributes:
        usage: What may follow its name.
        help: What it does, in a few words.
        run: What it does.
        words: What completion offers after its name.
    """

    usage: str
    help: str
    run: Callable[[Chat, str], None]
    words: tuple[str, ...] = ()


def run_command(chat: Chat, line: str) -> None:
    """Carry out a line that begins with one slash.

    Raises:
        UsageError: There is no such command, or it cannot be carried out.
    """
    name, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        hint = did_you_mean(name, [*COMMANDS, *ALIASES], "/help lists all commands; //text sends /text")
        raise UsageError(f"there is no command {name}", hint)
    command.run(chat, rest.strip())


def completions() -> dict[str, tuple[str, ...]]:
    """What can be typed after each command."""
    return {name: command.words for name, command in COMMANDS.items()}


def _table(rows: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="heading")
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, escape_controls(text))
    return table


def _help(chat: Chat, _: str) -> None:
    chat.err.print(
        _table({f"{name} {command.usage}".strip(): command.help for name, command in COMMANDS.items()})
    )
    chat.notice(
        'Enter sends, Alt+Enter starts a new line, """ opens and closes a block.'
        " Ctrl-C stops an answer and keeps it, Ctrl-D leaves. //text sends /text."
    )


def _exit(chat: Chat, _: str) -> None:
    chat.leaving = True


def _clear(chat: Chat, _: str) -> None:
    chat.notice(f"Forgot {counted(len(chat.history.turns), 'turn')}; the system text is kept.")
    chat.history.turns.clear()


def _last(chat: Chat) -> Turn:
    if not chat.history.turns:
        raise UsageError("there is no answer yet", "ask something first")
    return chat.history.turns[-1]


def _last_completion(chat: Chat) -> Completion:
    completion = _last(chat).completion
    if completion is None:
        raise UsageError(
            "the steps of the last answer are not known: it was loaded or interrupted", "/retry answers again"
        )
    return completion


def _steps(completion: Completion) -> list[Step]:
    return [*completion.steps, *([] if completion.end is None else [completion.end])]


def _retry(chat: Chat, _: str) -> None:
    turn = _last(chat)
    before = list(chat.history.turns)
    chat.history.turns.pop()
    kept = None
    try:
        kept = chat.ask(turn.question)
    finally:
        if kept is None:
            chat.history.turns[:] = before


def _undo(chat: Chat, _: str) -> None:
    turn = _last(chat)
    chat.history.turns.pop()
    question = escape_controls(turn.question).replace("\n", " ")
    chat.notice(f"Removed: {question if len(question) <= 60 else question[:59] + '…'}")


def _system(chat: Chat, text: str) -> None:
    if not text:
        chat.notice(escape_controls(chat.history.system) or "There is no system text. /system TEXT sets one.")
        return
    chat.history.system = "" if text in {'""', "''"} else without_surrogates(text, "the system text")
    chat.notice("System text set." if chat.history.system else "System text removed.")


def _set(chat: Chat, text: str) -> None:
    name, _, value = text.replace("=", " ", 1).partition(" ")
    if not name:
        chat.err.print(_table(values_as_text(chat.history.settings)))
        return
    if not value.strip():
        raise UsageError(f"/set {name} needs a value", "/set NAME VALUE; /set alone lists them")
    name = setting_name(name)
    chat.history.settings = with_setting(chat.history.settings, name, value.strip(), chat.methods)
    chat.dress()
    chat.notice(f"{name} is {values_as_text(chat.history.settings)[name]}.")


def _show(chat: Chat, what: str) -> None:
    if what == "template":
        history = chat.history
        messages = history.messages()[:-1] if history.turns else history.messages("(your question)")
        for role, prompt in chat.pair.prompts(messages).items():
            chat.err.print(Text(f"── prompt of the {role}", style="heading"))
            chat.err.print(Text(escape_controls(prompt)), soft_wrap=True)
    elif what in {"", "settings", "pair"}:
        system = {"system": chat.history.system} if chat.history.system else {}
        chat.err.print(_table({**chat.pair.describe(), **values_as_text(chat.history.settings), **system}))
    else:
        raise UsageError(f"there is nothing to show named {what!r}", "/show, or /show template")


def _why(chat: Chat, text: str) -> None:
    steps = _steps(_last_completion(chat))
    if not steps:
        raise UsageError("the last answer has no steps")
    if not text:
        step = next((step for step in steps if step.source == "changed"), steps[0])
    elif text.isdecimal() and len(text) < MAX_DIGITS and int(text) < len(steps):
        step = steps[int(text)]
    else:
        raise UsageError(f"there is no step {text}", f"the last answer has steps 0 to {len(steps) - 1}")
    chat.err.print(why_table(step))


def _tokens(chat: Chat, which: str) -> None:
    steps = _steps(_last_completion(chat))
    groups = {
        "": steps,
        "asked": [step for step in steps if step.asked],
        "changed": [step for step in steps if step.source == "changed"],
    }
    if which not in groups:
        raise UsageError(f"there are no tokens named {which!r}", "/tokens, /tokens asked or /tokens changed")
    chat.err.print(tokens_table(groups[which]))


def _ab(chat: Chat, _: str) -> None:
    turn = _last(chat)
    chat.history.turns.pop()
    try:
        answers = chat.compare(turn.question)
    finally:
        chat.history.turns.append(turn)
    if answers:
        chat.err.print(comparison_table(answers))


def _view(chat: Chat, name: str) -> None:
    marks, width = mark_kind(chat.out), chat.err.width
    if not name:
        for each in VIEWS:
            chat.err.print(Text(f"/view {each}", style="heading"), legend(each, marks, width), sep="\n")
        return
    view = next((view for view in VIEWS if view == name), None)
    if view is None:
        raise UsageError(f"there is no view {name!r}", f"one of {', '.join(VIEWS)}")
    chat.history.settings = replace(chat.history.settings, view=view)
    chat.err.print(legend(view, marks, width))
    if chat.err.is_terminal and chat.history.completions:
        printer = AnswerPrinter(chat.err, view)
        for step, text in shown_steps(chat.history.completions[-1]):
            printer.feed(step, text)
        printer.finish()


def _path(text: str, command: str) -> Path:
    try:
        words = shlex.split(text) if "'" in text or '"' in text else [text]
    except ValueError:
        words = [text]
    if len(words) != 1 or not words[0]:
        raise UsageError(f"{command} needs a file", f"{command} FILE.jsonl")
    return expand_user(words[0])


def _save(chat: Chat, text: str) -> None:
    path = _path(text, "/save")
    save(chat.history, path)
    chat.notice(f"Saved {counted(len(chat.history.turns), 'turn')} to {path}.")


def _load(chat: Chat, text: str) -> None:
    path = _path(text, "/load")
    chat.history = load(path, chat.history.settings)
    chat.notice(f"Loaded {counted(len(chat.history.turns), 'turn')} from {path}.")


def _stats(chat: Chat, _: str) -> None:
    answers = chat.history.completions
    if not answers:
        raise UsageError("there is no answer yet", "ask something first")
    chat.err.print(stats_table(answers))
    chat.err.print(footer(answers[-1], chat.err.width, warn=False))


COMMANDS: Mapping[str, Command] = {
    "/help": Command("", "show this list (also /?)", _help),
    "/exit": Command("", "leave (also /bye, /quit or Ctrl-D)", _exit),
    "/clear": Command("", "forget the conversation but keep the system text", _clear),
    "/retry": Command("", "answer the last question again (also /regen)", _retry),
    "/undo": Command("", "remove the last question and its answer", _undo),
    "/system": Command("[TEXT]", 'show or set the system text; "" removes it', _system),
    "/set": Command("[NAME VALUE]", "list the settings, or change one", _set, tuple(SETTABLE)),
    "/show": Command(
        "[template]",
        "show the pair and its settings, or the rendered prompt of each model",
        _show,
        ("template",),
    ),
    "/why": Command("[N]", "show the candidates of step N (default: the first changed step)", _why),
    "/tokens": Command("[asked|changed]", "list the steps of the last answer", _tokens, ("asked", "changed")),
    "/ab": Command("", "answer the last question with base, guide, nudging and blendin", _ab),
    "/view": Command(
        f"[{'|'.join(VIEWS)}]",
        "choose what the marks show: which model decided, the probability, or nothing; alone: explain them",
        _view,
        VIEWS,
    ),
    "/save": Command("FILE", "save the conversation and its settings (JSON Lines)", _save),
    "/load": Command("FILE", "continue a saved conversation", _load),
    "/stats": Command("", "show how often the guide was asked, for each answer", _stats),
}
ALIASES: Mapping[str, str] = {"/?": "/help", "/bye": "/exit", "/quit": "/exit", "/regen": "/retry"}
