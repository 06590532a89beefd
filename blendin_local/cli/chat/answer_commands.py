"""Commands that make, repeat or remove answers: `/retry`, `/undo`, `/clear`, `/ab`.

Here: these commands, and `last` and `last_completion`, the answer that a command is about.
Not here: the table of commands (`cli.chat.commands`), looking at an answer (`cli.chat.step_commands`).
"""

from __future__ import annotations

from blendin_local.cli.chat.answer import Chat
from blendin_local.core.records import Completion
from blendin_local.errors import UsageError
from blendin_local.history.records import Turn
from blendin_local.views.answer import counted
from blendin_local.views.answer_tables import comparison_table
from blendin_local.views.visible import escape_controls


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


def retry(chat: Chat, _: str) -> None:
    """Answer the last question again; the old answer stays if there is no new one."""
    turn = last(chat)
    before = list(chat.history.turns)
    chat.history.turns.pop()
    kept = None
    try:
        kept = chat.ask(turn.question)
    finally:
        if kept is None:
            chat.history.turns[:] = before


def undo(chat: Chat, _: str) -> None:
    """Remove the last question and its answer."""
    turn = last(chat)
    chat.history.turns.pop()
    question = escape_controls(turn.question).replace("\n", " ")
    chat.notice(f"Removed: {question if len(question) <= 60 else question[:59] + '…'}")


def clear(chat: Chat, _: str) -> None:
    """Remove every turn."""
    chat.notice(f"Forgot {counted(len(chat.history.turns), 'turn')}; the system text is kept.")
    chat.history.turns.clear()


def ab(chat: Chat, _: str) -> None:
    """Answer the last question with several methods, and compare them."""
    turn = last(chat)
    chat.history.turns.pop()
    try:
        answers = chat.compare(turn.question)
    finally:
        chat.history.turns.append(turn)
    if answers:
        chat.err.print(comparison_table(answers))
