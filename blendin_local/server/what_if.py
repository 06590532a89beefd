"""Answers that the server has kept: what other settings would have done to one, and its record.

Here: `decide_again`, the reply of `/v1/replay`; `answer_json` and `answer_page`, those of `/v1/answers/ID`.
Not here: how an answer is decided again (`jobs.replay`): the code that made it runs again on its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blendin_local.core.record_json import completion_to_json
from blendin_local.core.records import Step
from blendin_local.core.shortened import with_shortened_steps
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.replayed_answer import ReplayedAnswer, replay_answer
from blendin_local.jobs.replay.stored_answer import answer_from_json
from blendin_local.jobs.request_values import optional_text, settings_in
from blendin_local.reports.answer_html import render_html
from blendin_local.server.replies import blend_of_step
from blendin_local.server.service import Service

PAGE_CANDIDATES = 10  # of each list; as many as `--html` shows


def decide_again(service: Service, values: Mapping[str, Any]) -> dict[str, Any]:
    """Decide a kept answer again: `{"id": "...", "blend": {"threshold": 0.3}}`.

    Raises:
        UsageError: No such answer is kept, a setting is wrong, or the answer cannot be decided with it.
    """
    answer_id = optional_text("id", values.get("id")) or ""
    changes = values.get("blend") or {}
    if not isinstance(changes, dict):
        raise UsageError("blend is not an object", 'write {"threshold": 0.3}')
    kept = service.kept[answer_id].completion
    record = completion_to_json(kept, with_steps=False)
    stored = answer_from_json(answer_id, kept.signature, kept.steps, record, whole_lists=True)
    stored = replace(stored, end=kept.end)
    defaults = replace(service.defaults, blend=stored.blend)
    blend = settings_in(changes, defaults).blend
    return reply(replay_answer(stored, blend))


def reply(replayed: ReplayedAnswer) -> dict[str, Any]:
    """A replayed answer as JSON: up to where it is the same, and how often the guide is asked."""
    known = replayed.steps[: replayed.known]
    before = replayed.stored.steps[: len(known)]
    return {
        "outcome": replayed.outcome,
        "step": replayed.step,
        "reason": replayed.reason,
        "stopped_by": replayed.stopped_by,
        "text": "".join(step.text for step in known[: replayed.step]),
        "known_steps": len(known),
        "recorded": _counts(before),
        "replayed": _counts(known),
        "before": None if replayed.before is None else _decision(replayed.before),
        "after": None if replayed.after is None else _decision(replayed.after),
    }


def answer_json(service: Service, answer_id: str) -> dict[str, Any]:
    """A kept answer as `blendin run --json` writes it, with its conversation."""
    kept = service.kept[answer_id]
    messages = [{"role": each.speaker, "content": each.text} for each in kept.messages]
    return {"messages": messages, **completion_to_json(kept.completion)}


def answer_page(service: Service, answer_id: str) -> str:
    """A kept answer as `blendin run --html` writes it."""
    kept = service.kept[answer_id]
    return render_html({}, with_shortened_steps(kept.completion, PAGE_CANDIDATES), kept.messages)


def _decision(step: Step) -> dict[str, Any]:
    return {"text": step.text, "bytes": list(step.bytes), **blend_of_step(step)}


def _counts(steps: tuple[Step, ...]) -> dict[str, int]:
    return {
        "asked": sum(step.asked for step in steps),
        "changed": sum(step.source == "changed" for step in steps),
    }
