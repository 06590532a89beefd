"""One answer to be made: its prompts, its settings, and the role contexts in which the models take it up.

Here: `Request`, a wish; `Settings`, `Task`, and `start_request`, which begins the role contexts.
Not here: where prompts come from (`pair`), the steps of the answer (`decode.respond`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.core.prompts import Message
from blendin_local.decode.respond import Answer, respond
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.trace import TracePolicy, with_evidence
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError, UsageError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

RoleContexts = Mapping[Role, RoleContext]


@dataclass(frozen=True)
class Request:
    """One answer wanted among many.

    Attributes:
        key: Whatever the caller recognises it by.
        messages: The conversation; the last message asks for the answer.
        blend: Method, threshold, alpha.
        sampling: Temperature and its companions.
        answer: Limits and stop strings; those of the base's template are added.
    """

    key: str
    messages: Sequence[Message]
    blend: BlendSettings = field(default_factory=BlendSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)


@dataclass(frozen=True)
class Settings:
    """Everything one answer was asked for with."""

    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings


@dataclass(frozen=True)
class Task:
    """One answer to be made.

    Attributes:
        prompts: The rendered prompt of each role that the method may ask.
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.
        notices: Sentences the user should know.
        load_ms: How long the models took to load.
    """

    prompts: Mapping[Role, Sequence[Span]]
    settings: Settings
    signature: Mapping[str, Any]
    notices: tuple[str, ...] = ()
    load_ms: float = 0.0

    def answer(self) -> Answer:
        """A fresh answer; it owns no model."""
        blend, sampling, answer = self.settings.blend, self.settings.sampling, self.settings.answer
        return with_evidence(respond(blend, sampling, answer), TracePolicy.of(blend, sampling, answer))


def start_request(task: Task, role_contexts: RoleContexts, *, anew: bool = False) -> RoleContexts:
    """Begin the role contexts of a task.

    Args:
        task: What is to be answered.
        role_contexts: The role contexts of one conversation.
        anew: Whether the answer must not depend on what these role contexts said before.

    Returns:
        The role contexts that the task needs.

    Raises:
        ContextFullError: A prompt is longer than its context.
        UsageError: A prompt is empty.
    """
    for role, prompt in task.prompts.items():
        role_context = role_contexts[role]
        role_context.begin(prompt, task.settings.blend.top_k, anew=anew)
        if role_context.sequence.n_prompt >= role_context.context.ctx_size:
            raise ContextFullError(
                n_prompt=role_context.sequence.n_prompt, n_ctx=role_context.context.ctx_size, role=role
            )
        if not role_context.sequence.ids:
            raise UsageError(f"the {role}'s prompt is empty", "give it at least one character")
    return {role: role_contexts[role] for role in task.prompts}
