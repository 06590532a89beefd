"""Plots as SVG: pure functions from numbers to a picture that needs nothing else.

Here: `bars`, `histogram`, `heatmap`; from `reports.plots.curves` `reliability`, `scatter`, `lines`.
Not here: scales, marks and the document (`reports.plots.axes`), the page around them (`reports.page`).
Each picture follows the reader's choice of light or dark, says in words what it shows (`title` and `desc`),
and gives the numbers of a mark to a pointer that rests on it. All texts are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite

from blendin_local.reports.plots.axes import (
    CHAR,
    WIDTH,
    Estimate,
    Frame,
    Scale,
    area,
    document,
    hint,
    line,
    number,
    polyline,
    said,
    series_class,
    shorten,
    spread,
    text,
)
from blendin_local.reports.plots.curves import Bin, Dot, lines, reliability, scatter

__all__ = ["Bin", "Dot", "Estimate", "bars", "heatmap", "histogram", "lines", "reliability", "scatter"]

BAR, GAP = 16.0, 14.0
CELL = 34.0
LONGEST_NAME = 30


def bars(
    title: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    *,
    percent: bool = False,
    top: float | None = None,
    label: str = "",
) -> str:
    """Bars side by side with intervals: a row per group and series, lengths from 0.

    Args:
        title: Above the plot.
        groups: Names of the groups, from top to bottom.
        series: For each series a number per group; None leaves its place out.
        percent: Whether the numbers are shares.
        top: The end of the axis; the largest number by default.
        label: What is measured.
    """
    known = [e for row in series.values() for e in row if e is not None]
    reached = [v for e in known for v in (e.value, e.low, e.high) if v is not None]
    low, high = spread([*reached, 0.0], floor=None if min(reached, default=0) < 0 else 0.0)
    margin = _margin(groups)
    x = Scale(low, high if top is None else top, margin, WIDTH - 74, percent)
    step = len(series) * BAR + GAP
    foot = 62 + step * len(groups)
    body, words = [_foot_axis(x, foot, label)], []
    for g, name in enumerate(groups):
        start = 64 + g * step
        middle = start + len(series) * BAR / 2 + 4
        body.append(text(margin - 10, middle, shorten(name, LONGEST_NAME), "name", anchor="end"))
        for s, (series_name, row) in enumerate(series.items()):
            found = row[g]
            if found is not None and isfinite(found.value):
                words.append(f"{name}, {series_name}: {said(found, x)}")
                body.append(_bar(x, start + s * BAR, s, found))
    body.append(line(x(0), 56, x(0), foot, "axis"))
    return document(title, words, body, height=foot + 48, legend=list(series))


def _margin(names: Sequence[str]) -> float:
    """Room for names at the left."""
    return 28 + CHAR * min(LONGEST_NAME, max((len(name) for name in names), default=0))


def _foot_axis(x: Scale, foot: float, label: str) -> str:
    parts = [line(x(v), 56, x(v), foot, "grid") for v in x.ticks()]
    parts += [text(x(v), foot + 17, x.label(v), "tick", anchor="middle") for v in x.ticks()]
    return "".join(parts) + text((x.start + x.end) / 2, foot + 36, label, "label", anchor="middle")


def _bar(x: Scale, y: float, s: int, found: Estimate) -> str:
    left, right = sorted((x(0), x(found.value)))
    end, middle = right, y + BAR / 2
    parts = [
        f'<rect class="{series_class(s)} fill" x="{left:g}" y="{y + 2:g}" width="{right - left:.1f}" '
        f'height="{BAR - 4:g}" rx="2">{hint(said(found, x))}</rect>'
    ]
    if found.low is not None and found.high is not None:
        parts.append(line(x(found.low), middle, x(found.high), middle, "whisker"))
        parts += [line(x(v), middle - 3, x(v), middle + 3, "whisker") for v in (found.low, found.high)]
        end = max(end, x(found.high))
    return "".join(parts) + text(end + 6, middle + 4, number(found.value, x), "value")


def histogram(
    title: str,
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    labels: tuple[str, str] = ("", "count"),
    percent: tuple[bool, bool] = (False, False),
) -> str:
    """How numbers are distributed: a step line over tinted ground for each series.

    Args:
        title: Above the plot.
        edges: Where the bins begin and end, ascending; one more than bins.
        series: For each series a height per bin.
        labels: Of the axes.
        percent: Whether an axis carries shares.
    """
    heights = [height for row in series.values() for height in row]
    frame = Frame.make((edges[0], edges[-1]), spread(heights, floor=0.0), labels, percent=percent)
    x, y, body, words = frame.x, frame.y, [frame.draw()], []
    for s, (name, row) in enumerate(series.items()):
        corners = [(x(edges[0]), y.start)]
        for (left, right), height in zip(pairwise(edges), row, strict=True):
            words.append(f"{name}: {number(height, y)} from {x.label(left)} to {x.label(right)}")
            corners += [(x(left), y(height)), (x(right), y(height))]
            box = [(x(left), y.start), *corners[-2:], (x(right), y.start)]
            body.append(area(box, s, words[-1]))
        body.append(polyline([*corners, (x(edges[-1]), y.start)], s))
    return document(title, words, body, legend=list(series))


def heatmap(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    percent: bool = False,
    around_zero: bool = False,
) -> str:
    """A table of shaded cells with their numbers; the stronger, the larger. None leaves a cell empty.

    With `around_zero`, for differences: the stronger, the farther from 0; losses have a colour of their own.
    """
    known = [v for row in values for v in row if v is not None and isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    most = max(map(abs, known), default=0.0) or 1.0
    margin = _margin(rows)
    width = min(96.0, max(46.0, (WIDTH - margin - 18) / max(1, len(columns))))
    scale = Scale(0, 1, 0, 1, percent)
    body, words = [], []
    for c, name in enumerate(columns):
        middle = margin + (c + 0.5) * width
        body.append(text(middle, 58, shorten(name, int(width / CHAR)), "name", anchor="middle"))
    for r, name in enumerate(rows):
        at = 68 + r * CELL
        body.append(text(margin - 10, at + 21, shorten(name, LONGEST_NAME), "name", anchor="end"))
        for c, value in enumerate(values[r]):
            if value is not None and isfinite(value):
                words.append(f"{name}, {columns[c]}: {number(value, scale)}")
                between = (value - low) / (high - low) if high > low else 0.5
                share = abs(value) / most if around_zero else between
                kind = "cell loss" if around_zero and value < 0 else "cell"
                body.append(_cell(kind, (margin + c * width, at, width), share, number(value, scale)))
    full = max(WIDTH, margin + width * len(columns) + 18)
    return document(title, words, body, width=full, height=86 + CELL * len(rows))


def _cell(kind: str, place: tuple[float, float, float], share: float, told: str) -> str:
    left, at, width = place
    shade = 0.08 + 0.84 * share
    ink = "over" if shade > 0.62 else "under"
    box = (
        f'<rect class="{kind}" x="{left + 1:.1f}" y="{at + 1:g}" width="{width - 2:.1f}" '
        f'height="{CELL - 2:g}" rx="3" fill-opacity="{shade:.2f}"/>'
    )
    return box + text(left + width / 2, at + 21, told, f"cellnumber {ink}", anchor="middle")
