"""What several guides did to an answer, in words.

Here: `guides_text` for a step, `changed_by` for an answer; both empty with one guide.
Not here: where a step comes from (`views.answer_tables`), the counts (`core.records`).
"""

from __future__ import annotations

from blendin_local.core.percent import percent
from blendin_local.core.records import Completion, GuidePart, Step
from blendin_local.views.visible import visible


def guides_text(step: Step) -> str:
    """`the word is guide2's; guide says ·To (54 %, weight 0.41), guide2 says ·The (60 %, weight 0.46)`."""
    word = f"the word is {step.proposer}'s" if step.proposer else ""
    return "; ".join(filter(None, [word, ", ".join(map(_said, step.guides))]))


def _said(guide: GuidePart) -> str:
    weight = "" if guide.alpha is None else f", weight {guide.alpha:.2f}"
    return f"{guide.role} says {visible(guide.top.bytes)} ({percent(guide.top.p, 0)}{weight})"


def changed_by(completion: Completion) -> str:
    """` (2 by guide, 6 by guide2)`: how many of the changed steps are the word of each guide."""
    counts = [f"{each.changed} by {role}" for role, each in completion.blend.guides.items()]
    return f" ({', '.join(counts)})" if counts else ""
