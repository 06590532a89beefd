"""A conversation as a JSONL file: a head line with the settings, then one message a line.

Here: `save` and `load`; each line after the head is `{"role", "content"}`, as other tools write it.
Not here: the records of single steps (`--trace`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from blendin_local.cli.chat.state import ChatSettings, Talk, Turn
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.files import write_atomic
from blendin_local.paths import read_bytes, require_file
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings, require_types

KIND = "blendin-chat"
_SAVED = {
    "blend": ("method", "threshold", "alpha", "agreement_bonus", "top_k", "cap", "bridge"),
    "sampling": ("temperature", "top_k", "top_p", "min_p", "seed"),
    "answer": ("max_tokens", "stop", "loop_guard"),
}


def save(talk: Talk, path: Path) -> None:
    """Write the conversation, replacing an older one whole; no other kind of file is replaced.

    Raises:
        UsageError: The file cannot be written, or holds something else.
    """
    settings = {
        part: {name: getattr(getattr(talk.settings, part), name) for name in names}
        for part, names in _SAVED.items()
    }
    head: dict[str, Any] = {"type": KIND, "version": 1, "settings": settings}
    lines = [head, *({"role": m.speaker, "content": m.text} for m in talk.messages())]
    require_file(path)
    try:
        if path.exists() and path.stat().st_size and not _is_ours(path):
            raise UsageError(f"{path} exists and is not a saved chat", "choose another name")
        write_atomic(path, [(json.dumps(line, ensure_ascii=False) + "\n").encode() for line in lines])
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # a path that ends in no name
        raise UsageError(f"{path} is not the name of a file", "choose another name") from error


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return KIND.encode() in file.readline(4096)


def load(path: Path, settings: ChatSettings) -> Talk:
    """Read a conversation; what its file does not set is taken from `settings`.

    A file without a head line is read too: messages alone are a conversation.

    Raises:
        UsageError: The file cannot be read, or a line of it is not right (its number is named).
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    talk = Talk(settings=settings)
    waiting: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            waiting = _take(talk, _record(line, f"{path}, line {number}"), waiting, f"{path}, line {number}")
    if waiting is not None:
        raise UsageError(f"{path} ends with a question that has no answer")
    return talk


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON", "load a file written by /save") from error
    if not isinstance(record, dict):
        raise UsageError(f"{where} is not a JSON object", "load a file written by /save")
    return record


def _take(talk: Talk, record: dict[str, Any], waiting: str | None, where: str) -> str | None:
    """Put one line into the talk; returns the question that waits for its answer."""
    if record.get("type") == KIND:
        talk.settings = _settings(talk.settings, record.get("settings"), where)
        return waiting
    role, content = record.get("role"), record.get("content")
    if not isinstance(content, str):
        raise UsageError(f"{where} has no text in 'content'")
    require_text(content, f"{where}: the content")
    if role == "system" and not talk.turns and waiting is None:
        talk.system = content
        return None
    if role == "user" and waiting is None:
        return content
    if role == "assistant" and waiting is not None:
        talk.turns.append(Turn(waiting, content))
        return None
    raise UsageError(f"{where} has role {role!r} where another was due", "user and assistant take turns")


def _settings(settings: ChatSettings, saved: object, where: str) -> ChatSettings:
    try:
        parts = {part: dict(saved[part]) for part in _SAVED}  # type: ignore[index]
        known = {
            part: {n: parts[part][n] for n in names if n in parts[part]} for part, names in _SAVED.items()
        }
        known["answer"]["stop"] = tuple(known["answer"].get("stop", ()))
        for kind, part in (
            (BlendSettings, "blend"),
            (SamplingSettings, "sampling"),
            (AnswerSettings, "answer"),
        ):
            require_types(kind, known[part])
        top_logprobs = settings.answer.top_logprobs
        return replace(
            settings,
            blend=BlendSettings(**known["blend"]),
            sampling=SamplingSettings(**known["sampling"]),
            answer=AnswerSettings(**known["answer"], top_logprobs=top_logprobs),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where} has settings that cannot be read") from error
