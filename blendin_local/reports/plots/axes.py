"""What all plots share: scales with round ticks, a frame with axes, and the SVG element around them.

Here: `Scale`, `Frame`, `svg_plot`; `Estimate`, a number with its interval; marks.
Not here: the plots (`reports.plots.charts`). Colours and strokes are in `assets/plots.css`.
Source: ticks at 1, 2, 2.5 or 5 times a power of ten, as on printed graph paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from zlib import crc32

from markupsafe import Markup

from blendin_local.core.percent import percent
from blendin_local.reports.html import asset

CHAR_WIDTH = 6.7  # mean, pixels
N_COLOURS = 6
LEGEND_LINE = 18.0  # pixels
WIDTH, HEIGHT = 520.0, 340.0  # pixels
SMALLEST = 1e-300  # of a range; a step within it is still a number
TICKS = 6  # at most, except for ranges whose ends are ticks themselves
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels along one axis.

    Attributes:
        low: Number at `start`.
        high: Number at `end`.
        start: Pixel.
        end: Pixel; smaller than `start` on an axis that points up.
        percent: Whether numbers are shares, written as per cent.
    """

    low: float
    high: float
    start: float
    end: float
    percent: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a number; numbers out of range are moved to the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round numbers within the scale."""
        step = round_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def tick_label(self, value: float) -> str:
        """A tick's number, without trailing zeros."""
        if not self.percent:
            return f"{value:.6g}"
        digits = (d for d in range(4) if round(100 * value, d) == round(100 * value, 6))
        return percent(value, next(digits, 4))

    def number(self, value: float) -> str:
        """A measured number: two decimals below one, three significant digits above."""
        if self.percent:
            return percent(value)
        return f"{value:.2f}" if 0.005 <= abs(value) < 1 else f"{value:.3g}"

    def estimate(self, found: Estimate) -> str:
        """A measured number with its interval: `0.25 (0.20 to 0.30)`."""
        if found.low is None or found.high is None:
            return self.number(found.value)
        return f"{self.number(found.value)} ({self.number(found.low)} to {self.number(found.high)})"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step for m in (1, 2, 2.5, 5, 10) if (step := m * power) >= rough * (1 - 1e-9))


def axis_range(values: Iterable[float], *, floor: float | None = None) -> tuple[float, float]:
    """The range of an axis: round ends around all finite values; it begins at `floor` if given."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    low = low if floor is None else floor
    if high - low <= max(
        1e-9 * max(abs(low), abs(high)), SMALLEST
    ):  # equal, or too near to have ticks between
        low, high = (low, low + 1) if floor is not None else (low - 0.5, high + 0.5)
    step = round_step((high - low) / TICKS)
    bottom = low if floor is not None else math.floor(low / step + 1e-9) * step
    return bottom, math.ceil(high / step - 1e-9) * step


@dataclass(frozen=True)
class Frame:
    """The area of a plot with its two axes; `x` and `y` turn numbers into pixels."""

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
        """A frame of these ranges in a picture of this size, with room for title, legend and labels."""
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
            parts.append(text(x.start - 8, y(value) + 4, y.tick_label(value), "tick", anchor="end"))
        for value in x.ticks():
            parts.append(line(x(value), y.start, x(value), y.start + 5, "axis"))
            parts.append(text(x(value), y.start + 19, x.tick_label(value), "tick", anchor="middle"))
        parts.append(line(x.start, y.start, x.end, y.start, "axis"))
        middle = (y.start + y.end) / 2
        parts.append(text((x.start + x.end) / 2, y.start + 40, self.x_label, "label", anchor="middle"))
        rotate = f' transform="rotate(-90 16 {middle:.1f})"'
        parts.append(text(16, middle, self.y_label, "label", anchor="middle", more=rotate))
        return "".join(parts)


def svg_plot(
    title: str,
    description: Sequence[str],
    marks: Sequence[str],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    legend: Sequence[str] = (),
) -> Markup:
    """The whole picture: an SVG element for a page or a file of its own.

    This is the one place where SVG that was put together here is declared to be markup: every text in it went
    through `escape`.

    Args:
        title: Shown above the plot; also its accessible name.
        description: The numbers in words, as the text alternative.
        marks: SVG elements.
        width: Pixels; the picture shrinks with its page.
        height: Pixels, with one line of legend; further lines push the plot down.
        legend: Names of the series, in the order of their colours; left out for a single one.
    """
    drawn, described = "".join(marks), escape("; ".join(description))
    names, added_height = _legend(legend, width)
    if added_height:
        drawn, height = f'<g transform="translate(0 {added_height:g})">{drawn}</g>', height + added_height
    name = f"p{crc32((title + described + drawn).encode()):08x}"
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" aria-labelledby="{name}t {name}d">'
        f'<title id="{name}t">{escape(title)}</title><desc id="{name}d">{described}</desc>'
        f'<style>{_style()}</style><rect class="background" width="{width:g}" height="{height:g}" rx="8"/>'
        f"{text(18, 26, title, 'title')}{names}{drawn}</svg>"
    )


def _legend(names: Sequence[str], width: float) -> tuple[str, float]:
    """Names beside their colours, in as many lines as they need; the height of all lines but the first."""
    parts, left, down = [], 18.0, 0.0
    for i, name in enumerate(names if len(names) > 1 else ()):
        entry_width = 17 + len(name) * CHAR_WIDTH
        if left > 18 and left + entry_width > width:
            left, down = 18.0, down + LEGEND_LINE
        size = f'x="{left:.1f}" y="{36 + down:g}" width="11" height="11"'
        parts += [
            f'<rect class="{series_class(i)} fill" {size} rx="2"/>',
            text(left + 17, 46 + down, name, "tick", anchor="start"),
        ]
        left += entry_width + 17
    return "".join(parts), down


def _style() -> str:
    return " ".join(asset("plots.css").split())


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def text(x: float, y: float, content: str, kind: str, *, anchor: str = "start", more: str = "") -> str:
    """Escaped text of a class; `more` is a further attribute, inserted unchanged."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(content)}</text>'


def tooltip(content: str) -> str:
    """Escaped text that is shown when the pointer rests on a mark."""
    return f"<title>{escape(content)}</title>"


def truncate(content: str, max_chars: int) -> str:
    """Text cut to a length, with an ellipsis."""
    return content if len(content) <= max_chars else content[: max_chars - 1] + "…"


def series_class(s: int) -> str:
    """The class of the s-th series."""
    return f"s{s % N_COLOURS}"


def polyline(points: Sequence[Point], s: int) -> str:
    """A line through points."""
    return f'<polyline class="{series_class(s)} stroke" points="{_path(points)}"/>'


def area(points: Sequence[Point], s: int, tip: str) -> str:
    """A tinted polygon."""
    return f'<polygon class="{series_class(s)} tint" points="{_path(points)}">{tooltip(tip)}</polygon>'


def dot(x: float, y: float, s: int, tip: str, radius: float = 4.5) -> str:
    """A round mark."""
    position = f'cx="{x:g}" cy="{y:g}" r="{radius:.1f}"'
    return f'<circle class="{series_class(s)} dot" {position}>{tooltip(tip)}</circle>'


def shape(x: float, y: float, s: int, tip: str, radius: float = 4.5) -> str:
    """A mark whose form is the series', too: round, square, or a square on its tip."""
    if s % 3 == 0:
        return dot(x, y, s, tip, radius)
    turned = f' transform="rotate(45 {x:g} {y:g})"' if s % 3 == 2 else ""
    size = f'x="{x - radius * 0.9:.1f}" y="{y - radius * 0.9:.1f}" width="{radius * 1.8:.1f}" '
    return (
        f'<rect class="{series_class(s)} dot" {size}height="{radius * 1.8:.1f}"{turned}>{tooltip(tip)}</rect>'
    )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
