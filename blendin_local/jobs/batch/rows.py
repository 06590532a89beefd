"""What a row asks for.

Here: `interpret`, which turns a raw row into a `Row`, or into an `InvalidRow` with the reason.
Not here: files and their formats (`input_file`), ids that are used twice (`scan`).
Sources: the batch format of OpenAI's API (`custom_id, method, url, body`), read as vLLM and others read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from blendin_local.core.methods import METHODS
from blendin_local.core.prompts import Message, as_messages, quoted
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.input_file import RawRow
from blendin_local.pair.pair import Request
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    Setting,
    settings_on,
)

Form = Literal["own", "chat", "completion"]
BLEND = settings_on("row", BlendSettings)
SAMPLING = settings_on("row", SamplingSettings)
ANSWER = settings_on("row", AnswerSettings)
SETTINGS = frozenset({"system", *BLEND, *SAMPLING, *ANSWER})
OWN_FIELDS = frozenset({"custom_id", "id", "prompt", "messages"}) | SETTINGS
OUTER_FIELDS = frozenset({"custom_id", "method", "url", "body"})
BODY_FIELDS = (OWN_FIELDS - {"custom_id", "id"}) | {"max_completion_tokens", "blend"}
BODY_IGNORED = frozenset({"model", "n", "stream", "user"})


@dataclass(frozen=True)
class RowDefaults:
    """Settings of rows that set nothing themselves.

    Attributes:
        blend: Method, threshold, alpha.
        sampling: Temperature and other sampling settings.
        answer: Limits and stop strings.
        system: System prompt of rows that have none.
        methods: The methods that the named models allow.
    """

    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings
    system: str = ""
    methods: tuple[str, ...] = tuple(METHODS)


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


def interpret(raw: RawRow, defaults: RowDefaults) -> Row | InvalidRow:
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
    return _text("custom_id", value)


def _own(raw: RawRow, key: str, defaults: RowDefaults) -> Row:
    unused = frozenset(raw.values) - OWN_FIELDS
    return Row(raw.line, "own", _request(key, raw.values, defaults), unused)


def _openai(raw: RawRow, key: str, defaults: RowDefaults) -> Row:
    body = _object("body", raw.values["body"])
    blend = _object("body.blend", {} if body.get("blend") is None else body["blend"])
    form = _endpoint(raw.values, body)
    if body.get("n") is not None and _number("body.n", body["n"]) != 1:
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


def _request(key: str, values: Mapping[str, Any], defaults: RowDefaults) -> Request:
    messages = _messages(values)
    system = _optional_text("system", values.get("system"))
    brings_system = any(message.speaker == "system" for message in messages)
    if system and brings_system:
        raise UsageError("has instructions twice: in system and in messages")
    instructions = system if system is not None else defaults.system
    if instructions and not brings_system:
        messages = (Message("system", instructions), *messages)
    return Request(
        key=key,
        messages=messages,
        blend=_blend(values, defaults),
        sampling=replace(defaults.sampling, **_given(values, SAMPLING)),
        answer=replace(defaults.answer, **_given(values, ANSWER)),
    )


def _messages(values: Mapping[str, Any]) -> tuple[Message, ...]:
    prompt, given = values.get("prompt"), values.get("messages")
    if (prompt is None) == (given is None):
        raise UsageError("has both a prompt and messages" if prompt is not None else "has no prompt")
    if prompt is not None:
        return (Message("user", _text("prompt", prompt)),)
    if not isinstance(given, list) or not given:
        raise UsageError("messages is not a list of messages")
    messages = tuple(as_messages(given))
    if messages[-1].speaker != "user" or not messages[-1].text.strip():
        raise UsageError("the last message is not a question of the user")
    return messages


def _blend(values: Mapping[str, Any], defaults: RowDefaults) -> BlendSettings:
    given = _given(values, BLEND)
    method = given.get("method", defaults.blend.method)
    if not isinstance(method, str) or method not in METHODS:
        raise UsageError(f"there is no method {quoted(method)}: choose one of {', '.join(METHODS)}")
    if method not in defaults.methods:
        raise UsageError(f"method {method} needs a model that was not named")
    return replace(defaults.blend, **given)


def _given(values: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """The fields of settings that a row sets; null means not set."""
    return {
        setting.field: _value(setting, name, values[name])
        for name, setting in known.items()
        if values.get(name) is not None
    }


def _value(setting: Setting, name: str, value: object) -> Any:  # noqa: ANN401 - settings have many types
    if isinstance(value, str) and setting.kind in {"number", "count"} and value in setting.words:
        return setting.words[value]
    match setting.kind:
        case "number":
            return _number(name, value)
        case "count":
            return _whole(name, value)
        case "texts":
            return _texts(name, value)
        case "switch":
            return _switch(name, value)
    return value if setting.kind == "choice" or name == "method" else _characters(name, value)


def _texts(name: str, value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise UsageError(f"{name} is neither a text nor a list of texts")
    return tuple(_characters(name, text) for text in texts)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {quoted(value)}, not true or false")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} is {quoted(value)}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name} is too large a number") from None


def _whole(name: str, value: object) -> int:
    number = _number(name, value)
    if not number.is_integer():
        raise UsageError(f"{name} is {quoted(value)}, not a whole number")
    return value if isinstance(value, int) else int(number)


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else _characters(name, value)


def _text(name: str, value: object) -> str:
    text = _characters(name, value)
    if not text.strip():
        raise UsageError(f"{name} is empty")
    return text


def _characters(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is not a text")
    return require_text(value, name)
