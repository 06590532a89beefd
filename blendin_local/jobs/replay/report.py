"""The replayed answers of a file, with their totals.

Here: `ReplayReport` and its JSON form.
Not here: one replay (`replay_answer`), how it looks (`views.replay`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from blendin_local.core.record_json import step_to_json
from blendin_local.core.records import BlendSummary, summarize
from blendin_local.jobs.replay.replayed_answer import ReplayedAnswer
from blendin_local.settings import BlendSettings


@dataclass(frozen=True)
class ReplayReport:
    """All replayed answers of one file.

    Attributes:
        file: The file's name.
        answers: Each stored answer, decided again.
        truncated: Whether the file's last line was cut off.
        stopped: Whether answers are missing because the replay was stopped.
    """

    file: str
    answers: Sequence[ReplayedAnswer]
    truncated: bool = False
    stopped: bool = False

    @property
    def as_recorded(self) -> bool:
        """Whether no answer was decided with other settings than its own."""
        return all(one.blend == one.stored.blend for one in self.answers)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many answers came out how."""
        counts = Counter(one.outcome for one in self.answers)
        return {outcome: counts[outcome] for outcome in ("same", "differs", "unknown")}

    @property
    def recorded_rates(self) -> BlendSummary:
        """Over the known steps of all answers, as recorded."""
        return summarize([step for one in self.answers for step in one.stored.steps[: one.known]])

    @property
    def replayed_rates(self) -> BlendSummary:
        """The same, decided now."""
        return summarize([step for one in self.answers for step in one.steps[: one.known]])

    def to_json(self) -> dict[str, Any]:
        """The object of `blendin replay --json`.

        Names of earlier versions (`torn`, `then`, `now`) are there as well, for one release.
        """
        return {
            "file": self.file,
            "truncated": self.truncated,
            "torn": self.truncated,
            "answers": [_replay_to_json(one) for one in self.answers],
            "totals": {
                "answers": len(self.answers),
                **self.outcomes,
                "unknown_steps": sum(one.unknown for one in self.answers),
                **_rates_to_json(self),
            },
        }


def blend_to_json(blend: BlendSettings) -> dict[str, Any]:
    """Settings as they are in a signature."""
    return {**asdict(blend), "alpha": blend.alpha_name}


def _replay_to_json(one: ReplayedAnswer) -> dict[str, Any]:
    return {
        "id": one.stored.name,
        "recorded_blend": blend_to_json(one.stored.blend),
        "blend": blend_to_json(one.blend),
        "outcome": one.outcome,
        "step": None if one.outcome == "same" else one.step,
        "reason": one.reason or None,
        "stopped_by": one.stopped_by,
        "recorded_steps": len(one.stored.steps),
        "known_steps": one.known,
        "unknown_steps": one.unknown,
        **_rates_to_json(one),
        "before": None if one.before is None else step_to_json(one.before),
        "after": None if one.after is None else step_to_json(one.after),
    }


def _rates_to_json(of: ReplayReport | ReplayedAnswer) -> dict[str, Any]:
    recorded, replayed = _rates(of.recorded_rates), _rates(of.replayed_rates)
    return {"recorded": recorded, "replayed": replayed, "then": recorded, "now": replayed}


def _rates(summary: BlendSummary) -> dict[str, Any]:
    return {
        **asdict(summary),
        "intervention_rate": summary.intervention_rate,
        "changed_rate": summary.changed_rate,
    }
