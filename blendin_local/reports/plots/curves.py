"""Plots of one number against another.

Here: `reliability`, `scatter`, `lines`. Users find them in `reports.plots.charts`, with the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from blendin_local.reports.plots.axes import (
    Estimate,
    Frame,
    area,
    document,
    dot,
    line,
    number,
    polyline,
    said,
    spread,
)

SQUARE = 400.0
Labels = tuple[str, str]


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, share that was right, how many."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Dot:
    """A point of a scatter plot; its name is shown to a pointer."""

    x: float
    y: float
    name: str = ""


def reliability(title: str, series: Mapping[str, Sequence[Bin]]) -> str:
    """Confidence against the share that was right; on the diagonal both agree.

    A dot's area grows with the number of places in its bin. Below the diagonal a model is too sure of itself.
    """
    labels = "confidence (mean of the bin)", "share that was right"
    frame = Frame.make((0, 1), (0, 1), labels, width=SQUARE, height=SQUARE, percent=(True, True))
    x, y = frame.x, frame.y
    body = [frame.draw(), line(x(0), y(0), x(1), y(1), "guideline")]
    words = []
    for s, (name, bins) in enumerate(series.items()):
        filled = [b for b in bins if b.count]
        total = sum(b.count for b in filled)
        body.append(polyline([(x(b.confidence), y(b.accuracy)) for b in filled], s))
        for b in filled:
            words.append(f"{name}: {b.confidence:.0%} sure, {b.accuracy:.0%} right, {b.count} places")
            body.append(dot(x(b.confidence), y(b.accuracy), s, words[-1], 3 + 12 * sqrt(b.count / total)))
    return document(title, words, body, width=SQUARE, height=SQUARE, legend=list(series))


def scatter(
    title: str,
    series: Mapping[str, Sequence[Dot]],
    *,
    labels: Labels,
    percent: tuple[bool, bool] = (False, False),
    trend: tuple[float, float] | None = None,
) -> str:
    """Points, and the line y = slope * x + intercept where `trend` = (slope, intercept) is given."""
    points = [point for row in series.values() for point in row]
    x_range, y_range = spread([point.x for point in points]), spread([point.y for point in points])
    frame = Frame.make(x_range, y_range, labels, percent=percent)
    x, y, body = frame.x, frame.y, [frame.draw()]
    words = [f"{len(points)} points"]
    for label, scale, values in (
        (labels[0], x, [p.x for p in points]),
        (labels[1], y, [p.y for p in points]),
    ):
        if values:
            words.append(f"{label} from {number(min(values), scale)} to {number(max(values), scale)}")
    if trend is not None:
        slope, intercept = trend
        words.append(f"line: {slope:.3g} times x plus {intercept:.3g}")
        for a, b in _within(frame, slope, intercept):
            body.append(line(x(a), y(slope * a + intercept), x(b), y(slope * b + intercept), "guideline"))
    for s, row in enumerate(series.values()):
        for point in row:
            name = f"{point.name}: " if point.name else ""
            told = f"{name}{number(point.x, x)}, {number(point.y, y)}"
            body.append(dot(x(point.x), y(point.y), s, told))
    return document(title, words, body, legend=list(series))


def _within(frame: Frame, slope: float, intercept: float) -> list[tuple[float, float]]:
    """The stretch of x on which a line is inside the frame; none where it never is."""
    low, high = frame.x.low, frame.x.high
    if slope:
        ends = sorted((bound - intercept) / slope for bound in (frame.y.low, frame.y.high))
        low, high = max(low, ends[0]), min(high, ends[1])
    return [(low, high)] if low < high else []


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, Estimate]]],
    *,
    labels: Labels,
    percent: tuple[bool, bool] = (False, False),
    mark: float | None = None,
    floor: float | None = None,
) -> str:
    """Courses over x with their intervals as bands, for sweeps of a setting.

    Args:
        title: Above the plot.
        series: For each series points (x, estimate), in the order of x.
        labels: Of the axes.
        percent: Whether an axis carries shares.
        mark: An x to point out by a dashed line.
        floor: Where y begins; near the smallest number by default.
    """
    points = [point for row in series.values() for point in row]
    reached = [v for _, e in points for v in (e.value, e.low, e.high) if v is not None]
    x_range, y_range = spread([at for at, _ in points]), spread(reached, floor=floor)
    frame = Frame.make(x_range, y_range, labels, percent=percent)
    x, y, body, words = frame.x, frame.y, [frame.draw()], []
    if mark is not None:
        body.append(line(x(mark), y.start, x(mark), y.end, "guideline"))
    for s, (name, row) in enumerate(series.items()):
        band = [(x(at), y(e.low), y(e.high)) for at, e in row if e.low is not None and e.high is not None]
        body.append(
            area([(px, top) for px, _, top in band] + [(px, low) for px, low, _ in reversed(band)], s)
        )
        body.append(polyline([(x(at), y(e.value)) for at, e in row], s))
        for at, e in row:
            words.append(f"{name}: {said(e, y)} at {x.label(at)}")
            body.append(dot(x(at), y(e.value), s, words[-1], 3.5))
    return document(title, words, body, legend=list(series))
