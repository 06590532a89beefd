"""Commands about how the next answer is made: `/set`, `/system`, `/show`.

Here: these commands.
Not here: the table of commands (`cli.chat.commands`), settings by name (`cli.chat.settings`), opening a pair
anew (`cli.chat.opening`).
"""

from __future__ import annotations

import re

from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.listing import listing
from blendin_local.cli.chat.settings import (
    PAIR_NAMES,
    SETTABLE,
    replaced_forms,
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
    name, value = _name_and_value(text)
    if not name:
        chat.err.print(listing(values_as_text(chat.history.settings)))
        if chat.opener is not None:
            chat.err.print(Text("of the pair, which is opened anew:", style="heading"))
            chat.err.print(listing(chat.opener.values()))
        return
    name = setting_name(name)
    if not value:
        raise UsageError(f"/set {name} needs a value", _how(name))
    if name in PAIR_NAMES:
        _set_of_pair(chat, name, without_surrogates(value, name))
        return
    before = chat.history.settings
    settings = with_setting(before, name, value, chat.methods)
    chat.history.settings = settings
    chat.dress()
    replaced = [each for each in replaced_forms(before.answer, settings.answer) if each != name]
    instead = f" in place of {replaced[0]}" if replaced else ""
    chat.notice(f"{name} is {escape_controls(values_as_text(settings)[name])}{instead}.")


def _name_and_value(text: str) -> tuple[str, str]:
    """`temp 0.5` or `temp = 0.5`; the value may have signs of equality of its own."""
    name = re.split(r"[\s=]", text, maxsplit=1)[0]
    return name, text[len(name) :].strip().removeprefix("=").strip()


def _how(name: str) -> str:
    setting = SETTABLE[name][1] if name in SETTABLE else None
    if setting is not None and setting.text is not None:
        return f"/set {name} {setting.text.metavar}, or /set {name} none"
    if setting is not None and setting.kind == "texts":
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
        for role, prompt in chat.pair.prompts(messages, answer=history.settings.answer).items():
            chat.err.print(Text(f"── prompt of the {role}", style="heading"))
            chat.err.print(Text(escape_controls(prompt)), soft_wrap=True)
    elif what in {"", "settings", "pair"}:
        system = {"system": chat.history.system} if chat.history.system else {}
        chat.err.print(listing({**chat.pair.describe(), **values_as_text(chat.history.settings), **system}))
    else:
        raise UsageError(f"there is nothing to show named {what!r}", "/show, or /show template")
