"""Conversations, and the plain text in which an unaligned base reads them.

Here: `Message`, and `PlainTemplate`, the section `[templates.NAME]` of models.toml as a value.
Not here: the guide's Jinja template (`engine.templates`), which templates exist (`models.registry`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """A plain-text prompt for a base model; `{text}` stands for the turn's own text.

    Attributes:
        name: Its name in models.toml.
        user: A question together with the words that call for the answer.
        assistant: An earlier answer and what parts it from the next question.
        system: Instructions before the conversation.
        preamble: Fixed text before everything, such as worked examples.
        stop: Strings that show the base has run on past its answer.
    """

    name: str
    user: str
    assistant: str
    system: str = "{text}\n\n"
    preamble: str = ""
    stop: tuple[str, ...] = ()

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for the answer to the last message.

        Earlier turns come out the same whatever follows them, so a longer conversation begins with the
        text of the shorter one and a warm context can be kept.
        """
        parts = {"system": self.system, "user": self.user, "assistant": self.assistant}
        turns = (parts[message.speaker].replace("{text}", message.text) for message in messages)
        return self.preamble + "".join(turns)
