"""Commands about how the next answer is made: `/set`, `/system`, `/show`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), settings by name (`cli.chat.settings`).
"""

from __future__ import annotations

from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.listing import listing
from blendin_local.cli.chat.settings import setting_name, values_as_text, with_setting
from blendin_local.cli.common.values import without_surrogates
from blendin_local.errors import UsageError
from blendin_local.views.visible import escape_controls


def set_value(chat: Chat, text: str) -> None:
    """List the settings, or change one."""
    name, _, value = text.replace("=", " ", 1).partition(" ")
    if not name:
        chat.err.print(listing(values_as_text(chat.history.settings)))
        return
    if not value.strip():
        raise UsageError(f"/set {name} needs a value", "/set NAME VALUE; /set alone lists them")
    name = setting_name(name)
    chat.history.settings = with_setting(chat.history.settings, name, value.strip(), chat.methods)
    chat.dress()
    chat.notice(f"{name} is {values_as_text(chat.history.settings)[name]}.")


def system(chat: Chat, text: str) -> None:
    """Show, set or remove the system text."""
    if not text:
        chat.notice(escape_controls(chat.history.system) or "There is no system text. /system TEXT sets one.")
        return
    chat.history.system = "" if text in {'""', "''"} else without_surrogates(text, "the system text")
    chat.notice("System text set." if chat.history.system else "System text removed.")


def show(chat: Chat, what: str) -> None:
    """Show the pair and its settings, or the rendered prompts."""
    if what == "template":
        history = chat.history
        messages = history.messages()[:-1] if history.turns else history.messages("(your question)")
        for role, prompt in chat.pair.prompts(messages).items():
            chat.err.print(Text(f"── prompt of the {role}", style="heading"))
            chat.err.print(Text(escape_controls(prompt)), soft_wrap=True)
    elif what in {"", "settings", "pair"}:
        system = {"system": chat.history.system} if chat.history.system else {}
        chat.err.print(listing({**chat.pair.describe(), **values_as_text(chat.history.settings), **system}))
    else:
        raise UsageError(f"there is nothing to show named {what!r}", "/show, or /show template")
