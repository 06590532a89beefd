"""What a check found, as values and as JSON.

Here: `CheckReport`; `keep_temperatures`, which writes what it fitted into the user's models.toml.
Not here: how it looks (`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs.check.answers import AnswerStatistics
from blendin_local.jobs.check.calibration import RoleCalibration
from blendin_local.jobs.check.description import PairDescription
from blendin_local.jobs.check.verdicts import CheckVerdict
from blendin_local.jobs.probe.asking import ProbeReport
from blendin_local.models.config_file import write_pair
from blendin_local.models.registry import user_file

KIND, VERSION = "blendin-check", 1


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        references: What the user called the models, by role.
        pair_name: The pair of models.toml, empty if two models were named.
        signature: Versions, files and settings that the answers were made with; empty without answers.
        description: The pair as described by its files.
        answers: Statistics of the answers; None if none were made.
        end_p: See `CheckSettings.end_p`; None if it was not measured, as for a guide that thinks aloud.
        calibration: What each model showed on the reference text; empty if it was not read.
        probe: What the probe saw; None if it was not asked.
        verdicts: What it all means; empty for a check that was stopped.
        signals: Signals that guiding may not pay, from figures without reference answers.
        remarks: Further sentences.
        complete: Whether everything that was asked for was measured; False for a check that was stopped.
        seconds: Wall-clock time.
    """

    references: Mapping[Role, str]
    pair_name: str
    description: PairDescription
    answers: AnswerStatistics | None = None
    end_p: float | None = None
    calibration: Mapping[Role, RoleCalibration] = field(default_factory=dict)
    probe: ProbeReport | None = None
    verdicts: tuple[CheckVerdict, ...] = ()
    signals: tuple[CheckVerdict, ...] = ()
    remarks: tuple[str, ...] = ()
    signature: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True
    seconds: float = 0.0

    @property
    def can_be_prompted(self) -> bool:
        """Whether the guide has a chat template; without one nothing can be asked."""
        return bool(self.description.models["guide"].template)

    @property
    def temperatures(self) -> dict[str, float]:
        """The fitted temperatures under their keys in models.toml; empty unless both were fitted well."""
        fits = {role: found.fit for role, found in self.calibration.items()}
        if set(fits) != {"base", "guide"} or any(fit.at_edge for fit in fits.values()):
            return {}
        return {f"{role}_temperature": round(fit.temperature, 3) for role, fit in fits.items()}

    def to_json(self) -> dict[str, Any]:
        """The object of `blendin check --json`: the fields of the records under their own names.

        Names of earlier versions (`sheet`, `places`, `lanes`) are there as well, for one release.
        """
        record: dict[str, Any] = {"kind": KIND, "version": VERSION, **asdict(self)}
        overlap = self.description.overlap
        record["description"]["overlap"] |= {
            "share_of_base": overlap.share_of_base,
            "share_of_guide": overlap.share_of_guide,
        }
        _add_old_names(record)
        return record | {"temperatures": self.temperatures}


def _add_old_names(record: dict[str, Any]) -> None:
    record["sheet"] = record["description"]
    if record["answers"]:
        record["answers"]["lanes"] = record["answers"]["parallel"]
    ranks = (record["answers"] or {}).get("ranks")
    parts = [found[kind] for found in record["calibration"].values() for kind in ("everywhere", "uncertain")]
    for part in filter(None, [ranks, *parts]):
        part["places"] = part["positions"]


def keep_temperatures(check: CheckReport, name: str = "", path: Path | None = None) -> Path:
    """Write the fitted temperatures into a pair of models.toml, where `alpha calibrated` finds them.

    Args:
        check: A finished check.
        name: The pair; empty for the one that was checked. A pair of another name gets its models too.
        path: The file; None for the user's own.

    Returns:
        The file.

    Raises:
        PairError: No temperatures could be fitted.
        UsageError: The pair has no name, or the file cannot be extended.
        WriteError: The disk refuses.
    """
    name = name or check.pair_name
    if not name:
        raise UsageError("two models without a name cannot be written", "give the pair one with --name")
    if not check.temperatures:
        raise PairError("no temperatures could be fitted, so nothing was written", "")
    path = path or user_file()
    models = {} if name == check.pair_name else {str(role): ref for role, ref in check.references.items()}
    positions = min(found.everywhere.positions for found in check.calibration.values())
    comment = f"fitted by blendin check, {datetime.now(UTC):%Y-%m-%d}", f"{positions} positions"
    write_pair(path, name, {**check.temperatures, **models}, comment)
    return path
