"""A stored answer as records, checked.

Here: `StoredAnswer`, and the way from a completion's JSON back to it.
Not here: steps (`core.record_json`), files (`answer_file`), deciding again (`replayed_answer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from blendin_local.core.methods import METHODS
from blendin_local.core.penalties import History
from blendin_local.core.prompts import Conversation, Message, as_messages
from blendin_local.core.record_json import one_of, step_from_json
from blendin_local.core.records import Candidate, Step, StoppedBy
from blendin_local.core.roles import GUIDES, Role
from blendin_local.errors import UsageError
from blendin_local.settings import AUTO_ALPHA, AnswerSettings, BlendSettings, SamplingSettings, require_types

Settings = TypeVar("Settings", BlendSettings, SamplingSettings, AnswerSettings)


@dataclass(frozen=True)
class StoredAnswer:
    """One stored answer.

    Attributes:
        name: What it is called: its row's id, or the file.
        steps: Every step.
        end: The decision for END, if that ended it.
        stopped_by: Why it ended; None if the record is cut off before its end.
        blend: The settings it was decided with.
        sampling: How candidates were picked, with the seed.
        answer: When it had to end.
        version: Of the program that wrote it.
        whole_lists: Whether its lists hold every candidate that entered a blend; else only the first
            `answer.top_logprobs` of each.
        n_start: How many steps the answer was begun with; they were not decided.
        prompt: The tokens of the prompt that its penalties looked at; empty without penalties.
        signature: Of the completion: the files, prompts and settings that it was made with.
        messages: The conversation that it answers; empty if the record does not have it.
        prompts: The rendered prompt of each role, if the record has them.
        text: The answer, less a stop string cut off at its end; without a record of its end, all steps.
    """

    name: str
    steps: tuple[Step, ...]
    end: Step | None
    stopped_by: StoppedBy | None
    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings
    version: str = ""
    whole_lists: bool = False
    n_start: int = 0
    prompt: History = ()
    signature: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def guides(self) -> tuple[Role, ...]:
        """The guides that it was made with; the first, where the record does not say."""
        models = self.signature.get("models")
        named = tuple(role for role in GUIDES if isinstance(models, Mapping) and role in models)
        return named or ("guide",)

    @property
    def start(self) -> tuple[Step, ...]:
        """The steps that the answer was begun with."""
        return self.steps[: self.n_start]

    @property
    def decisions(self) -> tuple[Step, ...]:
        """The steps, and END where that won."""
        return self.steps if self.end is None else (*self.steps, self.end)

    def is_whole(self, candidates: Sequence[Candidate]) -> bool:
        """Whether a list of candidates is all of them, not only their head."""
        kept = self.answer.top_logprobs
        return self.whole_lists or len(candidates) < kept or kept >= self.blend.top_k


def answer_from_json(
    name: str,
    signature: Mapping[str, Any],
    steps: Sequence[Step],
    ending: Mapping[str, Any] | None,
    *,
    whole_lists: bool = False,
    messages: object = None,
    prompts: Mapping[str, str] | None = None,
) -> StoredAnswer:
    """An answer made from its parts.

    Args:
        name: What it is called.
        signature: Of the completion.
        steps: Its steps.
        ending: The completion's JSON, or None if the record is cut off before it.
        whole_lists: As in `StoredAnswer`.
        messages: The conversation in OpenAI's chat format; None if the record does not have it.
        prompts: As in `StoredAnswer`; None if the record does not have them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is no such record.
    """
    alpha = signature["blend"]["alpha"]
    blend = {**signature["blend"], "alpha": None if alpha == AUTO_ALPHA else alpha}
    if "guide_weight" in blend:
        blend["guide_weight"] = tuple(blend["guide_weight"])
    answer = {**signature["answer"], "stop": tuple(signature["answer"]["stop"])}
    sampling = dict(signature["sampling"])
    if "dry_sequence_breaker" in sampling:
        sampling["dry_sequence_breaker"] = tuple(sampling["dry_sequence_breaker"])
    end = ending["end"] if ending else None
    return StoredAnswer(
        name=name,
        steps=tuple(steps),
        end=None if end is None else step_from_json(end),
        stopped_by=one_of(StoppedBy, ending["stopped_by"]) if ending else None,
        blend=_settings(BlendSettings, blend),
        sampling=_settings(SamplingSettings, sampling),
        answer=_settings(AnswerSettings, answer),
        version=str(signature.get("versions", {}).get("blendin-local", "")),
        whole_lists=whole_lists,
        n_start=int((signature.get("answer_start") or {"steps": 0})["steps"]),
        prompt=tuple(None if s is None else bytes(s) for s in signature.get("prompt_tokens", ())),
        signature=signature,
        messages=_messages(messages),
        prompts={str(role): str(text) for role, text in (prompts or {}).items()},
        text="".join(step.text for step in steps) if ending is None else _text(ending),
    )


def _text(ending: Mapping[str, Any]) -> str:
    """The text of a completion's JSON, or of its OpenAI form."""
    if "text" in ending:
        return str(ending["text"])
    choice = ending["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


def _messages(record: object) -> tuple[Message, ...]:
    if record is None:
        return ()
    try:
        return tuple(as_messages(cast("Conversation", record)))  # which raises for anything else
    except UsageError as error:
        raise ValueError(error.message) from error


def _settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Settings, perhaps of a version that had fewer."""
    unknown = sorted(set(values) - {field.name for field in fields(kind)})
    if unknown:
        raise ValueError(f"this version knows no setting {unknown[0]!r}")
    require_types(kind, values)
    if values.get("method", "base") not in METHODS:
        raise ValueError(f"this version knows no method {values['method']!r}")
    return kind(**values)
