"""Commands that exchange text with other programs: `/edit`, `/copy`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), ways to the clipboard (`cli.common.clipboard`), files
(`cli.chat.file_commands`).
"""

from __future__ import annotations

import re

import click
from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.step_commands import last
from blendin_local.cli.common.asking import can_ask
from blendin_local.cli.common.clipboard import copy_text
from blendin_local.cli.common.interrupt import ordinary_interrupts
from blendin_local.cli.common.keyboard import ordinary_keyboard
from blendin_local.cli.common.values import without_surrogates
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.views.answer import counted
from blendin_local.views.visible import escape_controls

CODE_BLOCK = re.compile(r"^ *(```+|~~~+)[^\n]*\n(.*?)(?:^ *\1 *$|\Z)", re.MULTILINE | re.DOTALL)


def edit(chat: Chat, text: str) -> None:
    """Open an editor with a text, or the last question, and send what is saved."""
    if not can_ask(chat.err):
        raise UsageError("/edit needs a terminal", "send the message itself")
    draft = text or (chat.history.turns[-1].question if chat.history.turns else "")
    try:
        with ordinary_interrupts(), ordinary_keyboard():
            saved = click.edit(without_surrogates(draft, "the message"), extension=".md")
    except click.ClickException as error:
        raise UsageError(f"the editor failed: {error.message}", "set $VISUAL or $EDITOR") from error
    message = require_text(saved or "", "what was saved").strip()
    if not message:
        chat.notice("Nothing was saved, so nothing is sent.")
        return
    chat.err.print(Text(f"> {escape_controls(message)}", style="prompt"), soft_wrap=True)
    chat.ask(message)


def copy(chat: Chat, what: str) -> None:
    """Put the last answer on the clipboard, or its last block of code."""
    answer = last(chat).answer
    if what not in {"", "code"}:
        raise UsageError(f"there is nothing to copy named {what!r}", "/copy, or /copy code")
    if what == "code":
        blocks = [match[2] for match in CODE_BLOCK.finditer(answer)]
        if not blocks:
            raise UsageError("the last answer has no block of code", "/copy copies all of it")
        answer = blocks[-1]
    way = copy_text(answer, chat.err)
    chat.notice(f"Copied {counted(len(answer), 'character')} {way}.")
