"""Settings by their names, as `/set NAME VALUE` takes them.

Here: the settings that a chat offers, their values as text, and `with_setting`, which changes one.
Not here: the table of settings, with defaults and intervals (`blendin_local.settings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from blendin_local.cli.chat.state import ChatSettings
from blendin_local.core.methods import METHODS, ONE_GUIDE, roles_of
from blendin_local.errors import UsageError
from blendin_local.grammar.compilation import require_form
from blendin_local.grammar.source import written_text
from blendin_local.models.schema import nearest
from blendin_local.settings import (
    FORMS,
    AnswerSettings,
    BlendSettings,
    ModelSettings,
    SamplingSettings,
    Setting,
    TerminalSettings,
    of_one_form,
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
"""Every setting of an answer that `/set` can change, with the part it belongs to."""
OF_PAIR: Mapping[str, Setting] = settings_on("chat", ModelSettings)
"""Every setting of the pair's models that `/set` can change, by opening them anew."""
BASE_TEMPLATE = "base-template"
PAIR_NAMES = (*OF_PAIR, BASE_TEMPLATE)


FAMILIAR: Mapping[str, str] = {
    "temperature": "temp",
    "context": "ctx-size",
    "num-ctx": "ctx-size",
    "n-ctx": "ctx-size",
    "template": BASE_TEMPLATE,
    "num-predict": "max-tokens",
    "n-predict": "max-tokens",
}
"""Names that people know from other programs."""
MAX_SHOWN = 60  # characters of a text that has many
ESCAPES: Mapping[str, str] = {"\\n": "\n", "\\t": "\t"}


def values_as_text(settings: ChatSettings) -> dict[str, str]:
    """The value of every setting that can be changed, in the order of the table."""
    return {
        name: _shown(setting, getattr(getattr(settings, part), setting.field))
        for name, (part, setting) in SETTABLE.items()
    }


def _shown(setting: Setting, value: object) -> str:
    """A value as users write it; of a long text only the beginning."""
    text = setting.word_of(value)
    if setting.kind != "text" or (len(text) <= MAX_SHOWN and "\n" not in text):
        return text
    beginning = " ".join(text[: 2 * MAX_SHOWN].split())[:MAX_SHOWN].rstrip()
    return f"{beginning} ... ({len(text):,} characters)"


def replaced_forms(before: AnswerSettings, after: AnswerSettings) -> list[str]:
    """The names of forms that answers had to have and no longer must."""
    gone = [name for name in FORMS if getattr(before, name) is not None and getattr(after, name) is None]
    return [name.replace("_", "-") for name in gone]


def setting_name(text: str) -> str:
    """The name of a setting, as it is typed: `Top_K` is `top-k`.

    Raises:
        UsageError: There is no such setting.
    """
    name = text.replace("_", "-").lower()
    name = FAMILIAR.get(name, name)
    known = (*SETTABLE, *PAIR_NAMES)
    if name not in known:
        raise UsageError(f"there is no setting {name!r}", did_you_mean(name, known, "/set lists them"))
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
    if setting.kind == "text" and value is not None:
        value = written_text(setting, value, name)
    if setting.kind == "texts":
        value = tuple(_unescaped(each) for each in value)
    if setting.field == "method" and value not in methods:
        raise _no_method(text, methods)
    changed = replace(getattr(settings, part), **of_one_form({setting.field: value}))
    if isinstance(changed, AnswerSettings):
        require_form(changed)
    return replace(settings, **{part: changed})


def _unescaped(text: str) -> str:
    """A text that was typed on one line, with line breaks and tabs in place of their escapes."""
    for typed, meant in ESCAPES.items():
        text = text.replace(typed, meant)
    return text


def _no_method(name: str, methods: Sequence[str]) -> UsageError:
    opened = {role for method in methods for role in roles_of(method)}
    missing = [role for role in roles_of(name) if role not in opened] if name in METHODS else []
    if missing:
        message = f"method {name} needs a model that is not open: the {missing[0]}"
        return UsageError(message, f"start the chat with --{missing[0]}")
    if name in ONE_GUIDE and name not in methods:
        return UsageError(f"method {name} works with one guide: {ONE_GUIDE[name]}", "start a chat with one")
    if name in METHODS:
        message = f"method {name} needs a control vector for the base"
        return UsageError(message, "start the chat with --base-control-vector")
    return UsageError(f"there is no method {name!r}", f"choose one of {', '.join(methods)}")


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint that names the nearest known words, and where to find the others."""
    near = nearest(word, known, 2)
    return f"did you mean {' or '.join(near)}? {otherwise}" if near else otherwise
