"""The prompt of each model of a pair: which template renders it, and what it says.

Here: `PromptRenderer`.
Not here: the plain templates (`core.prompts`), the running of chat templates (`engine.chat_template`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blendin_local.core.prompts import Message
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES, Role
from blendin_local.core.text import require_text
from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.engine.chat_template.template import ChatTemplate
from blendin_local.engine.vocabulary import Span
from blendin_local.pair.setup import PairSetup


class PromptRenderer:
    """Renders conversations for the models of one pair.

    Args:
        setup: Templates, exact prompts, date.
        models: The loaded models, by role.
    """

    def __init__(self, setup: PairSetup, models: Mapping[Role, LoadedModel]) -> None:
        self._setup = setup
        self._models = models

    def prompts(
        self,
        messages: Sequence[Message],
        roles: Sequence[Role],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[Role, tuple[Span, ...]]:
        """The prompt of each role; arguments and errors as for `prompt`."""
        return {role: self.prompt(role, messages, should_stop) for role in roles}

    def prompt(
        self, role: Role, messages: Sequence[Message], should_stop: Callable[[], bool] = lambda: False
    ) -> tuple[Span, ...]:
        """The prompt of one role.

        Args:
            role: Whose.
            messages: The conversation.
            should_stop: Polled while a chat template runs.

        Raises:
            UsageError: A message has half a character.
            PairError: A chat template is missing or cannot be used.
            KeyboardInterrupt: `should_stop` became true.
        """
        is_base = role not in GUIDES  # the untuned model reads what the base reads
        exact = self._setup.exact_prompts.get("base" if is_base else role)
        for message in messages:
            require_text(message.text, f"the text of the {message.speaker}")
        if exact is not None:
            return (Span(require_text(exact, "the exact prompt"), trusted=True),)
        if is_base and (plain := self._setup.plain_template):
            return (Span(plain.render(messages), trusted=False),)
        turns = [{"role": message.speaker, "content": message.text} for message in messages]
        return self._chat_template(role).render(turns, should_stop)

    def may_use_date(self) -> bool:
        """Whether a prompt of this pair could have the date in it."""
        templates = GUIDES if self._setup.plain_template else ("base", *GUIDES)
        return any(self._chat_template(role).may_use_date for role in self._models if role in templates)

    def facts(self, roles: Sequence[Role]) -> dict[str, Any]:
        """What decides the prompts of these roles, for the signature; chat templates by their sha256."""
        rendered = set(roles) - set(self._setup.exact_prompts)
        own = self._setup.plain_template is None and "base" in rendered
        return {
            **self._setup.prompt_facts(),
            "guide_template": self._chat_template("guide").digest if "guide" in rendered else None,
            **({"base_template": self._chat_template("base").digest} if own else {}),
            **{
                f"{role}_template": self._chat_template(role).digest
                for role in FURTHER_GUIDES
                if role in rendered
            },
        }

    def _chat_template(self, role: Role) -> ChatTemplate:
        setup = self._setup
        source = setup.jinja_template(role)
        return self._models[role].chat_template(source, setup.thinking, setup.date, role)
