"""The trials of `blendin tune` as a table, and a conclusion in one sentence.

Here: pure functions from `TuneReport` to rich renderables.
Not here: the verdict (`jobs.tune.verdict`).
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.jobs.evaluation.score.statistics import PairedDifference
from blendin_local.jobs.tune.trials import Trial
from blendin_local.jobs.tune.verdict import TuneReport
from blendin_local.views.answer import counted, percent


def tune_view(report: TuneReport) -> RenderableType:
    """Every trial in order, the best marked, and the conclusion."""
    asked_on = f"{report.benchmark.title}: {counted(len(report.default.verdicts), 'question')}"
    parts: list[RenderableType] = [Text(f"{asked_on}, {report.benchmark.main_figure}", style="heading")]
    parts += [_table(report), Text(), Text(conclusion(report))]
    if failed := max(trial.failed for trial in report.trials):
        parts.append(
            Text(
                f"{counted(failed, 'question')} without an answer, scored as an empty answer.",
                style="warning",
            )
        )
    parts += [Text(note, style="hint") for note in report.notes]
    return Group(*parts)


def conclusion(report: TuneReport) -> str:
    """What the trials show, and which setting to use."""
    if not report.finished:
        return f"Not finished: {counted(len(report.trials), 'trial')} so far."
    use = f"Use {named(report.chosen)}"
    if report.target_rate is not None:
        reached, wanted = percent(report.chosen.intervention_rate), percent(report.target_rate)
        use += f": it asked the guide at {reached} of the steps; the target is {wanted}"
    return f"{_why(report)} {use}."


def _why(report: TuneReport) -> str:
    if report.conclusion == "default is best":
        return "No setting scored higher than the defaults."
    gain = f"{named(report.best)} scored {_difference(report.over_default)} relative to the defaults"
    comparisons = counted(len(report.trials) - 1, "comparison")
    p_values = f"p {_p(report.over_default.p)}; {_p(report.corrected_p)} corrected for {comparisons}"
    if report.conclusion == "within noise":
        return f"Within noise: {gain} ({p_values}), which may be chance. The defaults are kept."
    return f"Better than the defaults: {gain} ({p_values})."


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def named(trial: Trial) -> str:
    """`threshold 0.4, alpha auto`."""
    return f"threshold {trial.blend.threshold:g}, alpha {trial.blend.alpha_name}"


def _table(report: TuneReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 0), show_edge=False)
    for name in ("threshold", "alpha", "score (95 %)", "vs default", "vs best", "asked", "changed"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in report.trials:
        table.add_row(*_cells(report, trial), style="winner" if trial is report.best else "")
    return table


def _cells(report: TuneReport, trial: Trial) -> tuple[str, ...]:
    counts, score = trial.counts, trial.score
    mark = "▸" if trial is report.best else ""
    return (
        f"{mark}{trial.blend.threshold:g}",
        str(trial.blend.alpha_name),
        f"{score.value:.2f} ({score.low:.2f} {score.high:.2f})",
        "" if trial is report.default else _difference(report.difference(trial, report.default)),
        "" if trial is report.best else f"{report.difference(trial, report.best).value:+.2f}",
        percent(counts.intervention_rate),
        percent(counts.changed_rate),
    )


def _difference(difference: PairedDifference) -> str:
    return f"{difference.value:+.2f} ({difference.low:+.2f} {difference.high:+.2f})"
