"""Where two answers may part, because llama.cpp's logits depend on the shape of the batch."""

from __future__ import annotations

from collections.abc import Sequence

from blendin_local.core.records import Completion, Step

THRESHOLD_MARGIN, BLEND_MARGIN = 0.08, 0.12  # what llama.cpp's batch shapes alone can move


def is_near_tie(step: Step, threshold: float) -> bool:
    """Whether llama.cpp's own differences between batch shapes can have turned this step."""
    if abs(step.base_top.p - threshold) < THRESHOLD_MARGIN:
        return True
    lists = step.candidates
    ranked = lists.blend or lists.base
    return len(ranked) > 1 and ranked[0].p - ranked[1].p < BLEND_MARGIN


def parting(ours: Sequence[Step], theirs: Sequence[Step]) -> tuple[Step, Step] | None:
    """The first step at which two answers differ, None where they are the same.

    Args:
        ours: All steps of an answer and, where END ended it, the decision for END; `whole` gives them.
        theirs: Those of the other.

    Raises:
        AssertionError: One is only the beginning of the other, which no near-tie explains.
    """
    for a, b in zip(ours, theirs, strict=False):
        if (a.bytes, a.asked) != (b.bytes, b.asked):
            return a, b
    assert len(ours) == len(theirs), "one answer stops where the other goes on"
    return None


def whole(completion: Completion) -> tuple[Step, ...]:
    """The steps of an answer, and the decision that ended it."""
    return (*completion.steps, *([completion.end] if completion.end else []))
