"""The trials of `blendin tune` as a table, and a conclusion in one sentence.

Here: pure functions from `TuneReport` to rich renderables.
Not here: the verdict (`jobs.tune.report`).
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.jobs.tune.report import TuneReport, interval_text
from blendin_local.jobs.tune.trials import Trial
from blendin_local.views.answer import counted


def tune_view(report: TuneReport) -> RenderableType:
    """Every trial in order, the one to use marked, and the conclusion."""
    head = f"{report.asked_on}, {report.benchmark.main_figure}"
    parts: list[RenderableType] = [Text(head, style="heading")]
    parts += [_table(report), Text(), Text(report.summary)]
    if failed := max(trial.failed for trial in report.trials):
        parts.append(
            Text(
                f"{counted(failed, 'question')} without an answer, scored as an empty answer.",
                style="warning",
            )
        )
    parts += [Text(report.caution, style="notice")] if report.caution else []
    parts += [Text(note, style="hint") for note in report.notes]
    return Group(*parts)


def _table(report: TuneReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 0), show_edge=False)
    versus = "vs base" if report.of_steering else "vs default"
    rates = _rates(report, report.default)
    for name in (*report.default.setting.values, "score (95 %)", versus, "vs best", *rates):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in report.trials:
        table.add_row(*_cells(report, trial), style="winner" if _is_advised(report, trial) else "")
    return table


def _is_advised(report: TuneReport, trial: Trial) -> bool:
    """Whether the conclusion says to use this trial's settings, which need not be those that scored best."""
    return report.finished and trial is report.chosen


def _cells(report: TuneReport, trial: Trial) -> tuple[str, ...]:
    score = trial.score
    first, *others = trial.setting.cells
    mark = "▸" if _is_advised(report, trial) else ""
    return (
        f"{mark}{first}",
        *others,
        f"{score.value:.2f} ({score.low:.2f} {score.high:.2f})",
        "" if trial is report.default else interval_text(report.difference(trial, report.default)),
        "best" if trial is report.best else f"{report.difference(trial, report.best).value:+.2f}",
        *_rates(report, trial).values(),
    )


def _rates(report: TuneReport, trial: Trial) -> dict[str, str]:
    """How often something was done to the base's answers, by the heading of its column."""
    if report.of_steering:
        return {"gate open": "" if trial.gate_open is None else percent(trial.gate_open)}
    counts = trial.counts
    return {"asked": percent(counts.intervention_rate), "changed": percent(counts.changed_rate)}
