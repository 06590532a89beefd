"""What a row asks for.

Here: `interpret`, which turns a raw row into a `Row`, or into an `InvalidRow` with the reason.
Not here: files and their formats (`input_file`), ids that are used twice (`scan`).
Sources: the batch format of OpenAI's API (`custom_id, method, url, body`), read as vLLM and others read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from blendin_local.core.prompts import Message, as_messages, quoted
from blendin_local.errors import UsageError
from blendin_local.grammar.compilation import require_form
from blendin_local.jobs.batch.input_file import RawRow
from blendin_local.jobs.request_values import (
    SETTINGS,
    RequestDefaults,
    number_of,
    optional_text,
    settings_in,
    text_of,
)
from blendin_local.jobs.response_format import OF_OTHERS, with_form
from blendin_local.pair.pair import Request

Form = Literal["own", "chat", "completion"]
OWN_FIELDS = frozenset({"custom_id", "id", "prompt", "messages", "response_format", *OF_OTHERS}) | SETTINGS
OUTER_FIELDS = frozenset({"custom_id", "method", "url", "body"})
BODY_FIELDS = (OWN_FIELDS - {"custom_id", "id"}) | {"max_completion_tokens", "blend"}
BODY_IGNORED = frozenset({"model", "n", "stream", "user"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be answered.

    Attributes:
        line: The line it starts on.
        form: `own`, or the endpoint of OpenAI's API whose response format its answer gets.
        request: What is asked.
        unused: Names of fields that have no meaning.
    """

    line: int
    form: Form
    request: Request
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that cannot be answered, and why.

    Attributes:
        line: The line it starts on.
        message: What is wrong.
        id: Its id if that could be read, otherwise one made from the line number.
    """

    line: int
    message: str
    id: str


def interpret(raw: RawRow, defaults: RequestDefaults) -> Row | InvalidRow:
    """The meaning of a row."""
    if raw.error:
        return InvalidRow(raw.line, raw.error, made_id(raw.line))
    key = made_id(raw.line)
    try:
        key = _id(raw)
        return _openai(raw, key, defaults) if "body" in raw.values else _own(raw, key, defaults)
    except UsageError as error:
        return InvalidRow(raw.line, error.message, key)


def made_id(line: int) -> str:
    """The id of a row that has none."""
    return f"line-{line}"


def _id(raw: RawRow) -> str:
    value = raw.values.get("custom_id", raw.values.get("id"))
    if value is None:
        return made_id(raw.line)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of("custom_id", value)


def _own(raw: RawRow, key: str, defaults: RequestDefaults) -> Row:
    unused = frozenset(raw.values) - OWN_FIELDS
    return Row(raw.line, "own", _request(key, raw.values, defaults), unused)


def _openai(raw: RawRow, key: str, defaults: RequestDefaults) -> Row:
    body = _object("body", raw.values["body"])
    blend = _object("body.blend", {} if body.get("blend") is None else body["blend"])
    form = _endpoint(raw.values, body)
    if body.get("n") is not None and number_of("body.n", body["n"]) != 1:
        raise UsageError("body.n is not 1: a row has one answer")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    unused = (frozenset(raw.values) - OUTER_FIELDS) | (frozenset(body) - BODY_FIELDS - BODY_IGNORED)
    values = {**body, **blend, "max_tokens": limit}
    return Row(raw.line, form, _request(key, values, defaults), unused)


def _endpoint(values: Mapping[str, Any], body: Mapping[str, Any]) -> Form:
    url = values.get("url")
    if url is not None and (not isinstance(url, str) or not url.endswith("/completions")):
        raise UsageError(f"url is {quoted(url)}, not /v1/chat/completions or /v1/completions")
    if url is None:
        return "chat" if "messages" in body else "completion"
    form: Form = "chat" if url.endswith("/chat/completions") else "completion"
    needed = "messages" if form == "chat" else "prompt"
    if needed not in body:
        raise UsageError(f"body has no {needed}, which {quoted(url)} needs")
    return form


def _object(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{name} is not an object")
    return value


def _request(key: str, values: Mapping[str, Any], defaults: RequestDefaults) -> Request:
    messages = _messages(values)
    system = optional_text("system", values.get("system"))
    brings_system = any(message.speaker == "system" for message in messages)
    if system and brings_system:
        raise UsageError("has instructions twice: in system and in messages")
    instructions = system if system is not None else defaults.system
    if instructions and not brings_system:
        messages = (Message("system", instructions), *messages)
    settings = settings_in(with_form(values), defaults)
    require_form(settings.answer)
    return Request(key, messages, settings.blend, settings.sampling, settings.answer)


def _messages(values: Mapping[str, Any]) -> tuple[Message, ...]:
    prompt, given = values.get("prompt"), values.get("messages")
    if (prompt is None) == (given is None):
        raise UsageError("has both a prompt and messages" if prompt is not None else "has no prompt")
    if prompt is not None:
        return (Message("user", text_of("prompt", prompt)),)
    if not isinstance(given, list) or not given:
        raise UsageError("messages is not a list of messages")
    messages = tuple(as_messages(given))
    if messages[-1].speaker != "user" or not messages[-1].text.strip():
        raise UsageError("the last message is not a question of the user")
    return messages
