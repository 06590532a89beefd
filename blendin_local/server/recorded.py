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
from dataclasses import dataclass, replace
from typing import Any

from blendin_local.core.prompts import Message, as_messages, messages_to_json
from blendin_local.core.record_json import completion_to_json, step_to_json
from blendin_local.decode.prompt_spans import text_of
from blendin_local.decode.request import GenerationSettings, PreparedRequest
from blendin_local.errors import BlendinError, UsageError
from blendin_local.jobs.request_values import RequestDefaults, settings_in, switch_of
from blendin_local.pair.prompt_length import require_room
from blendin_local.server.bodies import model_name
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
    """

    messages: tuple[Message, ...]
    settings: GenerationSettings


def recorded_body(values: Mapping[str, Any], defaults: RequestDefaults, pair: str) -> RecordedBody:
    """Read a request: `messages`, `model`, `settings` under the names of rows, and `evidence`.

    Raises:
        UsageError: A field is wrong.
        HttpError: There is no such model.
    """
    given, changes = values.get("messages"), values.get("settings") or {}
    if not isinstance(given, list) or not given:
        raise UsageError("messages is not a list of messages", 'write [{"role": "user", "content": "..."}]')
    if not isinstance(changes, dict):
        raise UsageError("settings is not an object", 'write {"threshold": 0.3}')
    messages = tuple(as_messages(given))
    if defaults.system and not any(message.speaker == "system" for message in messages):
        messages = (Message("system", defaults.system), *messages)
    name = model_name(values.get("model"), pair)
    settings = settings_in({**changes, **({"method": name.method} if name.method else {})}, defaults)
    evidence = switch_of("evidence", values.get("evidence", False))
    return RecordedBody(messages, replace(settings, answer=replace(settings.answer, evidence=evidence)))


def start_line(
    answer_id: str, body: RecordedBody, prompts: Mapping[str, str], request: PreparedRequest
) -> bytes:
    """The first line."""
    return _line(
        "start",
        {
            "id": answer_id,
            "messages": messages_to_json(body.messages),
            "prompts": dict(prompts),
            "signature": dict(request.signature),
        },
    )


def prepare(service: Service, body: RecordedBody) -> tuple[PreparedRequest, dict[str, str]]:
    """The request, and the prompts of all models; call it in a thread of its own."""
    request = service.pair.prepare(body.messages, body.settings, "", "")
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


def _line(kind: str, fields: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False).encode() + b"\n"
