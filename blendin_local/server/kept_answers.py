"""Answers in memory, to be decided again or continued elsewhere.

Here: `KeptAnswers`, as many as fit into a number and a size; `size_of`, what one takes.
Not here: what is done with them (`server.what_if`, `server.service`).

A kept answer has every candidate of every step, tens of kilobytes a step. So a number alone is no bound: 32
answers of some thousand steps would be gigabytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from blendin_local.core.prompts import Message, quoted
from blendin_local.core.records import Completion, Step
from blendin_local.errors import UsageError

MAX_KEPT = 32
MAX_KEPT_MIB = 256
CANDIDATE_BYTES = 128  # of a candidate, its probability, its bytes, and its place in a list
STEP_BYTES = 768  # of a step without its lists


@dataclass(frozen=True)
class KeptAnswer:
    """An answer in memory, and the conversation that it answers.

    Attributes:
        completion: The answer.
        messages: The conversation.
        size: What both take, in bytes.
    """

    completion: Completion
    messages: tuple[Message, ...]
    size: int


class KeptAnswers:
    """The latest answers; the oldest give way.

    Args:
        max_count: How many at most.
        max_bytes: How large they may be together. A larger one is not kept at all.
    """

    def __init__(self, max_count: int = MAX_KEPT, max_bytes: int = MAX_KEPT_MIB << 20) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._size = 0
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size(self) -> int:
        """How large they are together, in bytes."""
        return self._size

    def add(self, answer_id: str, completion: Completion, messages: Sequence[Message] = ()) -> None:
        """Keep an answer under a new id, with the conversation that it answers."""
        kept = KeptAnswer(completion, tuple(messages), size_of(completion, messages))
        if kept.size > self._max_bytes:
            return
        self._size += kept.size
        self._answers[answer_id] = kept
        while len(self._answers) > self._max_count or self._size > self._max_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._size -= oldest.size

    def __getitem__(self, answer_id: str) -> KeptAnswer:
        """An answer that was kept.

        Raises:
            UsageError: There is none of this id, or no longer.
        """
        if answer_id not in self._answers:
            raise UsageError(
                f"no answer {quoted(answer_id)} is kept",
                f'send blend: {{"keep": true}} with a request; the last {self._max_count} are kept, '
                f"of together at most {self._max_bytes >> 20} MiB",
            )
        return self._answers[answer_id]


def size_of(completion: Completion, messages: Sequence[Message] = ()) -> int:
    """About how many bytes of memory an answer takes; counted, not measured, and rather too many."""
    steps = (*completion.steps, *([] if completion.end is None else [completion.end]))
    texts = 4 * (len(completion.text) + sum(len(message.text) for message in messages))
    return texts + sum(STEP_BYTES + CANDIDATE_BYTES * _n_candidates(step) for step in steps)


def _n_candidates(step: Step) -> int:
    lists = step.candidates
    of_models = () if lists is None else (lists.base, lists.guide, lists.blend)
    further = (query.candidates for query in step.further)
    guides = (part.candidates for part in step.guides)
    return sum(len(candidates) for candidates in (*of_models, *further, *guides) if candidates is not None)
