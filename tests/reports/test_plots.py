"""Plots are well-formed, say their numbers in words, and never let a text become markup."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from blendin_local.reports.html import render
from blendin_local.reports.page import Section, details, page, paragraph, preformatted, table, verdict
from blendin_local.reports.plots.axes import CHAR_WIDTH, LEGEND_LINE, Scale, axis_range, round_step
from blendin_local.reports.plots.charts import (
    Bin,
    Dot,
    Estimate,
    bars,
    heatmap,
    histogram,
    intervals,
    reliability,
    scatter,
)

HOSTILE = '<script>alert("&")</script>'
SVG = "{http://www.w3.org/2000/svg}"

PICTURES = {
    "bars": lambda name: bars(name, [name, "b"], {name: [Estimate(0.25, 0.2, 0.3), None]}, percent=True),
    "intervals": lambda name: intervals(
        name, [name, "b"], {name: {name: [Estimate(0.25, 0.2, 0.3), None], "c": [None, Estimate(0.5)]}}
    ),
    "histogram": lambda name: histogram(name, [0, 0.5, 1], {name: [3, 0]}),
    "reliability": lambda name: reliability(name, {name: [Bin(0.25, 0.5, 7), Bin(0.9, 0.8, 0)]}),
    "scatter": lambda name: scatter(
        name, {name: [Dot(0, 1, name), Dot(1, 25)]}, labels=(name, "y"), trend=(9, 2)
    ),
    "heatmap": lambda name: heatmap(name, [name], ["a", "b"], [[0.25, None]], percent=True),
}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_well_formed_and_speaks(draw):
    """It is one SVG element with a title, its numbers in words, and no text that became an element."""
    picture = ElementTree.fromstring(draw(HOSTILE))

    title, words = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
    assert title.text == HOSTILE
    assert re.search(r"25|7 tokens|3 from", words.text)
    assert picture.get("aria-labelledby").split() == [title.get("id"), words.get("id")]
    assert picture.findall(f".//{SVG}script") == []
    assert "nan" not in draw("a")


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_marks_lie_inside_the_picture(draw):
    """No coordinate is outside the drawing."""
    picture = ElementTree.fromstring(draw("plain"))
    width, height = (float(v) for v in picture.get("viewBox").split()[2:])
    for element in picture.iter():
        for name, bound in (("x", width), ("x1", width), ("cx", width), ("y", height), ("cy", height)):
            if element.get(name):
                assert 0 <= float(element.get(name)) <= bound


def test_a_long_legend_goes_on_in_the_next_line():
    """Names of many series stay inside the picture, and the plot makes room below them."""
    names = [f"blendin[threshold=0.{i}]" for i in range(6)]
    drawn = [bars("b", ["x"], {name: [Estimate(1)] for name in many}) for many in (["a"], names)]
    few, many = (ElementTree.fromstring(picture) for picture in drawn)
    places = [(float(e.get("x")), float(e.get("y"))) for e in many.findall(f"{SVG}text") if e.text in names]
    pushed = float(re.findall(r"translate\(0 (\d+)\)", drawn[1])[0])

    assert len(places) == len(set(places)) == len(names)
    assert max(x for x, _ in places) + CHAR_WIDTH * len(names[0]) <= float(many.get("width"))
    assert len({y for _, y in places}) == 1 + pushed / LEGEND_LINE > 1
    assert float(many.get("height")) > float(few.get("height")) + pushed
    assert "translate" not in drawn[0]


def test_pictures_of_different_numbers_have_different_names():
    """Two plots on one page do not share the ids of their text alternatives."""
    names = re.findall(r'<title id="(\w+)"', "".join(draw("same") for draw in PICTURES.values()))

    assert len(set(names)) == len(PICTURES)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.2, "0.20"), (0.5222, "0.52"), (-0.1, "-0.10"), (0.0012, "0.0012"), (12.34, "12.3")],
)
def test_numbers_below_one_have_two_decimals(value, shown):
    """Scores stand below each other with as many digits each."""
    assert Scale(0.0, 1.0, 0.0, 100.0).number(value) == shown


def test_a_longer_bar_is_a_larger_number():
    """Lengths are proportional to the numbers, from zero."""
    picture = ElementTree.fromstring(bars("b", ["x", "y"], {"s": [Estimate(1), Estimate(3)]}))
    widths = [float(r.get("width")) for r in picture.iter(f"{SVG}rect") if "fill" in r.get("class").split()]

    assert widths[1] == pytest.approx(3 * widths[0], abs=0.2)


numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1, max_size=20))
def test_a_range_holds_its_numbers_and_has_a_few_round_ticks(values):
    """Every number is inside, and two to eight multiples of a round step are marked."""
    low, high = axis_range(values)
    ticks = Scale(low, high, 0, 100).ticks()

    margin = 1e-6 * (high - low)
    assert all(low - margin <= value <= high + margin for value in values)
    assert 2 <= len(ticks) <= 8
    step = round_step((high - low) / 6)
    assert all(abs(tick / step - round(tick / step)) < 1e-3 for tick in ticks)


@given(numbers, numbers)
def test_a_scale_keeps_order(a, b):
    """The larger number is never on the lower pixel."""
    scale = Scale(-1e6, 1e6, 0, 500)

    assert (scale(a) <= scale(b)) or a > b


def test_a_page_is_self_contained_and_escaped():
    """A policy forbids the network; every text that is given stays text."""
    blocks = [
        paragraph(HOSTILE, "warning"),
        table([HOSTILE], [[HOSTILE, "12 %"]], caption=HOSTILE),
        details(HOSTILE, [preformatted(HOSTILE)]),
        PICTURES["bars"](HOSTILE),
    ]
    text = page(HOSTILE, [Section(HOSTILE, HOSTILE, blocks)], subtitle=HOSTILE)

    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert 'class="number">12 %' in text


def test_a_block_that_no_template_made_is_text():
    """Only templates and plots put markup on a page: a plain string among the blocks is escaped."""
    text = page("t", [Section("", blocks=["<svg onload='x'>", details("d", ["<b>"])])])

    assert "<svg" not in text
    assert "<b>" not in text
    assert "&lt;svg" in text


def test_a_verdict_has_a_line_for_each_reason():
    """Name, reasons and advice are text, each in its own place."""
    html = verdict("good", "Healthy", ["One.", HOSTILE], HOSTILE)
    shown = ElementTree.fromstring(html.replace("<br>", Markup("<br/>")))

    assert shown.get("class") == "good"
    assert [shown.find("strong").text, *(line.tail for line in shown.findall("br"))] == [
        "Healthy",
        "One.",
        HOSTILE,
        None,
    ]
    assert shown.find("em").text == HOSTILE


def test_a_template_that_lacks_a_value_is_an_error():
    """A forgotten value never leaves an empty place on a page."""
    with pytest.raises(UndefinedError, match="subtitle"):
        render("report.html", title="t", sections=[])


def test_differences_are_shaded_by_their_distance_from_zero():
    """Around zero a loss is as strong as a gain of the same size, and has a colour of its own."""
    picture = heatmap("x", ["r"], ["a", "b", "c"], [[-0.5, 0.0, 0.5]], around_zero=True)

    found = re.findall(r'<rect class="(cell[^"]*)"[^>]*fill-opacity="([^"]+)"', picture)
    assert found == [("cell loss", "0.92"), ("cell", "0.08"), ("cell", "0.92")]
