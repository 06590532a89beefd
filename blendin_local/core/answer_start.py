"""How an answer begins if not with the models: with a given text, or with steps of an earlier answer.

Here: `start_steps` (a text), `fork` and `forked_steps` (an earlier answer up to a step, then another
candidate), and what `respond` must know of such steps.
Not here: how the models continue them (`decode.respond`), how their text enters a context (`decode.request`).
"""

from __future__ import annotations

from collections.abc import Sequence

from blendin_local.core.decisions import AnswerState
from blendin_local.core.records import Candidate, Completion, Step, replace_step
from blendin_local.core.roles import GUIDES, Role
from blendin_local.core.text import is_whole, require_text
from blendin_local.errors import UsageError

AnswerStart = str | Sequence[Step]
"""The beginning of an answer: a text, or steps as `fork` gives them."""


def start_steps(start: AnswerStart) -> tuple[Step, ...]:
    """The steps that an answer begins with; a text is one step, whose source is `given`.

    Args:
        start: A text, or steps. An empty one leaves the beginning to the models.

    Raises:
        UsageError: The text has half a character, or a step adds nothing.
    """
    if isinstance(start, str):
        text = require_text(start, "the start of the answer")
        return (Step(0, text.encode(), "given"),) if text else ()
    for i, step in enumerate(start):
        if not step.bytes:
            raise UsageError(f"step {i} of the answer's start is empty", "leave out END and all that follows")
        if i < len(start) - 1 and not is_whole(step.bytes):
            raise UsageError(
                f"step {i} of the answer's start ends inside a character", "give whole characters"
            )
    return tuple(start)


def fork(completion: Completion, i: int, candidate: str | bytes) -> tuple[Step, ...]:
    """The beginning of another answer: the steps of this one before step `i`, then another candidate.

    Args:
        completion: An answer.
        i: The step to replace, from 0; where END ended the answer, the number of its steps stands for END.
        candidate: What replaces it. Bytes that end inside a character are completed by the model that
            proposed them.

    Returns:
        Steps for `Pair.stream(..., answer_start=...)`. The last has the source `chosen`, and the candidates
        that the models had there.

    Raises:
        UsageError: There is no such step, or the candidate is empty.
    """
    return forked_steps(
        (*completion.steps, *([] if completion.end is None else [completion.end])), i, candidate
    )


def forked_steps(decisions: Sequence[Step], i: int, candidate: str | bytes) -> tuple[Step, ...]:
    """`fork` for the steps of an answer, with the decision for END as the last if that ended it."""
    if not 0 <= i < len(decisions):
        raise UsageError(f"there is no step {i}", f"the answer has steps 0 to {len(decisions) - 1}")
    piece = require_text(candidate, "the candidate").encode() if isinstance(candidate, str) else candidate
    if not piece:
        raise UsageError("END cannot be chosen: the answer would only end", "choose a candidate with a text")
    return (*decisions[:i], replace_step(decisions[i], piece))


def state_after(start: Sequence[Step]) -> AnswerState:
    """What a method may know after these steps; given and forced text is no step of its own."""
    asked = sum(step.base_top is not None and step.guide_top is not None for step in start)
    decided = sum(step.source not in {"given", "forced"} for step in start)
    return AnswerState(decided, asked)


def n_given(steps: Sequence[Step]) -> int:
    """How many steps are given text, which no limit counts."""
    return sum(step.source == "given" for step in steps)


def proposer_of(step: Step) -> Role:
    """The model that completes a chosen candidate: the base, unless guides alone listed it."""
    lists = step.candidates
    if lists is None or not _lists(lists.guide, step) or _lists(lists.base, step):
        return "base"
    listing = {part.role for part in step.guides if _lists(part.candidates, step)}
    return next((role for role in GUIDES if role in listing), "guide")


def _lists(candidates: Sequence[Candidate] | None, step: Step) -> bool:
    return any(candidate.bytes == step.bytes for candidate in candidates or ())
