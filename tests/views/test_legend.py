"""The legend of each view shows each mark as an answer does."""

from __future__ import annotations

import pytest

from blendin_local.views.answer import PROB_BANDS, style_of, styled_step
from blendin_local.views.legend import legend
from tests.answers import asked_step, base_step, rendered


def styles(text):
    return {str(span.style) for span in text.spans}


def test_the_source_view_explains_changed_kept_and_plain():
    """Each word has the style of a step of its kind."""
    shown = legend("source")
    assert shown.plain == "changed by the guide · kept though the guide was asked · plain: not asked"
    for source in ("changed", "kept"):
        assert style_of(asked_step(0, source=source)) in styles(shown)


def test_the_view_prob_explains_every_band():
    """Every style of the view is shown, with the probability where it begins."""
    shown = legend("prob")
    assert "80 % or more · from 40 % · from 10 % · below 10 %" in shown.plain
    assert set(PROB_BANDS) <= styles(shown)
    for p in (0.9, 0.5, 0.2, 0.05):
        assert style_of(base_step(0, b"x", p), "prob") in styles(shown)


@pytest.mark.parametrize("view", ["source", "prob"])
def test_ascii_marks_are_explained_by_themselves(view):
    """Where marks are characters, the legend has the same ones and no style."""
    shown = legend(view, "ascii")
    steps = [asked_step(0, b"x", source) for source in ("changed", "kept")]
    steps = steps if view == "source" else [base_step(0, b"x", p) for p in (0.5, 0.2, 0.05)]
    for step in steps:
        opening, closing = styled_step(step, "x", view, "ascii").plain.split("x")
        assert f"{opening}{''}" in shown.plain
        assert closing in shown.plain
    assert styles(shown) <= {"none"}


def test_without_marks_the_legend_says_how_to_get_them():
    """A dumb terminal shows none; `/set marks on` does."""
    assert "/set marks on" in legend("source", "none").plain


@pytest.mark.parametrize("view", ["source", "prob", "plain"])
@pytest.mark.parametrize("marks", ["styles", "ascii", "none"])
def test_a_legend_fits_forty_columns(view, marks):
    """No line is wider, and no item of the marks is broken."""
    lines = rendered(legend(view, marks, 40), 40).splitlines()
    assert max(map(len, lines)) <= 40
    if marks == "styles" and view == "source":
        assert "kept though the guide was asked" in lines
