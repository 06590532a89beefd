"""What `blendin check` measures and where its signals begin: no options of a user.

Here: `CheckSettings`.
Not here: settings that a user sets (`settings.table`).
"""

from __future__ import annotations

from dataclasses import dataclass

from blendin_local.settings.table import EXCESSIVE_INTERVENTION_RATE


@dataclass(frozen=True)
class CheckSettings:
    """What `blendin check` measures and where its signals begin. Only the first threshold is the paper's.

    Attributes:
        n_prompts: Number of prompts, if the user gives none.
        max_tokens: Maximum number of steps per answer.
        excessive_rate: Intervention rate above which guidance tends to hurt.
        idle_changed_rate: Changed rate at or below which the base alone answers the same.
        guide_asked_rate: Intervention rate from which, with `guide_wins`, the guide alone answers the same.
        guide_wins: Share of differing asked steps at which the guide's choice must win for that.
        end_p: Mean probability that the guide ends its turn after a one-word answer to a question; below it
            the template is hardly the one it was trained with (`jobs.check.template_fit`).
        runaway_share: Share of answers that repeat themselves or run into a stop string, while none is ended
            by the guide, from which the report states that the guide never ends its answers.
        calibration_gap: Calibration error beyond chance, at uncertain positions, that is worth a remark.
    """

    n_prompts: int = 20
    max_tokens: int = 64
    excessive_rate: float = EXCESSIVE_INTERVENTION_RATE
    idle_changed_rate: float = 0.02
    guide_asked_rate: float = 0.6
    guide_wins: float = 0.9
    end_p: float = 0.25
    runaway_share: float = 0.25
    calibration_gap: float = 0.05
