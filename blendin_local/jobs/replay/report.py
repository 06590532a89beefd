"""What came of replaying the answers of a file, summed up.

Here: `ReplayReport`: totals and the JSON form.
Not here: one replay (`replay`), how it looks (`views.replay`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from blendin_local.core.record_json import step_to_json
from blendin_local.core.records import BlendSummary, summarize
from blendin_local.jobs.replay.replayed_answer import Replay
from blendin_local.settings import BlendSettings


@dataclass(frozen=True)
class ReplayReport:
    """All replays of one file.

    Attributes:
        file: The file's name.
        replays: One per answer.
        torn: Whether the file's last line was cut off.
    """

    file: str
    replays: Sequence[Replay]
    torn: bool = False

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many answers came out how."""
        counts = Counter(one.outcome for one in self.replays)
        return {outcome: counts[outcome] for outcome in ("same", "differs", "unknown")}

    @property
    def then(self) -> BlendSummary:
        """Over the known steps of all answers, as recorded."""
        return summarize([step for one in self.replays for step in one.recording.steps[: one.known]])

    @property
    def now(self) -> BlendSummary:
        """The same, decided now."""
        return summarize([step for one in self.replays for step in one.steps[: one.known]])

    def to_json(self) -> dict[str, Any]:
        """The object of `blendin replay --json`."""
        return {
            "file": self.file,
            "torn": self.torn,
            "answers": [_replay_to_json(one) for one in self.replays],
            "totals": {
                "answers": len(self.replays),
                **self.outcomes,
                "unknown_steps": sum(one.unknown for one in self.replays),
                "then": _rates(self.then),
                "now": _rates(self.now),
            },
        }


def blend_to_json(blend: BlendSettings) -> dict[str, Any]:
    """Settings as they stand in a signature."""
    return {**asdict(blend), "alpha": blend.alpha_name}


def _replay_to_json(one: Replay) -> dict[str, Any]:
    return {
        "id": one.recording.name,
        "recorded_blend": blend_to_json(one.recording.blend),
        "blend": blend_to_json(one.blend),
        "outcome": one.outcome,
        "step": None if one.outcome == "same" else one.i,
        "reason": one.reason or None,
        "stopped_by": one.stopped_by,
        "recorded_steps": len(one.recording.steps),
        "known_steps": one.known,
        "unknown_steps": one.unknown,
        "then": _rates(one.then),
        "now": _rates(one.now),
        "before": None if one.before is None else step_to_json(one.before),
        "after": None if one.after is None else step_to_json(one.after),
    }


def _rates(summary: BlendSummary) -> dict[str, Any]:
    return {
        **asdict(summary),
        "intervention_rate": summary.intervention_rate,
        "changed_rate": summary.changed_rate,
    }
