"""Commands that write and read files: `/save`, `/load`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), the format of the files (`cli.chat.files`).
"""

from __future__ import annotations

import shlex
from pathlib import Path

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.files import load, save
from blendin_local.errors import UsageError
from blendin_local.paths import expand_user
from blendin_local.views.answer import counted


def save_chat(chat: Chat, text: str) -> None:
    """Save the conversation to a file."""
    path = _path(text, "/save")
    save(chat.history, path)
    chat.notice(f"Saved {counted(len(chat.history.turns), 'turn')} to {path}.")


def load_chat(chat: Chat, text: str) -> None:
    """Continue the conversation of a file."""
    path = _path(text, "/load")
    chat.history = load(path, chat.history.settings)
    chat.notice(f"Loaded {counted(len(chat.history.turns), 'turn')} from {path}.")


def _path(text: str, command: str) -> Path:
    try:
        words = shlex.split(text) if "'" in text or '"' in text else [text]
    except ValueError:
        words = [text]
    if len(words) != 1 or not words[0]:
        raise UsageError(f"{command} needs a file", f"{command} FILE.jsonl")
    return expand_user(words[0])
