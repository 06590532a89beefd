"""The lines of the files that a batch writes.

Here: `answer_line` and `error_line`; `blend_of`, which reads the counts of an answer's line; `BlendCounts`,
which adds them up.
Not here: how lines reach the disk (`jsonl_file`).
Sources: `core.record_json.completion_to_json`; the response form of OpenAI's batch API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any

from blendin_local.core.prompts import as_messages, messages_to_json
from blendin_local.core.record_json import completion_to_json
from blendin_local.core.records import Completion
from blendin_local.core.roles import GUIDES
from blendin_local.errors import BlendinError
from blendin_local.jobs.batch.rows import InvalidRow, Row

BAD_ROW = "bad_row"  # the code of invalid rows; other codes are `BlendinError.code`
OBJECTS = {"chat": "chat.completion", "completion": "text_completion"}


@dataclass
class BlendCounts:
    """Steps, asked and changed steps, and evaluated tokens over many answers; forced text apart."""

    steps: int = 0
    asked: int = 0
    changed: int = 0
    base_tokens: int = 0
    guide_tokens: int = 0
    guide_silent: int = 0
    forced: int = 0

    def add(self, blend: Mapping[str, Any]) -> None:
        """Add the counts of one answer, its field `blend`."""
        self.steps += blend.get("steps", 0)
        self.asked += blend.get("asked", 0)
        self.changed += blend.get("changed", 0)
        self.base_tokens += blend.get("base_tokens_evaluated", 0)
        self.guide_tokens += sum(blend.get(f"{role}_tokens_evaluated", 0) for role in GUIDES)
        self.guide_silent += blend.get("guide_silent", 0)
        self.forced += blend.get("forced", 0)

    def to_json(self) -> dict[str, Any]:
        """The counts with their rates."""
        steps = self.steps or 1
        return {
            "steps": self.steps,
            "asked": self.asked,
            "changed": self.changed,
            "intervention_rate": self.asked / steps,
            "changed_rate": self.changed / steps,
            "base_tokens_evaluated": self.base_tokens,
            "guide_tokens_evaluated": self.guide_tokens,
            "guide_silent": self.guide_silent,
            **({"forced": self.forced} if self.forced else {}),
        }


def answer_line(row: Row, completion: Completion, *, with_steps: bool) -> dict[str, Any]:
    """The line of an answer, in the format of its row."""
    record = completion_to_json(completion, with_steps=with_steps)
    if with_steps:  # such an answer can be continued: `blendin replay --fork`
        record = {"messages": messages_to_json(as_messages(row.request.messages)), **record}
    key = row.request.key
    if row.form == "own":
        return {"custom_id": key, **record}
    answer = {"id": f"blendin-{row.line}", "object": OBJECTS[row.form], "created": int(time())}
    body = {**answer, "model": _model_name(record), **_choices(row, record), **record}
    response = {"status_code": 200, "request_id": f"blendin-{row.line}", "body": body}
    return {"id": f"blendin-{row.line}", "custom_id": key, "response": response, "error": None}


def _choices(row: Row, record: dict[str, Any]) -> dict[str, Any]:
    """The fields that OpenAI's clients read; they are removed from the record."""
    usage = record.pop("usage")
    prompt = usage["base_prompt_tokens"] or usage["guide_prompt_tokens"]
    text = record.pop("text")
    choice = {"message": {"role": "assistant", "content": text}} if row.form == "chat" else {"text": text}
    return {
        "choices": [{"index": 0, **choice, "logprobs": None, "finish_reason": record.pop("finish_reason")}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": usage["completion_steps"],
            "total_tokens": prompt + usage["completion_steps"],
            **usage,
        },
    }


def _model_name(record: Mapping[str, Any]) -> str:
    models = record["signature"].get("models", {})
    return "+".join(model["file"] for model in models.values())


def error_line(number: int, failed: Row | InvalidRow, error: BlendinError | None = None) -> dict[str, Any]:
    """The line of a row that has no answer.

    Args:
        number: The row, from 0.
        failed: The row.
        error: Why there is no answer; None if the row itself is invalid.
    """
    if isinstance(failed, InvalidRow):
        why, key, form = {"code": BAD_ROW, "message": failed.message}, failed.id, "own"
    else:
        why = {"code": "error", "message": "no answer"}
        key, form = failed.request.key, failed.form
    if error is not None:
        why = {"code": error.code, "message": error.message, "hint": error.hint}
    line = {"custom_id": key, "row": number + 1, "line": failed.line, "error": why}
    return line if form == "own" else {"id": f"blendin-{failed.line}", **line, "response": None}


def record_of(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record within the line of an answer, in either format."""
    record: Mapping[str, Any] = line["response"]["body"] if "response" in line else line
    return record


def blend_of(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The counts within the line of an answer."""
    blend: Mapping[str, Any] = record_of(line)["blend"]
    return blend
