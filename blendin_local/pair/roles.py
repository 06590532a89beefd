"""Whether two models suit their roles, seen in the headers of their files before anything is loaded.

Here: `check_roles`, which refuses what cannot work and returns what the user should know;
`same_file_notice`.
Not here: which models are meant (`pair.resolve`), whether guidance helps (`jobs.check`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from blendin_local.core.methods import roles_of
from blendin_local.core.prompts import OwnChatTemplate
from blendin_local.core.roles import FURTHER_GUIDES, Role
from blendin_local.decode.loaded_model import chat_template_text
from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.pair.resolve import ResolvedPair

TUNED = "the base has a chat template, so it is probably tuned already: --base-template chat uses it"
SAME_PROMPT = "base and guide are the same file with the same prompt: blending changes nothing"
SAME_FILE = (
    "base and guide are the same file: blending only mixes its answers to two prompts, "
    "the base's plain text and the guide's chat template"
)


def check_roles(
    resolved: ResolvedPair, paths: Mapping[Role, Path], roles: Collection[Role] | None = None
) -> tuple[str, ...]:
    """Sentences about a pair whose models may be in the wrong places.

    Args:
        resolved: The pair.
        paths: Its files.
        roles: The roles that will be asked; None for those of its method.

    Raises:
        PairError: A model has no chat template where its role needs one. If the other model has one, the
            message has the options that swap them.
        LoadError: A file is damaged or no model.
    """
    asked = [role for role in (roles or roles_of(resolved.blend.method, paths)) if role in paths]
    headers = {role: read_header(paths[role]) for role in asked if role not in resolved.spec.exact_prompts}
    base, guide = headers.get("base"), headers.get("guide")
    setup = resolved.setup
    if base is not None and isinstance(setup.template, OwnChatTemplate):
        chat_template_text(resolved.references["base"], base.chat_template, setup.template.source, "base")
    if guide is not None:
        swap = _swap(resolved) if base is not None and base.chat_template else ""
        chat_template_text(
            resolved.references["guide"], guide.chat_template, setup.guide_template, "guide", swap
        )
    for role in FURTHER_GUIDES:
        if role in headers:
            template = setup.further_templates.get(role)
            chat_template_text(resolved.references[role], headers[role].chat_template, template, role)
    if base is None:
        return ()
    return _notices(resolved, base, guide)


def same_file_notice(resolved: ResolvedPair, paths: Mapping[Role, Path]) -> str:
    """What blending a model with itself comes to; empty for two models."""
    if not os.path.samefile(paths["base"], paths["guide"]):
        return ""
    setup = resolved.setup
    own = setup.template if isinstance(setup.template, OwnChatTemplate) else None
    return SAME_PROMPT if own is not None and own.source == setup.guide_template else SAME_FILE


def _notices(resolved: ResolvedPair, base: Header, guide: Header | None) -> tuple[str, ...]:
    if guide is not None and (same := same_file_notice(resolved, {"base": base.path, "guide": guide.path})):
        return (same,)
    if isinstance(resolved.setup.template, OwnChatTemplate) or base.chat_template is None:
        return ()
    if guide is not None and guide.parameters > base.parameters:
        return (f"{TUNED}; the guide is larger than it: {_swap(resolved)}",)
    return (TUNED,)


def _swap(resolved: ResolvedPair) -> str:
    base, guide = (shlex.quote(resolved.references[role]) for role in ("base", "guide"))
    return f"to swap them, type --base {guide} --guide {base}"
