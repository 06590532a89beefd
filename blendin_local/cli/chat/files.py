"""A conversation as a JSONL file: a head line with the settings, then one message a line.

Here: `save` and `load`; each line after the head is `{"role", "content"}`, as other tools write it, and that
of an answer also has its `completion`: the object of `run --json` without the text. `settings_to_json` and
`settings_from_json`, for the head line and for the history.
Not here: the conversations that are kept without asking (`blendin_local.history`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blendin_local.cli.chat.settings import PARTS
from blendin_local.cli.chat.state import ChatHistory, ChatSettings
from blendin_local.core.record_json import CHAT_FILE, completion_from_json, completion_to_json
from blendin_local.core.records import Completion
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.files import write_atomic
from blendin_local.history.records import Turn
from blendin_local.paths import read_bytes, require_file
from blendin_local.settings import Setting, require_types, settings_on

VERSION = 2  # 1 had no completions
NO_COMPLETION = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
SAVED: Mapping[str, tuple[type, Mapping[str, Setting]]] = {
    part: (table, settings_on("save", table)) for part, table in PARTS.items() if settings_on("save", table)
}
"""The settings that are saved, by the part they belong to and their names in the file."""


def settings_to_json(settings: ChatSettings) -> dict[str, dict[str, Any]]:
    """The settings that are saved, by part and name."""
    return {
        part: {name: getattr(getattr(settings, part), each.field) for name, each in saved.items()}
        for part, (_, saved) in SAVED.items()
    }


def save(history: ChatHistory, path: Path, confirm: Callable[[str], bool] = lambda _: False) -> None:
    """Write the conversation; an older one is replaced whole after a yes, another kind of file never.

    Args:
        history: The conversation.
        path: The file.
        confirm: Asked whether a saved conversation may be replaced; by default it may not.

    Raises:
        UsageError: The file cannot be written, holds something else, or may not be replaced.
    """
    head = {"type": CHAT_FILE, "version": VERSION, "settings": settings_to_json(history.settings)}
    lines = [head, *_messages(history)]
    require_file(path)
    try:
        if path.exists() and path.stat().st_size:
            _require_replaceable(path, confirm)
        write_atomic(path, ((json.dumps(line, ensure_ascii=False) + "\n").encode() for line in lines))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # a path that ends in no name
        raise UsageError(f"{path} is not the name of a file", "choose another name") from error


def _messages(history: ChatHistory) -> Iterator[dict[str, Any]]:
    if history.system:
        yield {"role": "system", "content": history.system}
    for turn in history.turns:
        yield {"role": "user", "content": turn.question}
        answer: dict[str, Any] = {"role": "assistant", "content": turn.answer}
        if turn.completion is not None:
            record = completion_to_json(turn.completion)
            del record["text"]
            answer["completion"] = record
        yield answer


def _require_replaceable(path: Path, confirm: Callable[[str], bool]) -> None:
    if not _is_ours(path):
        raise UsageError(f"{path} exists and is not a saved chat", "choose another name")
    if not confirm(f"{path} exists. Replace it?"):
        raise UsageError(f"{path} exists and was not replaced", f"/save! {path} replaces it")


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return CHAT_FILE.encode() in file.readline(4096)


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
    if record.get("type") == CHAT_FILE:
        _require_known_version(record.get("version", 1), where)
        history.settings = settings_from_json(history.settings, record.get("settings"), where)
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
        history.turns.append(Turn(question, content, _completion(record.get("completion"), content, where)))
        return None
    raise UsageError(f"{where} has role {role!r} where another was due", "user and assistant take turns")


def _require_known_version(version: object, where: str) -> None:
    if version not in range(1, VERSION + 1):
        raise UsageError(
            f"{where} says version {version!r:.40}, but this program reads up to version {VERSION}",
            "load it with the version of blendin that saved it",
        )


def _completion(record: object, text: str, where: str) -> Completion | None:
    """The steps of an answer, None where it has none or where its text was edited since."""
    if record is None:
        return None
    try:
        completion = completion_from_json({**record, "text": text})  # type: ignore[dict-item]
    except NO_COMPLETION as error:
        raise UsageError(f"{where} has steps that cannot be read", "load a file written by /save") from error
    steps = "".join(step.text for step in completion.steps)
    return completion if steps.startswith(text) else None


def settings_from_json(settings: ChatSettings, record: object, where: str) -> ChatSettings:
    """Settings with the values that a record has; what it does not set stays.

    Raises:
        UsageError: It is no such record; the message begins with `where`.
    """
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
