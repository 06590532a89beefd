"""A check on the terminal.

Here: `check_view`; the verdict comes last, next to the prompt.
Not here: the texts (`views.check_rows`), the page (`reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from blendin_local.jobs.check.report import CheckReport
from blendin_local.jobs.check.verdicts import CheckVerdict, VerdictName
from blendin_local.jobs.probe.asking import ProbeReport
from blendin_local.views.check_rows import (
    CALIBRATION_HEAD,
    NOT_PROBED,
    answer_rows,
    calibration_rows,
    model_rows,
    pair_rows,
    rank_rows,
    sentence,
    temperature_rows,
    title,
    verdict_title,
)
from blendin_local.views.inventory import fields
from blendin_local.views.probe_rows import probe_head, probe_rows

BLOCKS = " ▁▂▃▄▅▆▇█"
INDENT = (0, 0, 0, 2)
STYLES: Mapping[VerdictName, str] = {"pays": "winner", "no difference seen": "heading"}


def check_view(check: CheckReport) -> RenderableType:
    """The whole report."""
    return Group(Text(title(check), style="heading"), *_spaced(_parts(check)))


def _spaced(parts: Iterator[RenderableType]) -> Iterator[RenderableType]:
    for part in parts:
        yield Text()
        yield part


def _parts(check: CheckReport) -> Iterator[RenderableType]:
    yield _models(check)
    yield fields(pair_rows(check.description), title="pair")
    if check.answers is not None:
        yield fields(answer_rows(check.answers), title="answers")
        if check.answers.ranks is not None:
            yield fields(rank_rows(check.answers), title="where the guide was asked")
        if check.answers.alpha_mean is not None:
            yield _alpha(check.answers.alpha_counts)
    if check.calibration:
        yield _calibration(check)
        yield fields(temperature_rows(check.calibration), title="fitted temperatures")
    for remark in check.remarks:
        yield Text(sentence(remark), style="notice")
    if check.probe is not None and check.probe.outcomes:
        yield _probe(check.probe)
    for signal in check.signals:
        yield _verdict(signal, "signal: ", "notice")
    for verdict in check.verdicts:
        yield _verdict(verdict)
    if check.complete and check.answers is not None and check.probe is None:
        yield Text(NOT_PROBED, style="notice")


def _models(check: CheckReport) -> RenderableType:
    """Both files side by side."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="faint", no_wrap=True)
    rows = [dict(model_rows(model)) for model in check.description.models.values()]
    for role in check.description.models:
        table.add_column(Text(role, style="heading"), overflow="fold")
    for name in rows[0]:
        table.add_row(name, *(row[name] for row in rows))
    return table


def _alpha(counts: Sequence[int]) -> RenderableType:
    """The distribution of alpha from 0 to 1 as a row of blocks."""
    peak = max(counts) or 1
    row = "".join(BLOCKS[-(-n * (len(BLOCKS) - 1) // peak)] * 2 for n in counts)
    return Group(
        Text("alpha at asked steps", style="heading"), Text.assemble(("0 ", "faint"), row, (" 1", "faint"))
    )


def _calibration(check: CheckReport) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for i, name in enumerate(CALIBRATION_HEAD):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in calibration_rows(check.calibration):
        table.add_row(*row)
    return Group(Text("calibration on the reference text", style="heading"), table)


def _probe(probe: ProbeReport) -> RenderableType:
    """Base, guide and method side by side."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for i, name in enumerate(probe_head(probe)):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in probe_rows(probe):
        table.add_row(*row)
    cut = "" if probe.complete else " (stopped before all were answered)"
    return Group(Text(f"does guiding pay? prompts that can be scored{cut}", style="heading"), table)


def _verdict(verdict: CheckVerdict, before: str = "", style: str = "") -> RenderableType:
    style = style or STYLES.get(verdict.name, "warning")
    name = f"{before}{verdict_title(verdict)}"
    lines = [Text(name.upper(), style=style), *(Text(sentence(reason)) for reason in verdict.reasons)]
    if verdict.advice:
        lines.append(Text(sentence(verdict.advice), style="hint"))
    return Group(lines[0], Padding(Group(*lines[1:]), INDENT))
