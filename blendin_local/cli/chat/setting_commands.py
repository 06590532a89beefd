"""Commands about how the next answer is made: `/set`, `/system`, `/show`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), settings by name (`cli.chat.settings`), opening a pair
anew (`cli.chat.opening`).
"""

from __future__ import annotations

from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.listing import listing
from blendin_local.cli.chat.settings import (
    PAIR_NAMES,
    SETTABLE,
    setting_name,
    values_as_text,
    with_setting,
)
from blendin_local.cli.common.values import without_surrogates
from blendin_local.errors import UsageError
from blendin_local.views.answer import counted
from blendin_local.views.visible import escape_controls


def set_value(chat: Chat, text: str) -> None:
    """List the settings, or change one."""
    name, _, value = text.replace("=", " ", 1).partition(" ")
    if not name:
        chat.err.print(listing(values_as_text(chat.history.settings)))
        if chat.opener is not None:
            chat.err.print(Text("of the pair, which is opened anew:", style="heading"))
            chat.err.print(listing(chat.opener.values()))
        return
    name = setting_name(name)
    if not value.strip():
        raise UsageError(f"/set {name} needs a value", _how(name))
    if name in PAIR_NAMES:
        _set_of_pair(chat, name, without_surrogates(value.strip(), name))
        return
    chat.history.settings = with_setting(chat.history.settings, name, value.strip(), chat.methods)
    chat.dress()
    chat.notice(f"{name} is {escape_controls(values_as_text(chat.history.settings)[name])}.")


def _how(name: str) -> str:
    if name in SETTABLE and SETTABLE[name][1].kind == "texts":
        return f'/set {name} "A" "B", or /set {name} none; \\n is a line break'
    return "/set NAME VALUE; /set alone lists them"


def _set_of_pair(chat: Chat, name: str, text: str) -> None:
    if chat.opener is None:
        raise UsageError(f"{name} is fixed in this chat", f"start another with --{name}")
    chat.notice(f"Opening the pair anew with {name} {escape_controls(text)} …")
    try:
        pair = chat.opener.change(name, text)
    except BaseException:
        chat.pair = chat.opener.pair
        raise
    chat.pair = pair
    turns = counted(len(chat.history.turns), "turn")
    kept = f" The conversation stays ({turns})." if chat.history.turns else ""
    chat.notice(f"{name} is {escape_controls(chat.opener.values()[name])}.{kept}")


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
