"""Commands that write and read files: `/save`, `/save!`, `/load`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), the format of the files (`cli.chat.files`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.files import load, save
from blendin_local.cli.common.asking import ask, can_ask
from blendin_local.errors import UsageError
from blendin_local.paths import expand_user
from blendin_local.views.answer import counted
from blendin_local.views.history import print_turn


def save_chat(chat: Chat, text: str) -> None:
    """Save the conversation to a file; at a terminal a file that exists is replaced after a yes."""
    confirm = (lambda question: ask(question, chat.err)) if can_ask(chat.err) else None
    _save(chat, _path(text, "/save"), confirm)


def save_chat_over(chat: Chat, text: str) -> None:
    """Save the conversation to a file, also over a saved one."""
    _save(chat, _path(text, "/save!"), lambda _: True)


def _save(chat: Chat, path: Path, confirm: Callable[[str], bool] | None) -> None:
    saved = save(chat.history, path, confirm)
    turns = counted(len(chat.history.turns), "turn")
    chat.notice(f"Saved {turns} to {path}." if saved else f"Not saved; {path} is as it was.")


def load_chat(chat: Chat, text: str) -> None:
    """Continue the conversation of a file."""
    path = _path(text, "/load")
    chat.history = load(path, chat.history.settings)
    chat.notice(f"Loaded {counted(len(chat.history.turns), 'turn')} from {path}.")
    if chat.err.is_terminal and chat.history.turns:
        print_turn(chat.history.turns[-1], chat.err, plain=chat.history.settings.terminal.plain)


def _path(text: str, command: str) -> Path:
    try:
        words = shlex.split(text) if "'" in text or '"' in text else [text]
    except ValueError:
        words = [text]
    if len(words) != 1 or not words[0]:
        raise UsageError(f"{command} needs a file", f"{command} FILE.jsonl")
    return expand_user(words[0])
