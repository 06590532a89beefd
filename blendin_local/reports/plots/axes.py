"""What all plots share: scales with round ticks, a frame with axes, and the SVG document around it.

Here: `Scale`, `Frame`, `document`; `Estimate`, a number with its interval; small marks.
Not here: the plots (`reports.plots.charts`). Colours and strokes lie in `assets/plots.css`.
Source: ticks at 1, 2, 2.5 or 5 times a power of ten, as on printed graph paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from zlib import crc32

CHAR = 6.7  # mean width of a character, pixels
N_COLOURS = 6
LEGEND_LINE = 18.0  # pixels
WIDTH, HEIGHT = 520.0, 340.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels along one axis.

    Attributes:
        low: Number at `start`.
        high: Number at `end`.
        start: Pixel.
        end: Pixel; smaller than `start` on an axis that points up.
        percent: Whether numbers are shares, written in percent.
    """

    low: float
    high: float
    start: float
    end: float
    percent: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a number; numbers outside land on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the scale, at most so many."""
        step = round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def label(self, value: float) -> str:
        """A tick's number as people write it."""
        return f"{100 * value:.6g} %" if self.percent else f"{value:.6g}"


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step for m in (1, 2, 2.5, 5, 10) if (step := m * power) >= rough * (1 - 1e-9))


def spread(values: Iterable[float], *, floor: float | None = None) -> tuple[float, float]:
    """A range with round ends around all finite values; it begins at `floor` where that is given."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    low = low if floor is None else floor
    if high <= low:
        low, high = (low, low + 1) if floor is not None else (low - 0.5, high + 0.5)
    step = round_step((high - low) / 6)
    bottom = low if floor is not None else math.floor(low / step + 1e-9) * step
    return bottom, math.ceil(high / step - 1e-9) * step


@dataclass(frozen=True)
class Frame:
    """The area of a plot with its two axes; `x` and `y` place numbers in it."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str

    @classmethod
    def make(
        cls,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: tuple[str, str],
        *,
        width: float = WIDTH,
        height: float = HEIGHT,
        percent: tuple[bool, bool] = (False, False),
    ) -> Frame:
        """A frame of these ranges in a picture of this size; room is left for title, legend and labels."""
        return cls(
            Scale(*x, 62, width - 18, percent[0]),
            Scale(*y, height - 52, 58, percent[1]),
            *labels,
        )

    def draw(self) -> str:
        """Grid, ticks and labels."""
        x, y = self.x, self.y
        parts = []
        for value in y.ticks():
            parts.append(line(x.start, y(value), x.end, y(value), "grid"))
            parts.append(text(x.start - 8, y(value) + 4, y.label(value), "tick", anchor="end"))
        for value in x.ticks():
            parts.append(line(x(value), y.start, x(value), y.start + 5, "axis"))
            parts.append(text(x(value), y.start + 19, x.label(value), "tick", anchor="middle"))
        parts.append(line(x.start, y.start, x.end, y.start, "axis"))
        middle = (y.start + y.end) / 2
        parts.append(text((x.start + x.end) / 2, y.start + 40, self.x_label, "label", anchor="middle"))
        turned = f' transform="rotate(-90 16 {middle:.1f})"'
        parts.append(text(16, middle, self.y_label, "label", anchor="middle", more=turned))
        return "".join(parts)


def document(
    title: str,
    words: Sequence[str],
    body: Sequence[str],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    legend: Sequence[str] = (),
) -> str:
    """The whole picture: an SVG element that stands on a page or in a file of its own.

    Args:
        title: Shown above the plot, and its name for those who do not see it.
        words: What it shows, number by number: the text alternative.
        body: SVG elements.
        width: Pixels; the picture shrinks with its page.
        height: Pixels, with one line of legend; further lines push the plot down.
        legend: Names of the series, in the order of their colours; left out for a single one.
    """
    drawn, told = "".join(body), escape("; ".join(words))
    names, pushed = _legend(legend, width)
    if pushed:
        drawn, height = f'<g transform="translate(0 {pushed:g})">{drawn}</g>', height + pushed
    name = f"p{crc32((title + told + drawn).encode()):08x}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" aria-labelledby="{name}t {name}d">'
        f'<title id="{name}t">{escape(title)}</title><desc id="{name}d">{told}</desc>'
        f'<style>{_style()}</style><rect class="ground" width="{width:g}" height="{height:g}" rx="8"/>'
        f"{text(18, 26, title, 'title')}{names}{drawn}</svg>"
    )


def _legend(names: Sequence[str], width: float) -> tuple[str, float]:
    """Names beside their colours, in as many lines as they need; what the lines after the first take."""
    parts, at, down = [], 18.0, 0.0
    for i, name in enumerate(names if len(names) > 1 else ()):
        wide = 17 + len(name) * CHAR
        if at > 18 and at + wide > width:
            at, down = 18.0, down + LEGEND_LINE
        size = f'x="{at:.1f}" y="{36 + down:g}" width="11" height="11"'
        parts += [
            f'<rect class="{series_class(i)} fill" {size} rx="2"/>',
            text(at + 17, 46 + down, name, "tick", anchor="start"),
        ]
        at += wide + 17
    return "".join(parts), down


def _style() -> str:
    css = resources.files("blendin_local.reports").joinpath("assets", "plots.css").read_text(encoding="utf-8")
    return " ".join(css.split())


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def text(x: float, y: float, words: str, kind: str, *, anchor: str = "start", more: str = "") -> str:
    """Escaped text of a class."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def hint(words: str) -> str:
    """What a pointer that rests on a mark is told."""
    return f"<title>{escape(words)}</title>"


def shorten(words: str, most: int) -> str:
    """Words that fit into a place."""
    return words if len(words) <= most else words[: most - 1] + "…"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


def number(value: float, scale: Scale) -> str:
    """A measured number as people read it: shares of one with two decimals, others with three digits."""
    if scale.percent:
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if 0.005 <= abs(value) < 1 else f"{value:.3g}"


def said(found: Estimate, scale: Scale) -> str:
    """The same with its interval."""
    if found.low is None or found.high is None:
        return number(found.value, scale)
    return f"{number(found.value, scale)} ({number(found.low, scale)} to {number(found.high, scale)})"


def series_class(s: int) -> str:
    """The class of the s-th series."""
    return f"s{s % N_COLOURS}"


def polyline(points: Sequence[Point], s: int) -> str:
    """A line through points."""
    return f'<polyline class="{series_class(s)} stroke" points="{_path(points)}"/>'


def area(points: Sequence[Point], s: int, told: str = "") -> str:
    """Tinted ground within points; nothing where there are none."""
    inside = hint(told) if told else ""
    return (
        f'<polygon class="{series_class(s)} soft" points="{_path(points)}">{inside}</polygon>'
        if points
        else ""
    )


def dot(x: float, y: float, s: int, told: str, radius: float = 4.5) -> str:
    """A round mark."""
    place = f'cx="{x:g}" cy="{y:g}" r="{radius:.1f}"'
    return f'<circle class="{series_class(s)} dot" {place}>{hint(told)}</circle>'


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
