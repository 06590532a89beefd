"""The records of the history: a turn, a conversation, and what a listing says about one.

Here: frozen records, and `packed` and `unpacked`, a completion as bytes and back.
Not here: the file (`history.database`), writing (`history.writer`), reading (`history.reader`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blendin_local.core.record_json import completion_from_json, completion_to_json
from blendin_local.core.records import Completion

COMPRESSION = 6  # of zlib: 1000 steps of a chat are 1.7 MB of JSON, and 0.36 MB so; level 9 saves 2 % more


@dataclass(frozen=True)
class Turn:
    """A question and its answer; the completion is None if its steps are not known."""

    question: str
    answer: str
    completion: Completion | None = None


@dataclass(frozen=True)
class Opening:
    """How a conversation was opened.

    Attributes:
        command: `chat` or `run`.
        pair: The pair of models.toml; empty if models were named instead.
        models: The reference of each model, by role.
        options: The options about models and their contexts that were given, by name.
    """

    command: str = "chat"
    pair: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What the next answer of a conversation depends on, beside its turns.

    Attributes:
        system: The system text; may be empty.
        settings: The settings of the next answer, by part and name (`cli.chat.files.settings_to_json`).
    """

    system: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptTurn:
    """A turn in the history.

    Attributes:
        id: Its number in the file.
        time: When its answer ended: UTC, ISO 8601.
        turn: Question and answer.
        standing: Whether it is part of the conversation as it stands; False once taken back or retried.
    """

    id: int
    time: str
    turn: Turn
    standing: bool = True


@dataclass(frozen=True)
class Conversation:
    """A conversation in the history.

    Attributes:
        id: Its number in the file.
        started: When its first answer ended: UTC, ISO 8601.
        opening: How it was opened.
        context: What its next answer depends on.
        turns: Every turn, in the order in which they were written.
    """

    id: int
    started: str
    opening: Opening
    context: Context
    turns: tuple[KeptTurn, ...] = ()

    @property
    def standing(self) -> tuple[KeptTurn, ...]:
        """The turns that a continuation begins with."""
        return tuple(kept for kept in self.turns if kept.standing)


@dataclass(frozen=True)
class Listed:
    """A conversation as a listing shows it.

    Attributes:
        id: Its number in the file.
        started: When its first answer ended: UTC, ISO 8601.
        latest: When its last answer ended.
        opening: How it was opened.
        question: Its first question.
        n_turns: Turns, those taken back included.
        steps: Steps of all answers whose steps are known.
        asked: How many of these asked the guide.
        found: The text that a search found, with some text around it; empty without a search.
    """

    id: int
    started: str
    latest: str
    opening: Opening
    question: str
    n_turns: int
    steps: int
    asked: int
    found: str = ""

    @property
    def intervention_rate(self) -> float | None:
        """Asked steps over all steps; None if no steps are known."""
        return self.asked / self.steps if self.steps else None


def packed(completion: Completion) -> bytes:
    """A completion without its text and signature, which have columns of their own."""
    record = completion_to_json(completion)
    del record["text"], record["signature"]
    return zlib.compress(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(), COMPRESSION)


def unpacked(data: bytes, text: str, signature: Mapping[str, Any]) -> Completion:
    """The completion that `packed` made into bytes.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, OverflowError, zlib.error: These are no such bytes.
    """
    record = json.loads(zlib.decompress(data))
    return completion_from_json({**record, "text": text, "signature": signature})
