"""Options for a server: those that are sent with a request, and those that are its own matter.

Here: `refuse_options_of_models`, `settings_as_sent`.
Not here: the connection (`server.client`), which server (`cli.common.find_server`).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from blendin_local.cli.common.options import SessionOptions
from blendin_local.errors import UsageError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings, settings_on

ALLOWED = frozenset({"pair", "models_file"})  # options of models that do not say how they are loaded


def refuse_options_of_models(options: SessionOptions) -> None:
    """Raise `UsageError` for options that only hold where models are loaded."""
    for group in (options.models, options.runtime):
        for each in fields(group):  # type: ignore[arg-type]
            if each.name not in ALLOWED and getattr(group, each.name) not in {None, False}:
                name = each.name.replace("_", "-")
                raise UsageError(f"--{name} is for models that are loaded here", "give it to blendin serve")


def settings_as_sent(options: SessionOptions) -> dict[str, Any]:
    """The settings that were given, under the names of rows."""
    sent: dict[str, Any] = {}
    for table, group in (
        (BlendSettings, options.blend),
        (SamplingSettings, options.sampling),
        (AnswerSettings, options.answer),
    ):
        names = {each.field: (name, each) for name, each in settings_on("row", table).items()}
        for field, value in group.settings().items():
            if field not in names:
                raise UsageError(f"--{field.replace('_', '-')} cannot be sent to a server", "leave it out")
            name, setting = names[field]
            plain = list(value) if isinstance(value, tuple) else value
            sent[name] = setting.word_of(value) if value is None else plain
    return sent
