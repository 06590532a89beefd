"""The record of a check: everything it found, as values and as JSON.

Here: `Check` and `check_to_json`.
Not here: how it looks (`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.jobs.check.answers import AnswerFigures
from blendin_local.jobs.check.calibration import RoleCalibration
from blendin_local.jobs.check.description import PairSheet
from blendin_local.jobs.check.verdicts import CheckVerdict

KIND, VERSION = "blendin-check", 1


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        references: What the user called the models, by role.
        pair_name: The pair of models.toml, empty if two models were named.
        signature: Versions, files and settings that the answers were made with; empty without answers.
        sheet: What the files say.
        answers: What the answers showed; None where none were made.
        template_p: See `CheckSettings.template_p`; None where it was not measured.
        calibration: What each model showed on the reference text; empty where it was not read.
        verdicts: What it all means; empty for a check that was stopped.
        remarks: Further sentences.
        complete: Whether everything that was asked for was measured.
        seconds: Wall-clock time.
    """

    references: Mapping[Role, str]
    pair_name: str
    sheet: PairSheet
    answers: AnswerFigures | None = None
    template_p: float | None = None
    calibration: Mapping[Role, RoleCalibration] = field(default_factory=dict)
    verdicts: tuple[CheckVerdict, ...] = ()
    remarks: tuple[str, ...] = ()
    signature: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True
    seconds: float = 0.0

    @property
    def temperatures(self) -> dict[str, float]:
        """The fitted temperatures under their keys in models.toml; empty unless both were fitted well."""
        fits = {role: found.fit for role, found in self.calibration.items()}
        if set(fits) != {"base", "guide"} or any(fit.at_edge for fit in fits.values()):
            return {}
        return {f"{role}_temperature": round(fit.temperature, 3) for role, fit in fits.items()}


def check_to_json(check: Check) -> dict[str, Any]:
    """The object of `blendin check --json`: the fields of the records under their own names."""
    overlap = check.sheet.overlap
    record: dict[str, Any] = {"kind": KIND, "version": VERSION, **asdict(check)}
    record["sheet"]["overlap"] |= {
        "share_of_base": overlap.share_of_base,
        "share_of_guide": overlap.share_of_guide,
    }
    return record | {"temperatures": check.temperatures}
