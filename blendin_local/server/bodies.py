"""Requests in the form that OpenAI's clients send.

Here: `ChatBody` and `TextBody`, read from JSON; what is refused by name.
Not here: settings of an answer (`jobs.request_values`), the answer's form (`server.replies`).
Sources: OpenAI's API reference, chat completions and (legacy) completions, as openai-python and
lm-evaluation-harness send them.

A field that is not known is ignored, as clients expect. A field of OpenAI's API that would change the answer,
and is not done here, is an error that names it: ignoring it would give another answer than the one asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from blendin_local.core.methods import METHODS
from blendin_local.core.prompts import Message, as_messages, quoted
from blendin_local.core.text import require_text
from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import UsageError
from blendin_local.jobs.request_values import (
    SETTINGS,
    RequestDefaults,
    number_of,
    optional_text,
    settings_in,
    switch_of,
    whole_number_of,
)
from blendin_local.jobs.response_format import INSTEAD, OF_OTHERS, form_field, with_form
from blendin_local.models.schema import nearest
from blendin_local.server.failures import HttpError

MAX_CHOICES = 16
MAX_PROMPTS = 256
MAX_TOP_LOGPROBS = 20
DEFAULT_TEXT_TOKENS = 16  # of legacy completions, as OpenAI's
EVERY_CANDIDATE = 1000  # of the drawn distribution, so that the chosen one is among those kept

BLEND_MEMBERS = SETTINGS - {"system"} | {"keep", "candidates", "fork"}
_EMPTY: tuple[object, ...] = (None, [], {}, "", False)
REFUSED: Mapping[str, tuple[object, ...]] = {
    "tools": _EMPTY,
    "functions": _EMPTY,
    "tool_choice": (*_EMPTY, "none", "auto"),
    "function_call": (*_EMPTY, "none", "auto"),
    "audio": _EMPTY,
    "modalities": (*_EMPTY, ["text"]),
    "logit_bias": _EMPTY,
    "suffix": _EMPTY,
    "best_of": (None, 1),
    "prediction": _EMPTY,
    "web_search_options": _EMPTY,
}
"""Fields that are not done here, with the values that ask for nothing."""


@dataclass(frozen=True)
class Common:
    """What both forms of request have.

    Attributes:
        model: The model's id; empty for the pair.
        settings: The settings of each answer.
        n: How many answers.
        stream: Whether to send them as they grow.
        include_usage: Whether a streamed answer ends with its usage.
        keep: Whether the answer is kept in memory, to be decided again or continued elsewhere.
        top_logprobs: How many alternatives of each token to send; None to send no probabilities.
        candidates: How many candidates of each model to send with each token.
        form_field: The field that asks for a form of the answer; empty if none does.
    """

    model: str
    settings: GenerationSettings
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    keep: bool = False
    top_logprobs: int | None = None
    candidates: int = 0
    form_field: str = ""


@dataclass(frozen=True)
class ChatBody:
    """A request for chat completions.

    Attributes:
        common: What both forms have.
        messages: The conversation; a last message of the assistant is continued.
        fork: The answer to continue from, the number of the step to replace, and what replaces it.
    """

    common: Common
    messages: tuple[Message, ...]
    fork: Fork | None = None


@dataclass(frozen=True)
class Fork:
    """Another way to go on with an answer that the server has kept.

    Attributes:
        answer_id: Which answer.
        step: The step to replace.
        candidate: The bytes that replace it; None to go on with the step as it is.
    """

    answer_id: str
    step: int
    candidate: bytes | None


@dataclass(frozen=True)
class TextBody:
    """A request for (legacy) completions of texts.

    Attributes:
        common: What both forms have.
        prompts: Texts, or tokens of the model.
        echo: Whether the prompt and its probabilities are sent back.
        max_tokens: How many tokens to add; 0 only with `echo`.
    """

    common: Common
    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool = False
    max_tokens: int = DEFAULT_TEXT_TOKENS


@dataclass(frozen=True)
class ModelName:
    """A model's id taken apart.

    Attributes:
        id: The id.
        method: The method it names; empty for the one of the pair.
    """

    id: str
    method: str = ""


def read_json(data: bytes) -> Mapping[str, Any]:
    """A body as an object.

    Raises:
        UsageError: It is not UTF-8, no JSON, or no object.
    """
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"the body is not UTF-8: byte {error.start}", "send UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is no JSON: {str(error)[:100]}", "send a JSON object") from error
    if not isinstance(value, dict):
        raise UsageError(f"the body is {quoted(value)}", "send a JSON object")
    return value


def model_name(model: object, pair: str) -> ModelName:
    """The pair, or the pair with a method: `NAME`, `NAME:base`; a missing name is the pair's.

    Raises:
        HttpError: There is no such model.
    """
    if model is None or model == pair:
        return ModelName(pair)
    known = [pair, *(f"{pair}:{method}" for method in METHODS)]
    if not isinstance(model, str) or model not in known:
        raise HttpError(
            404,
            f"there is no model {quoted(model)}",
            f"this server has {pair}, and {pair}:METHOD with one of {', '.join(METHODS)}",
            code="model_not_found",
            param="model",
        )
    return ModelName(model, model.rpartition(":")[2])


def chat_body(values: Mapping[str, Any], defaults: RequestDefaults, pair: str) -> ChatBody:
    """Read a request for chat completions.

    Raises:
        UsageError: A field is wrong; the message begins with its name.
        HttpError: There is no such model.
    """
    _refuse(values)
    given = values.get("messages")
    if not isinstance(given, list) or not given:
        raise UsageError("messages is not a list of messages", 'write [{"role": "user", "content": "..."}]')
    messages = tuple(as_messages(given))
    if messages[-1].speaker == "system" or not messages[-1].text.strip():
        raise UsageError("the last message is no question", "end with a message of the user")
    if defaults.system and not any(message.speaker == "system" for message in messages):
        messages = (Message("system", defaults.system), *messages)
    limit = values.get("max_completion_tokens")
    limit = values.get("max_tokens") if limit is None else limit
    logprobs = values.get("logprobs") is not None and switch_of("logprobs", values["logprobs"])
    top = _between("top_logprobs", values.get("top_logprobs"), 0, MAX_TOP_LOGPROBS)
    if top and not logprobs:
        raise UsageError("top_logprobs needs logprobs: true", "send both")
    common = _common(values, defaults, pair, {"max_tokens": limit}, (top or 0) if logprobs else None)
    return ChatBody(common, messages, _fork(values))


def text_body(values: Mapping[str, Any], defaults: RequestDefaults, pair: str) -> TextBody:
    """Read a request for completions of texts; errors as for `chat_body`."""
    _refuse(values)
    prompts = _prompts(values.get("prompt"))
    echo = values.get("echo") is not None and switch_of("echo", values["echo"])
    limit = values.get("max_tokens")
    n_tokens = DEFAULT_TEXT_TOKENS if limit is None else whole_number_of("max_tokens", limit)
    if n_tokens == 0 and not echo:
        raise UsageError("max_tokens is 0", "ask for at least one token, or send echo: true")
    top = _between("logprobs", values.get("logprobs"), 0, MAX_TOP_LOGPROBS)
    common = _common(values, defaults, pair, {"max_tokens": max(1, n_tokens)}, top)
    return TextBody(common, prompts, echo, n_tokens)


def _common(
    values: Mapping[str, Any],
    defaults: RequestDefaults,
    pair: str,
    limits: Mapping[str, Any],
    top_logprobs: int | None,
) -> Common:
    blend = values.get("blend")
    if blend is not None and not isinstance(blend, dict):
        raise UsageError(f"blend is {quoted(blend)}", 'write {"threshold": 0.3}')
    _require_known(blend or {})
    name = model_name(values.get("model"), pair)
    method = {"method": name.method} if name.method else {}
    n_candidates = _between("blend.candidates", (blend or {}).get("candidates"), 0, MAX_TOP_LOGPROBS) or 0
    kept = {"top_logprobs": EVERY_CANDIDATE if top_logprobs is not None or n_candidates else None}
    form = form_field(values, blend or {})
    with errors_of(form):
        given = with_form({**values, **(blend or {})})
    settings = settings_in({**given, **limits, **method, **kept}, defaults)
    options = values.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise UsageError(f"stream_options is {quoted(options)}", 'write {"include_usage": true}')
    return Common(
        model=name.id,
        settings=settings,
        n=_between("n", values.get("n"), 1, MAX_CHOICES) or 1,
        stream=bool(values.get("stream")),
        include_usage=bool((options or {}).get("include_usage")),
        keep=bool((blend or {}).get("keep")),
        top_logprobs=top_logprobs,
        candidates=n_candidates,
        form_field=form,
    )


@contextmanager
def errors_of(field: str) -> Iterator[None]:
    """Within the block an error of the user is one of this field of the request; of none if it is empty."""
    try:
        yield
    except UsageError as error:
        raise HttpError(400, error.message, error.hint, code=error.code, param=field) from error


def _require_known(blend: Mapping[str, Any]) -> None:
    """Refuse a misspelt member: `blend` is ours alone, so no other client's field can be meant."""
    for name in blend:
        if name not in BLEND_MEMBERS:
            close = nearest(name, sorted(BLEND_MEMBERS), 1)
            hint = f"did you mean blend.{close[0]}?" if close else "docs/serve.md lists its members"
            member = f"blend.{name:.40}"
            raise HttpError(400, f"there is no {member}", hint, code="unsupported_field", param=member)


def _refuse(values: Mapping[str, Any]) -> None:
    for name, harmless in REFUSED.items():
        if name in values and values[name] not in harmless:
            raise _unsupported(name, "leave it out")
    for name in OF_OTHERS:
        if values.get(name) is not None:
            raise _unsupported(name, INSTEAD)


def _unsupported(name: str, hint: str) -> HttpError:
    return HttpError(400, f"{name} is not supported", hint, code="unsupported_field", param=name)


def _between(name: str, value: object, low: int, high: int) -> int | None:
    if value is None or value is False:
        return None
    number = whole_number_of(name, value)
    if not low <= number <= high:
        raise UsageError(f"{name} is {number}, but must lie between {low} and {high}")
    return number


def _prompts(prompt: object) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(prompt, str):
        return (require_text(prompt, "prompt"),)
    if not isinstance(prompt, list) or not prompt:
        raise UsageError("prompt is neither a text nor a list", "send a text, a list of texts, or tokens")
    if _is_ids(prompt):
        return (tuple(prompt),)
    if len(prompt) > MAX_PROMPTS:
        raise UsageError(f"prompt has {len(prompt)} texts, but must have at most {MAX_PROMPTS}")
    return tuple(_one_prompt(each) for each in prompt)


def _one_prompt(prompt: object) -> str | tuple[int, ...]:
    if isinstance(prompt, str):
        return require_text(prompt, "prompt")
    if isinstance(prompt, list) and _is_ids(prompt):
        return tuple(prompt)
    raise UsageError(f"prompt has the item {quoted(prompt)}", "send texts, or lists of tokens")


def _is_ids(items: Sequence[object]) -> bool:
    return bool(items) and all(isinstance(each, int) and not isinstance(each, bool) for each in items)


def _fork(values: Mapping[str, Any]) -> Fork | None:
    blend = values.get("blend")
    asked = blend.get("fork") if isinstance(blend, dict) else None
    if asked is None:
        return None
    if not isinstance(asked, dict):
        raise UsageError(f"blend.fork is {quoted(asked)}", 'write {"id": "...", "step": 7}')
    step = number_of("blend.fork.step", asked.get("step"))
    answer_id = optional_text("blend.fork.id", asked.get("id"))
    return Fork(answer_id or "", int(step), _candidate(asked))


def _candidate(asked: Mapping[str, Any]) -> bytes | None:
    data = asked.get("bytes")
    if data is not None:
        if not isinstance(data, list) or not _is_ids(data) or not all(0 <= each < 256 for each in data):
            raise UsageError(f"blend.fork.bytes is {quoted(data)}", "send a list of bytes")
        return bytes(data)
    text = optional_text("blend.fork.text", asked.get("text"))
    return None if text is None else text.encode()
