"""Answers with their whole record, as `blendin run --server` reads them: `/v1/answers`.

Here: the request, and the lines of the reply, one JSON object each.
Not here: OpenAI's forms (`server.replies`), the client (`server.client`).

The first line is `start`, with the id, the prompts and the signature; then come `reading` while a prompt is
read, `waiting` now and then, `step` with the record of a step, and last `end` with the whole answer, or
`error`. They are the records of `blendin run --json`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blendin_local.core.prompts import Message, as_messages, messages_to_json
from blendin_local.core.record_json import completion_to_json, step_from_json, step_to_json
from blendin_local.core.records import Step
from blendin_local.decode.prompt_spans import text_of
from blendin_local.decode.request import GenerationSettings, PreparedRequest
from blendin_local.errors import BlendinError, UsageError
from blendin_local.jobs.request_values import RequestDefaults, optional_text, settings_in, switch_of
from blendin_local.pair.prompt_length import require_room
from blendin_local.server.bodies import model_name
from blendin_local.server.exact_settings import exact_from_json, exact_to_json
from blendin_local.server.failures import failure
from blendin_local.server.service import Answer, Event, Finished, Progress, Service, Shown
from blendin_local.server.streaming import Merged

WAITING_S = 0.5  # between two lines at most, so that a client can react to Ctrl-C


@dataclass(frozen=True)
class RecordedBody:
    """A request for an answer with its record.

    Attributes:
        messages: The conversation.
        settings: The settings of the answer.
        start: The steps that it begins with.
    """

    messages: tuple[Message, ...]
    settings: GenerationSettings
    start: tuple[Step, ...] = field(default=())


def recorded_body(values: Mapping[str, Any], service: Service) -> RecordedBody:
    """Read a request for an answer with its record.

    Args:
        values: `messages`, `model`, and the settings: either `exact`, all of them with no system text but
            that of the messages, or `settings` under the names of rows, `system` and `evidence`. What these
            leave open is as the server was started, or as its pair alone has it if `defaults` is `pair`.
            `answer_start` are the steps that the answer begins with.
        service: The pair.

    Raises:
        UsageError: A field is wrong.
        HttpError: There is no such model.
    """
    messages = conversation_of(values)
    name = model_name(values.get("model"), service.name)
    start = _start(values.get("answer_start"))
    if values.get("exact") is not None:
        settings = GenerationSettings(*exact_from_json(values["exact"]))
        if settings.blend.method not in service.defaults.methods:
            raise UsageError(f"method {settings.blend.method} needs a model that was not named")
        return RecordedBody(messages, settings, start)
    defaults, changes = _defaults_of(values, service), values.get("settings") or {}
    if not isinstance(changes, dict):
        raise UsageError("settings is not an object", 'write {"threshold": 0.3}')
    system = optional_text("system", values.get("system"))
    system = defaults.system if system is None else system
    if system and not any(message.speaker == "system" for message in messages):
        messages = (Message("system", system), *messages)
    settings = settings_in({**changes, **({"method": name.method} if name.method else {})}, defaults)
    evidence = switch_of("evidence", values.get("evidence", False))
    settings = replace(settings, answer=replace(settings.answer, evidence=evidence))
    return RecordedBody(messages, settings, start)


def conversation_of(values: Mapping[str, Any]) -> tuple[Message, ...]:
    """The messages of a request.

    Raises:
        UsageError: They are none.
    """
    given = values.get("messages")
    if not isinstance(given, list) or not given:
        raise UsageError("messages is not a list of messages", 'write [{"role": "user", "content": "..."}]')
    return tuple(as_messages(given))


def _defaults_of(values: Mapping[str, Any], service: Service) -> RequestDefaults:
    if values.get("defaults") != "pair":
        return service.defaults
    if service.pair_defaults is None:
        raise UsageError("the pair cannot be opened without the options of this server", "leave defaults out")
    return service.pair_defaults


def _start(value: object) -> tuple[Step, ...]:
    if value is None:
        return ()
    try:
        return tuple(step_from_json(each) for each in value)  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(
            "answer_start is not a list of steps", "send steps as they came with an answer"
        ) from error


def start_line(
    answer_id: str,
    body: RecordedBody,
    prompts: Mapping[str, str],
    request: PreparedRequest,
    service: Service,
) -> bytes:
    """The first line."""
    settings = body.settings
    return _line(
        "start",
        {
            "id": answer_id,
            "messages": messages_to_json(body.messages),
            "prompts": dict(prompts),
            "signature": dict(request.signature),
            "settings": exact_to_json(settings.blend, settings.sampling, settings.answer),
            "opening": opening_json(service),
        },
    )


def prepare(service: Service, body: RecordedBody) -> tuple[PreparedRequest, dict[str, str]]:
    """The request, and the prompts of all models; call it in a thread of its own."""
    request = service.pair.prepare(body.messages, body.settings, "", body.start)
    require_room(service.pair, request.prompts)
    return request, {role: text_of(prompt) for role, prompt in request.prompts.items()}


async def lines(first: bytes, answer: Answer) -> AsyncIterator[bytes]:
    """The lines of a reply. If this generator is closed, the answer is cancelled."""
    merged = Merged([answer], WAITING_S)
    try:
        yield first
        async for _, event in merged.events():
            yield _line(*_record(event))
    except BlendinError as error:
        yield _line("error", failure(error).body)
    finally:
        merged.close()


def _record(event: Event | None) -> tuple[str, Mapping[str, Any]]:
    if isinstance(event, Progress):
        return "reading", {"role": event.role, "n_read": event.n_read, "n_prompt": event.n_prompt}
    if isinstance(event, Shown):
        return "step", {"shown": event.text, "step": step_to_json(event.step)}
    if isinstance(event, Finished):
        return "end", {"completion": completion_to_json(event.completion)}
    return "waiting", {}


def opening_json(service: Service) -> dict[str, Any]:
    """How the pair was opened, as the history keeps it."""
    resolved = service.resolved
    return {
        "pair": resolved.pair_name,
        "models": {str(role): name for role, name in resolved.references.items()},
        "options": service.options,
    }


def _line(kind: str, fields: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False).encode() + b"\n"
