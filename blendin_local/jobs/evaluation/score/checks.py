"""The results of `blendin check` for a pair that a report shows.

Here: `read_check`, and `CheckFacts`, kept with the pair in the plan.
Not here: the check (`jobs.check`), how it is drawn (`reports.paper`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.check.report import KIND
from blendin_local.jobs.check.report import VERSION as CHECK_VERSION
from blendin_local.paths import read_bytes

OVERLAP_TOP = "50"  # figure 4 of the paper


@dataclass(frozen=True)
class CheckFacts:
    """What a report shows of a check's record.

    Attributes:
        pair: The pair of models.toml, empty if models were named.
        files: The models' files by role.
        facts: `top_50`, the share of asked steps at which the guide's choice is among the base's 50
            likeliest; `calibration`, for each role calibration error, temperature, bits per byte and bins.
    """

    pair: str
    files: dict[str, str]
    facts: dict[str, Any]


def read_check(path: Path) -> CheckFacts:
    """The record of `blendin check --json`.

    Raises:
        UsageError: The file is something else.
    """
    try:
        record = json.loads(read_bytes(path))
        if (record["kind"], record["version"]) != (KIND, CHECK_VERSION):
            raise ValueError(record["kind"])
        ranks = (record["answers"] or {}).get("ranks")
        models = record["signature"].get("models", {})
        return CheckFacts(
            pair=record["pair_name"],
            files={role: model["file"] for role, model in models.items()},
            facts={
                "top_50": ranks and ranks["in_top"][OVERLAP_TOP],
                "calibration": {role: _calibration(found) for role, found in record["calibration"].items()},
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is no record of a check: {error}", "make one: blendin check --json > FILE"
        ) from None


def facts_of(checks: Sequence[CheckFacts], pair: str, files: Mapping[str, str]) -> dict[str, Any] | None:
    """The latest check of a pair, known by its name or by its models' files; None if there is none."""
    matching = [check for check in checks if check.pair == pair or check.files == files]
    return matching[-1].facts if matching else None


def _calibration(found: dict[str, Any]) -> dict[str, Any]:
    bins = [(b["confidence"], b["accuracy"], b["count"]) for b in found["everywhere"]["bins"] if b["count"]]
    return {
        "bins": bins,
        "error": found["everywhere"]["error"],
        "temperature": found["fit"]["temperature"],
        "bits_per_byte": found["bits_per_byte"],
    }
