"""Plots as SVG: pure functions from numbers to a picture that needs nothing else.

Here: `bars`, `intervals`, `histogram`, `heatmap`, `reliability` and `scatter`.
Not here: scales, marks and the SVG element (`reports.plots.axes`), the page around them (`reports.page`).
Each picture follows the reader's choice of light or dark, gives its numbers in words for screen readers
(`title` and `desc`), and shows the number of a mark on hover. All texts are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt

from markupsafe import Markup

from blendin_local.core.percent import percent
from blendin_local.reports.plots.axes import (
    CHAR_WIDTH,
    WIDTH,
    Estimate,
    Frame,
    Scale,
    area,
    axis_range,
    dot,
    line,
    polyline,
    series_class,
    shape,
    svg_plot,
    text,
    tooltip,
    truncate,
)

__all__ = ["Bin", "Dot", "Estimate", "bars", "heatmap", "histogram", "intervals", "reliability", "scatter"]

BAR, GAP = 16.0, 14.0  # heights, pixels
CELL = 34.0
SQUARE = 400.0
POINT = 11.0  # height of a point with its interval, pixels
PANEL = 200.0  # width of a panel, pixels
MAX_NAME = 30  # characters
Labels = tuple[str, str]


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, share that was right, number of tokens."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Dot:
    """A point of a scatter plot; its name is shown on hover."""

    x: float
    y: float
    name: str = ""


def bars(
    title: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    *,
    percent: bool = False,
    top: float | None = None,
    label: str = "",
) -> Markup:
    """Bars side by side with intervals: a row per group and series, lengths from 0.

    Args:
        title: Above the plot.
        groups: Names of the groups, from top to bottom.
        series: For each series a number per group; None leaves a gap.
        percent: Whether the numbers are shares.
        top: The end of the axis; the largest number by default.
        label: What is measured.
    """
    known = [e for row in series.values() for e in row if e is not None]
    values = [v for e in known for v in (e.value, e.low, e.high) if v is not None]
    low, high = axis_range([*values, 0.0], floor=None if min(values, default=0) < 0 else 0.0)
    margin = _margin(groups)
    x = Scale(low, high if top is None else top, margin, WIDTH - 74, percent)
    step = len(series) * BAR + GAP
    foot = 62 + step * len(groups)
    marks, description = [_foot_axis(x, foot, label)], []
    for g, name in enumerate(groups):
        start = 64 + g * step
        middle = start + len(series) * BAR / 2 + 4
        marks.append(text(margin - 10, middle, truncate(name, MAX_NAME), "name", anchor="end"))
        for s, (series_name, row) in enumerate(series.items()):
            found = row[g]
            if found is not None and isfinite(found.value):
                description.append(f"{name}, {series_name}: {x.estimate(found)}")
                marks.append(_bar(x, start + s * BAR, s, found))
    marks.append(line(x(0), 56, x(0), foot, "axis"))
    return svg_plot(title, description, marks, height=foot + 48, legend=list(series))


def _margin(names: Sequence[str]) -> float:
    """Room for names at the left."""
    return 28 + CHAR_WIDTH * min(MAX_NAME, max((len(name) for name in names), default=0))


def _foot_axis(x: Scale, foot: float, label: str) -> str:
    parts = [line(x(v), 56, x(v), foot, "grid") for v in x.ticks()]
    parts += [text(x(v), foot + 17, x.tick_label(v), "tick", anchor="middle") for v in x.ticks()]
    return "".join(parts) + text((x.start + x.end) / 2, foot + 36, label, "label", anchor="middle")


def _bar(x: Scale, y: float, s: int, found: Estimate) -> str:
    left, right = sorted((x(0), x(found.value)))
    end, middle = right, y + BAR / 2
    parts = [
        f'<rect class="{series_class(s)} fill" x="{left:g}" y="{y + 2:g}" width="{right - left:.1f}" '
        f'height="{BAR - 4:g}" rx="2">{tooltip(x.estimate(found))}</rect>'
    ]
    if found.low is not None and found.high is not None:
        parts.append(line(x(found.low), middle, x(found.high), middle, "whisker"))
        parts += [line(x(v), middle - 3, x(v), middle + 3, "whisker") for v in (found.low, found.high)]
        end = max(end, x(found.high))
    return "".join(parts) + text(end + 6, middle + 4, x.number(found.value), "value")


def intervals(
    title: str,
    rows: Sequence[str],
    panels: Mapping[str, Mapping[str, Sequence[Estimate | None]]],
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Markup:
    """Points with their intervals: a panel for each thing measured, side by side, over the same rows.

    Args:
        title: Above the plot.
        rows: Names of the rows, from top to bottom.
        panels: For each panel, for each series a number per row; None leaves a gap. Every panel has the same
            series.
        ranges: The ends of a panel's axis; around its numbers by default.
    """
    names = list(next(iter(panels.values()), {}))
    margin, step = _margin(rows) + GAP, len(names) * POINT + GAP
    foot = 84 + step * len(rows)
    marks, description = [], []
    for r, name in enumerate(rows):
        middle = 80 + r * step + len(names) * POINT / 2
        marks.append(text(margin - 10, middle + 4, truncate(name, MAX_NAME), "name", anchor="end"))
    for p, (panel, series) in enumerate(panels.items()):
        start = margin + p * PANEL
        found = [each for row in series.values() for each in row if each is not None]
        ends = (ranges or {}).get(panel) or axis_range(
            [v for each in found for v in (each.value, each.low, each.high) if v is not None]
        )
        x = Scale(*ends, start + 8, start + PANEL - 18)
        marks += [text((x.start + x.end) / 2, 72, panel, "name", anchor="middle"), _panel_axis(x, foot)]
        for s, (series_name, row) in enumerate(series.items()):
            for r, each in enumerate(row):
                if each is not None:
                    words = f"{panel}, {rows[r]}, {series_name}: {x.estimate(each)}"
                    description.append(words)
                    marks.append(_point(x, 80 + r * step + (s + 0.5) * POINT, s, each, words))
    width = max(WIDTH, margin + PANEL * len(panels))
    return svg_plot(title, description, marks, width=width, height=foot + 30, legend=names)


def _panel_axis(x: Scale, foot: float) -> str:
    """Grid and numbers of a panel, no more than fit."""
    ticks = x.ticks()[:: 1 + (len(x.ticks()) > 5)]
    parts = [line(x(v), 78, x(v), foot, "grid") for v in ticks]
    parts += [text(x(v), foot + 17, x.tick_label(v), "tick", anchor="middle") for v in ticks]
    return "".join(parts)


def _point(x: Scale, y: float, s: int, found: Estimate, words: str) -> str:
    kind = f"{series_class(s)} reach"
    reach = "" if found.low is None or found.high is None else line(x(found.low), y, x(found.high), y, kind)
    return reach + shape(x(found.value), y, s, words, 4)


def histogram(
    title: str,
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    labels: tuple[str, str] = ("", "count"),
    percent: tuple[bool, bool] = (False, False),
) -> Markup:
    """How numbers are distributed: a step line over a tinted area for each series.

    Args:
        title: Above the plot.
        edges: The edges of the bins, ascending; one more than there are bins.
        series: For each series a height per bin.
        labels: Of the axes.
        percent: Whether an axis shows shares.
    """
    heights = [height for row in series.values() for height in row]
    frame = Frame.make((edges[0], edges[-1]), axis_range(heights, floor=0.0), labels, percent=percent)
    x, y, marks, description = frame.x, frame.y, [frame.draw()], []
    for s, (name, row) in enumerate(series.items()):
        corners = [(x(edges[0]), y.start)]
        for (left, right), height in zip(pairwise(edges), row, strict=True):
            description.append(
                f"{name}: {y.number(height)} from {x.tick_label(left)} to {x.tick_label(right)}"
            )
            corners += [(x(left), y(height)), (x(right), y(height))]
            box = [(x(left), y.start), *corners[-2:], (x(right), y.start)]
            marks.append(area(box, s, description[-1]))
        marks.append(polyline([*corners, (x(edges[-1]), y.start)], s))
    return svg_plot(title, description, marks, legend=list(series))


def heatmap(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    percent: bool = False,
    around_zero: bool = False,
) -> Markup:
    """A table of cells with their numbers, the larger the darker. None leaves a cell empty.

    With `around_zero`, for differences: the farther from 0 the darker, and negative numbers have a colour of
    their own.
    """
    known = [v for row in values for v in row if v is not None and isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    largest = max(map(abs, known), default=0.0) or 1.0
    margin = _margin(rows)
    width = min(96.0, max(46.0, (WIDTH - margin - 18) / max(1, len(columns))))
    scale = Scale(0, 1, 0, 1, percent)
    marks, description = [], []
    for c, name in enumerate(columns):
        middle = margin + (c + 0.5) * width
        marks.append(text(middle, 58, truncate(name, int(width / CHAR_WIDTH)), "name", anchor="middle"))
    for r, name in enumerate(rows):
        top = 68 + r * CELL
        marks.append(text(margin - 10, top + 21, truncate(name, MAX_NAME), "name", anchor="end"))
        for c, value in enumerate(values[r]):
            if value is not None and isfinite(value):
                description.append(f"{name}, {columns[c]}: {scale.number(value)}")
                between = (value - low) / (high - low) if high > low else 0.5
                share = abs(value) / largest if around_zero else between
                kind = "cell loss" if around_zero and value < 0 else "cell"
                marks.append(_cell(kind, (margin + c * width, top, width), share, scale.number(value)))
    full = max(WIDTH, margin + width * len(columns) + 18)
    return svg_plot(title, description, marks, width=full, height=86 + CELL * len(rows))


def _cell(kind: str, box: tuple[float, float, float], share: float, number: str) -> str:
    left, top, width = box
    shade = 0.08 + 0.84 * share
    contrast = "on-dark" if shade > 0.62 else "on-light"
    rect = (
        f'<rect class="{kind}" x="{left + 1:.1f}" y="{top + 1:g}" width="{width - 2:.1f}" '
        f'height="{CELL - 2:g}" rx="3" fill-opacity="{shade:.2f}"/>'
    )
    return rect + text(left + width / 2, top + 21, number, f"cell-number {contrast}", anchor="middle")


def reliability(title: str, series: Mapping[str, Sequence[Bin]]) -> Markup:
    """A reliability diagram: accuracy against confidence; on the diagonal both are equal.

    The more tokens a bin holds, the larger its dot. Below the diagonal a model is overconfident.
    """
    labels = "confidence (mean of the bin)", "accuracy"
    frame = Frame.make((0, 1), (0, 1), labels, width=SQUARE, height=SQUARE, percent=(True, True))
    x, y = frame.x, frame.y
    marks = [frame.draw(), line(x(0), y(0), x(1), y(1), "guideline")]
    description = []
    for s, (name, bins) in enumerate(series.items()):
        filled = [b for b in bins if b.count]
        total = sum(b.count for b in filled)
        marks.append(polyline([(x(b.confidence), y(b.accuracy)) for b in filled], s))
        for b in filled:
            found = f"confidence {percent(b.confidence)}, accuracy {percent(b.accuracy)}"
            description.append(f"{name}: {found}, {b.count} tokens")
            marks.append(
                dot(x(b.confidence), y(b.accuracy), s, description[-1], 3 + 12 * sqrt(b.count / total))
            )
    return svg_plot(title, description, marks, width=SQUARE, height=SQUARE, legend=list(series))


def scatter(
    title: str,
    series: Mapping[str, Sequence[Dot]],
    *,
    labels: Labels,
    percent: tuple[bool, bool] = (False, False),
    trend: tuple[float, float] | None = None,
) -> Markup:
    """Points, and the line y = slope * x + intercept where `trend` = (slope, intercept) is given."""
    points = [point for row in series.values() for point in row]
    x_range, y_range = axis_range([point.x for point in points]), axis_range([point.y for point in points])
    frame = Frame.make(x_range, y_range, labels, percent=percent)
    x, y, marks = frame.x, frame.y, [frame.draw()]
    description = [f"{len(points)} points"]
    for label, scale, values in (
        (labels[0], x, [p.x for p in points]),
        (labels[1], y, [p.y for p in points]),
    ):
        if values:
            description.append(f"{label} from {scale.number(min(values))} to {scale.number(max(values))}")
    if trend is not None:
        slope, intercept = trend
        description.append(f"line: {slope:.3g} times x plus {intercept:.3g}")
        for a, b in _within(frame, slope, intercept):
            marks.append(line(x(a), y(slope * a + intercept), x(b), y(slope * b + intercept), "guideline"))
    for s, row in enumerate(series.values()):
        for point in row:
            name = f"{point.name}: " if point.name else ""
            tip = f"{name}{x.number(point.x)}, {y.number(point.y)}"
            marks.append(dot(x(point.x), y(point.y), s, tip))
    return svg_plot(title, description, marks, legend=list(series))


def _within(frame: Frame, slope: float, intercept: float) -> list[tuple[float, float]]:
    """The range of x on which a line is inside the frame; empty if it never is."""
    low, high = frame.x.low, frame.x.high
    if slope:
        ends = sorted((bound - intercept) / slope for bound in (frame.y.low, frame.y.high))
        low, high = max(low, ends[0]), min(high, ends[1])
    return [(low, high)] if low < high else []
