"""A conversation as a JSONL file: a head line with the settings, then one message a line.

Here: `save` and `load`; each line after the head is `{"role", "content"}`, as other tools write it.
Not here: the records of single steps (`--trace`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blendin_local.cli.chat.settings import PARTS
from blendin_local.cli.chat.state import ChatHistory, ChatSettings, Turn
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.files import write_atomic
from blendin_local.paths import read_bytes, require_file
from blendin_local.settings import Setting, require_types, settings_on

KIND = "blendin-chat"
SAVED: Mapping[str, tuple[type, Mapping[str, Setting]]] = {
    part: (table, settings_on("save", table)) for part, table in PARTS.items() if settings_on("save", table)
}
"""The settings that are saved, by the part they belong to and their names in the file."""


def save(history: ChatHistory, path: Path) -> None:
    """Write the conversation, replacing an older one whole; no other kind of file is replaced.

    Raises:
        UsageError: The file cannot be written, or holds something else.
    """
    settings = {
        part: {name: getattr(getattr(history.settings, part), each.field) for name, each in saved.items()}
        for part, (_, saved) in SAVED.items()
    }
    head: dict[str, Any] = {"type": KIND, "version": 1, "settings": settings}
    lines = [head, *({"role": m.speaker, "content": m.text} for m in history.messages())]
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


def load(path: Path, settings: ChatSettings) -> ChatHistory:
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
    history = ChatHistory(settings=settings)
    question: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            question = _add_message(
                history, _record(line, f"{path}, line {number}"), question, f"{path}, line {number}"
            )
    if question is not None:
        raise UsageError(f"{path} ends with a question that has no answer")
    return history


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON", "load a file written by /save") from error
    if not isinstance(record, dict):
        raise UsageError(f"{where} is not a JSON object", "load a file written by /save")
    return record


def _add_message(
    history: ChatHistory, record: dict[str, Any], question: str | None, where: str
) -> str | None:
    """Add one line to the conversation; returns the question that has no answer yet."""
    if record.get("type") == KIND:
        history.settings = _settings(history.settings, record.get("settings"), where)
        return question
    role, content = record.get("role"), record.get("content")
    if not isinstance(content, str):
        raise UsageError(f"{where} has no text in 'content'")
    require_text(content, f"{where}: the content")
    if role == "system" and not history.turns and question is None:
        history.system = content
        return None
    if role == "user" and question is None:
        return content
    if role == "assistant" and question is not None:
        history.turns.append(Turn(question, content))
        return None
    raise UsageError(f"{where} has role {role!r} where another was due", "user and assistant take turns")


def _settings(settings: ChatSettings, record: object, where: str) -> ChatSettings:
    try:
        parts = {part: _part(getattr(settings, part), part, record[part]) for part in SAVED}  # type: ignore[index]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{where} has settings that cannot be read") from error
    return replace(settings, **parts)


def _part(current: Any, part: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of the settings classes
    table, saved = SAVED[part]
    found = {each.field: values[name] for name, each in saved.items() if name in values}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    require_types(table, found)
    return replace(current, **found)
