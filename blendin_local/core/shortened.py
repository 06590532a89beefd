"""Records with the first candidates of each list."""

from __future__ import annotations

from dataclasses import replace

from blendin_local.core.records import CandidateLists, Completion, Step


def shortened(step: Step, n: int) -> Step:
    """The step with the first `n` candidates of each list, none for 0."""
    lists = step.candidates
    further = tuple(replace(query, candidates=None) for query in step.further)
    guides = tuple(
        replace(part, candidates=(part.candidates and part.candidates[:n]) or None) for part in step.guides
    )
    if lists is None or not n:
        return replace(step, candidates=None, further=further, guides=guides)
    heads = (None if each is None else each[:n] for each in (lists.base, lists.guide, lists.blend))
    return replace(step, candidates=CandidateLists(*heads), further=further, guides=guides)


def with_shortened_steps(completion: Completion, n: int) -> Completion:
    """The completion with the first `n` candidates of each list of each step, none for 0."""
    steps = tuple(shortened(step, n) for step in completion.steps)
    return replace(completion, steps=steps, end=completion.end and shortened(completion.end, n))
