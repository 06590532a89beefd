"""What methods ask their guides, be it one or several.

Here: `ask_guides` and `projected`.
Not here: how several guides speak as one (`core.guide_pool`, `core.blending`), what a method makes of it
(`core.methods`).
"""

from __future__ import annotations

from collections.abc import Generator

from blendin_local.core.bridge import Projection, project
from blendin_local.core.decisions import AnswerState, Ask
from blendin_local.core.distribution import Prediction
from blendin_local.core.guide_pool import GuidePool, join_guides
from blendin_local.core.roles import Role
from blendin_local.settings import BlendSettings


def ask_guides(settings: BlendSettings, state: AnswerState) -> Generator[Ask, Prediction, Prediction]:
    """Ask every guide; the prediction of one alone is returned as it is, that of several is a `GuidePool`."""
    members: dict[Role, Prediction] = {}
    for role in state.guides:
        members[role] = yield Ask(role)
    return join_guides(members, settings.guide_weight)


def projected(g: Prediction, b: Prediction, settings: BlendSettings) -> Projection:
    """What the guides predict, projected onto the base's tokens by the bridge; each guide by itself."""
    if not isinstance(g, GuidePool):
        return (yield from project(g, "guide", b, settings))
    each = {}
    for role, share in g.shares.items():
        if share:
            each[role] = yield from project(g.members[role], role, b, settings)
    return g.mean(each)
