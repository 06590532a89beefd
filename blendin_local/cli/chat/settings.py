"""Settings by their names, as `/set NAME VALUE` takes them.

Here: the settings that a chat offers, their values as text, and `with_setting`, which changes one.
Not here: the table of settings, with defaults and intervals (`blendin_local.settings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from blendin_local.cli.chat.state import ChatSettings
from blendin_local.errors import UsageError
from blendin_local.models.schema import nearest
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    Setting,
    TerminalSettings,
    settings_on,
)

PARTS: Mapping[str, type] = {
    "blend": BlendSettings,
    "sampling": SamplingSettings,
    "answer": AnswerSettings,
    "terminal": TerminalSettings,
}
"""The fields of `ChatSettings` that are settings of the table."""
SETTABLE: Mapping[str, tuple[str, Setting]] = {
    name: (part, setting)
    for part, table in PARTS.items()
    for name, setting in settings_on("chat", table).items()
}
"""Every setting that `/set` can change, with the part it belongs to."""


def values_as_text(settings: ChatSettings) -> dict[str, str]:
    """The value of every setting that can be changed, in the order of the table."""
    return {
        name: setting.word_of(getattr(getattr(settings, part), setting.field))
        for name, (part, setting) in SETTABLE.items()
    }


def setting_name(text: str) -> str:
    """The name of a setting, as it is typed: `Top_K` is `top-k`.

    Raises:
        UsageError: There is no such setting.
    """
    name = text.replace("_", "-").lower()
    if name not in SETTABLE:
        raise UsageError(f"there is no setting {name!r}", did_you_mean(name, SETTABLE, "/set lists them"))
    return name


def with_setting(settings: ChatSettings, name: str, text: str, methods: Sequence[str]) -> ChatSettings:
    """The settings with one value changed.

    Args:
        settings: Those of now.
        name: One of `SETTABLE`.
        text: The new value, as it was typed.
        methods: The methods that the open pair allows.

    Raises:
        UsageError: The setting cannot have this value.
    """
    part, setting = SETTABLE[name]
    value = setting.parse(text)
    if setting.field == "method" and value not in methods:
        raise UsageError(f"there is no method {text!r}", f"choose one of {', '.join(methods)}")
    return replace(settings, **{part: replace(getattr(settings, part), **{setting.field: value})})


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint that names the nearest known words, and where to find the others."""
    near = nearest(word, known, 2)
    return f"did you mean {' or '.join(near)}? {otherwise}" if near else otherwise
