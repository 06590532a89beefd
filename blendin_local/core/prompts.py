"""Conversations, and the plain text in which an unaligned base reads them.

Here: `Message`, conversations (of messages, or of dicts as in OpenAI's chat format), `PlainTemplate`, the
section `[templates.NAME]` of models.toml as a value, and `OwnChatTemplate`, which may stand in its place.
Not here: Jinja templates (`engine.chat_template.template`), which templates exist
(`models.registry`).
Plain text has no control tokens: only the template's lines (`Question:`) mark where a turn begins. A line of
a message that looks like one is indented, so that no message can open or end a turn.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError

Speaker = Literal["system", "user", "assistant"]
SPEAKERS: tuple[str, ...] = get_args(Speaker)
ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
"""The roles of OpenAI's chat format."""
MAX_QUOTE_CHARS = 40  # characters of a wrong value that are repeated in a message
_short = reprlib.Repr()  # which goes a few levels deep and no deeper
_short.maxstring = _short.maxother = _short.maxlong = 2 * MAX_QUOTE_CHARS
TEXT = "{text}"
CHAT = "chat"  # in the place of a plain template's name: the base's own chat template
LINE_START = r"(?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Raises:
        UsageError: The role is unknown, or the text is not a string.
    """

    speaker: Speaker
    text: str

    def __post_init__(self) -> None:
        if self.speaker not in SPEAKERS:
            raise UsageError(
                f"a message has the speaker {self.speaker!r:.60}", f"use one of {', '.join(SPEAKERS)}"
            )
        if not isinstance(self.text, str):
            raise UsageError(f"a message has the text {self.text!r:.60}", "give a string")


Conversation = str | Sequence[Message | Mapping[str, Any]]
"""A question, or messages, each a `Message` or a dict as in OpenAI's chat format."""


def as_messages(conversation: Conversation, system: str = "") -> list[Message]:
    """A question or a conversation as messages, the system text before them if there is one.

    Raises:
        UsageError: It is neither, or a dict is no message.
    """
    if isinstance(conversation, str):
        messages = [Message("user", conversation)]
    elif isinstance(conversation, Mapping) or not isinstance(conversation, Sequence):
        raise UsageError(
            f"a conversation is {quoted(conversation)}", "give a question, or a list of messages"
        )
    else:
        messages = [
            value if isinstance(value, Message) else message_of(value, number)
            for number, value in enumerate(conversation, 1)
        ]
    return [Message("system", system), *messages] if system else messages


def message_of(value: object, number: int) -> Message:
    """A dict of OpenAI's chat format as a message: `{"role": "user", "content": "..."}`.

    Args:
        value: The dict. Its content is a string, or a list of parts `{"type": "text", "text": "..."}`.
        number: Which message of the conversation it is, from 1.

    Raises:
        UsageError: It is no message, has another role, or its content is more than text.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"message {number} is not an object", _EXAMPLE)
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise UsageError(
            f"message {number} has the role {quoted(role)}, not one of {', '.join(ROLES)}", _EXAMPLE
        )
    return Message(ROLES[role], _content(value.get("content"), f"the content of message {number}"))


def messages_to_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as dicts of OpenAI's chat format."""
    return [{"role": message.speaker, "content": message.text} for message in messages]


_EXAMPLE = 'write {"role": "user", "content": "..."}'


def _content(content: object, name: str) -> str:
    if not isinstance(content, list | tuple):
        return _text(content, name)
    for part in content:
        if not isinstance(part, Mapping):
            raise UsageError(f"{name} has a part that is not an object", _EXAMPLE)
        if part.get("type") != "text":
            kind = quoted(part.get("type"))
            raise UsageError(f"{name} is more than text: a part is {kind}", "only text parts can be read")
    return "".join(_text(part.get("text"), name) for part in content)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is not a text", _EXAMPLE)
    return require_text(value, name)


def quoted(value: object) -> str:
    """A value as a message can repeat it: short, on one line."""
    text = _short.repr(value)
    return text if len(text) <= MAX_QUOTE_CHARS else f"{text[:MAX_QUOTE_CHARS]}…"


def begun_answer(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """Part a conversation from the answer that its last message begins, empty if that is a question."""
    if messages and messages[-1].speaker == "assistant":
        return messages[:-1], messages[-1].text
    return messages, ""


def require_question(messages: Sequence[Message]) -> None:
    """Raise `UsageError` unless the last message asks for an answer."""
    if not messages or messages[-1].speaker != "user" or not messages[-1].text.strip():
        raise UsageError("the prompt is empty", "give a question")


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """A plain-text prompt for a base model; `{text}` is replaced with the turn's text.

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

        Earlier turns are rendered the same whatever follows them, so a longer conversation begins with the
        text of the shorter one and the cached context can be reused.
        """
        parts = {"system": self.system, "user": self.user, "assistant": self.assistant}
        turns = (parts[m.speaker].replace(TEXT, self.indented(m.text)) for m in messages)
        return self.preamble + "".join(turns)

    def indented(self, text: str) -> str:
        """The message with one more space before each line that begins like a line of the template."""
        lines = _own_lines(self)
        return lines.sub(r" \g<0>", text) if lines else text

    def own_lines(self) -> Iterator[str]:
        """What marks the turns of a conversation: lines of fixed text around messages, and stop strings."""
        for part in (self.system, self.user, self.assistant):
            before, _, after = part.partition(TEXT)
            yield from (*before.splitlines(), *after.splitlines())
        for stop in self.stop:
            yield from stop.splitlines()


@dataclass(frozen=True, slots=True)
class OwnChatTemplate:
    """The base is prompted through a chat template, as the guide is: for a base that was tuned for chats.

    Never a guess: the user asks for it by the name `chat` in the place of a plain template's.

    Attributes:
        name: Its name where a plain template's is expected.
        source: A Jinja template instead of the one in the base's file; None for that one.
        stop: None: the model's own END ends an answer.
    """

    name: str = CHAT
    source: str | None = None
    stop: tuple[str, ...] = ()


BaseTemplate = PlainTemplate | OwnChatTemplate


@lru_cache(maxsize=16)
def _own_lines(template: PlainTemplate) -> re.Pattern[str] | None:
    lines = {line.strip() for line in template.own_lines()} - {""}
    if not lines:
        return None
    longest_first = sorted(lines, key=lambda line: (-len(line), line))
    return re.compile(f"{LINE_START} *(?:{'|'.join(map(re.escape, longest_first))})", re.IGNORECASE)
