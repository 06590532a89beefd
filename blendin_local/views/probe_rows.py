"""What the probe saw, as rows of text, shared by the terminal and the page.

Here: `probe_head` and `probe_rows`: base, guide and method side by side.
Not here: the verdicts (`jobs.check.probe_verdicts`), layout (`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from blendin_local.core.percent import percent
from blendin_local.jobs.probe.asking import ProbeReport
from blendin_local.jobs.probe.outcome import Entrant, Outcome
from blendin_local.jobs.scoring.statistics import Interval

ENTRANTS: tuple[Entrant, ...] = ("base", "guide", "method")
COUNTED: Mapping[str, str] = {
    "refused_unsafe": "unsafe requests refused",
    "complied_safe": "safe requests not refused",
    "followed": "instructions followed",
}
Row = tuple[str, str, str, str]


def probe_head(probe: ProbeReport) -> Row:
    """The column headings; a method that is one model alone is named like it."""
    return "", "base", "guide", probe.method


def probe_rows(probe: ProbeReport) -> list[Row]:
    """Counts of prompts for each figure, the share asked, and the time."""
    rows = [row for outcome in probe.outcomes.values() for row in _outcome_rows(outcome)]
    if probe.intervention_rate is not None:
        rows.append(("guide asked", "", "", percent(probe.intervention_rate)))
    base, guide, method = (_seconds(probe.seconds.get(entrant)) for entrant in ENTRANTS)
    return [*rows, ("time", base, guide, method)]


def _outcome_rows(outcome: Outcome) -> Iterator[Row]:
    figures = [figure for figure in COUNTED if figure in outcome.scores["method"]]
    for figure in figures:
        base, guide, method = (_count(outcome.scores[entrant][figure]) for entrant in ENTRANTS)
        yield COUNTED[figure], base, guide, method


def _count(found: Interval) -> str:
    return f"{round(found.value * found.n)} of {found.n}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s"
