"""What several guides did to an answer, in words.

Here: `guides_text` for a step, `changed_by` for an answer; both empty with one guide.
Not here: where a step comes from (`views.answer_tables`), the counts (`core.records`).
"""

from __future__ import annotations

from blendin_local.core.percent import percent
from blendin_local.core.records import Completion, Step
from blendin_local.views.visible import visible


def guides_text(step: Step) -> str:
    """`guide2's word; guide ·To 54 %, alpha 0.41; guide2 ·To 60 %, alpha 0.46`."""
    parts = [f"{step.proposer}'s word"] if step.proposer else []
    for part in step.guides:
        weight = "" if part.alpha is None else f", alpha {part.alpha:.2f}"
        parts.append(f"{part.role} {visible(part.top.bytes)} {percent(part.top.p, 0)}{weight}")
    return "; ".join(parts)


def changed_by(completion: Completion) -> str:
    """` (guide 2, guide2 6)`: how many of the changed steps are the word of each guide."""
    counts = [f"{role} {each.changed}" for role, each in completion.blend.guides.items()]
    return f" ({', '.join(counts)})" if counts else ""
