"""Files that hold stored answers: a trace, the object of `run --json`, lines of a batch, a saved chat.

All of them may be packed with gzip.

Here: `read_answers`, whose errors name the file, the line and the reason; `answers_named`.
Not here: what a record means (`stored_answer`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.core.record_json import CHAT_FILE, step_from_json
from blendin_local.core.records import Step
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.stored_answer import StoredAnswer, answer_from_json
from blendin_local.paths import decompressed, read_bytes

NEWEST_TRACE = 2
MAX_TRACE_BYTES = 2**32
MAX_UNPACKED_BYTES = 2**28  # of a file that was packed with gzip
MAX_NAMES = 5  # in the hint after a wrong id
HOW = "write one with blendin run --trace FILE"
NO_RECORD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    record: Mapping[str, Any]


_Turn = tuple[_Line, Any, list[Any]]  # where an answer is, its completion, the conversation before it


@dataclass(frozen=True)
class AnswerFile:
    """The stored answers of a file.

    Attributes:
        answers: The answers, in the file's order.
        truncated: Whether the last line was cut off in the middle, and left out.
    """

    answers: tuple[StoredAnswer, ...]
    truncated: bool = False


def read_answers(path: Path) -> AnswerFile:
    """The stored answers of a file.

    Raises:
        UsageError: It cannot be read, holds no answers, or a line is not what it should be.
    """
    try:
        data = read_bytes(path, MAX_TRACE_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    lines, truncated = _lines(path, decompressed(data, path, MAX_UNPACKED_BYTES))
    if not lines:
        raise UsageError(f"{path} holds no stored answer", HOW)
    first = lines[0].record
    if first.get("type") == "start":
        return AnswerFile((_trace(path, lines),), truncated)
    if first.get("type") == CHAT_FILE:
        return AnswerFile(_chat(path, lines), truncated)
    if isinstance(first.get("turns"), list):
        return AnswerFile(_conversation(path, lines[0]), truncated)
    return AnswerFile(tuple(_answer(path, line) for line in lines), truncated)


def answers_named(path: Path, file: AnswerFile, answer_id: str | None) -> Sequence[StoredAnswer]:
    """The answers of a file with an id; all for None. UsageError if there are none."""
    if answer_id is None:
        return file.answers
    chosen = [stored for stored in file.answers if stored.name == answer_id]
    if not chosen:
        raise UsageError(
            f"{path} holds no answer {answer_id!r}", f"it begins with {first_names(file.answers)}"
        )
    return chosen


def first_names(answers: Sequence[StoredAnswer]) -> str:
    """The ids of the first answers of a file."""
    return ", ".join(dict.fromkeys(stored.name for stored in answers[:MAX_NAMES]))


def _lines(path: Path, data: bytes) -> tuple[list[_Line], bool]:
    """The objects of a file, and whether its last line was cut off."""
    found: list[_Line] = []
    rows = data.split(b"\n")
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            found.append(_Line(number, _object(row)))
        except (ValueError, RecursionError) as error:
            if found and number == len(rows):
                return found, True
            whole = _whole_file(data)
            if whole is not None:
                return [_Line(1, whole)], False
            raise UsageError(f"line {number} of {path} is not a record: {_reason(error)}", HOW) from None
    return found, False


def _object(data: bytes) -> Mapping[str, Any]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def _whole_file(data: bytes) -> Mapping[str, Any] | None:
    """One object that is spread over lines, as jq prints it."""
    try:
        return _object(data)
    except (ValueError, RecursionError):
        return None


def _trace(path: Path, lines: Sequence[_Line]) -> StoredAnswer:
    start, *rest = lines
    version = start.record.get("version")
    if not isinstance(version, int) or version > NEWEST_TRACE:
        raise UsageError(
            f"{path} is a trace of version {version}; this program reads up to version {NEWEST_TRACE}",
            "replay it with the version of blendin that wrote it",
        )
    ending = rest[-1] if rest and rest[-1].record.get("type") == "end" else None
    middle = rest[:-1] if ending else rest
    steps = tuple(_step(path, line, i) for i, line in enumerate(middle))
    last = ending or start
    try:
        return answer_from_json(
            path.name,
            start.record["signature"],
            steps,
            None if ending is None else ending.record,
            whole_lists=start.record.get("whole_lists") is True,
            messages=start.record.get("messages"),
            prompts=start.record.get("prompts"),
        )
    except NO_RECORD as error:
        raise _not_a_record(path, last, "part", error) from None


def _step(path: Path, line: _Line, i: int) -> Step:
    try:
        return _checked(line.record, i)
    except NO_RECORD as error:
        raise _not_a_record(path, line, "a step", error) from None


def _checked(record: Mapping[str, Any], i: int) -> Step:
    step = step_from_json(record)
    if step.i != i:
        raise ValueError(f"it is step {step.i}, where step {i} belongs")
    if not step.bytes:
        raise ValueError("it adds nothing")
    step.bytes.decode()
    return step


def _chat(path: Path, lines: Sequence[_Line]) -> tuple[StoredAnswer, ...]:
    """The answers of a saved chat whose steps are in the file, by the number of the turn."""
    turns: list[_Turn] = []
    earlier: list[Any] = []
    for line in lines[1:]:
        message = {name: line.record.get(name) for name in ("role", "content")}
        if message["role"] == "assistant":
            turns.append((line, _with_text(line.record.get("completion"), message["content"]), list(earlier)))
        earlier.append(message)
    return _with_steps(path, turns)


def _conversation(path: Path, line: _Line) -> tuple[StoredAnswer, ...]:
    """The answers of `blendin logs ID --json`, likewise."""
    turns: list[_Turn] = []
    system = line.record.get("system")
    earlier: list[Any] = [{"role": "system", "content": system}] if system else []
    for turn in (turn if isinstance(turn, dict) else {} for turn in line.record["turns"]):
        question = {"role": "user", "content": turn.get("question")}
        completion = _with_text(turn.get("completion"), turn.get("answer"))
        turns.append((line, completion, [*earlier, question]))
        if turn.get("standing", True):
            earlier += [question, {"role": "assistant", "content": turn.get("answer")}]
    return _with_steps(path, turns)


def _with_text(completion: object, text: object) -> Any:  # noqa: ANN401 - any JSON
    """A completion of a conversation, where the text is in the message and not repeated."""
    return {"text": text, **completion} if isinstance(completion, dict) and completion else completion


def _with_steps(path: Path, turns: Sequence[_Turn]) -> tuple[StoredAnswer, ...]:
    found = tuple(
        _completion(path, line, record, f"turn-{n}", messages)
        for n, (line, record, messages) in enumerate(turns, 1)
        if record
    )
    if not found:
        raise UsageError(
            f"{path} is a conversation without the steps of its answers",
            "ask again with this version and /save, or blendin run --trace FILE",
        )
    return found


def _completion(
    path: Path, line: _Line, record: Mapping[str, Any], name: str, messages: object
) -> StoredAnswer:
    try:
        steps = [_checked(step, i) for i, step in enumerate(_list(record["steps"]))]
        return answer_from_json(name, record["signature"], steps, record, messages=messages)
    except NO_RECORD as error:
        raise _not_a_record(path, line, "the record", error) from None


def _answer(path: Path, line: _Line) -> StoredAnswer:
    """An answer on one line: of `run --json`, or of a batch in either form."""
    outer = line.record
    record = outer["response"].get("body") if isinstance(outer.get("response"), dict) else outer
    if not isinstance(record, dict) or "signature" not in record:
        raise UsageError(f"line {line.number} of {path} is no stored answer", HOW)
    if "steps" not in record:
        raise UsageError(
            f"line {line.number} of {path} has no steps",
            "keep them with blendin batch --steps --top-logprobs 100",
        )
    name = str(outer.get("custom_id", path.name))
    return _completion(path, line, record, name, record.get("messages"))


def _list(value: object) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise TypeError("the steps are no list")
    yield from value


def _not_a_record(path: Path, line: _Line, what: str, error: Exception) -> UsageError:
    return UsageError(f"line {line.number} of {path} is not {what} of a stored answer: {_reason(error)}", HOW)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r}"
    return str(error) or type(error).__name__
