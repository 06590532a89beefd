"""Which template a model is prompted with.

Here: `base_template`, by name; `jinja_template`, the file that models.toml gives for a model.
Not here: which name is meant (`pair.resolve`), how templates are rendered (`core.prompts`,
`engine.chat_template`).
"""

from __future__ import annotations

from blendin_local.core.prompts import CHAT, BaseTemplate, OwnChatTemplate
from blendin_local.errors import UsageError
from blendin_local.models.entries import ModelEntry
from blendin_local.models.registry import Registry
from blendin_local.paths import read_text


def base_template(
    name: str, base: ModelEntry | None, registry: Registry, *, has_untuned: bool
) -> BaseTemplate:
    """The template of the base.

    Args:
        name: A plain-text template of models.toml, or `chat` for the base's own chat template.
        base: The base's entry of models.toml, if it has one.
        registry: The plain-text templates.
        has_untuned: Whether there is a third model, which reads the base's prompt.

    Raises:
        UsageError: There is no such template, or it does not go with a third model.
    """
    if name == CHAT and has_untuned:
        raise UsageError(
            "--base-template chat does not go with an untuned guide, which reads the base's plain text",
            "choose a plain-text template, or leave the third model out",
        )
    if name == CHAT:
        return OwnChatTemplate(source=jinja_template(base))
    if name not in registry.templates:
        known = ", ".join([*registry.templates, f"{CHAT} (the base's own)"])
        raise UsageError(f"there is no template {name!r}", f"choose one of {known}")
    return registry.templates[name]


def jinja_template(model: ModelEntry | None) -> str | None:
    """The text of the chat template that models.toml gives for a model; None if it gives none."""
    path = model.chat_template if model else None
    return read_text(path) if path else None
