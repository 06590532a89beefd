"""The paper's tables and figures: ours are made of our cells, theirs are transcribed and marked."""

from __future__ import annotations

import numpy as np
import pytest

from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.spec.plan import EvalPlan
from blendin_local.jobs.scoring.statistics import Interval
from blendin_local.reports.paper.paper_tables import paper_tables
from blendin_local.reports.paper.published import paper_numbers

SETTINGS = {"base": {}, "nudging": {}, "blendin": {}}


def cell(pair, benchmark, variant, value, rate):
    return Cell(
        pair,
        benchmark,
        variant,
        variant,
        10,
        10,
        0,
        "accuracy",
        {"accuracy": Interval(value, value, value, 10)},
        {},
        rate,
        rate,
        5.0,
        20.0,
        {},
        {},
        {},
    )


def made(pairs, benchmarks, variants, values):
    """A plan with its cells; `values` is a function of pair, benchmark and variant to score and rate."""
    plan = EvalPlan(
        protocol={},
        pairs={
            p: {"blend": {"threshold": 0.4, "alpha": None, "agreement_bonus": 0.1, "top_k": 100}}
            for p in pairs
        },
        benchmarks={b: {"title": b.upper(), "items": 10} for b in benchmarks},
        variants=variants,
        cells=(),
    )
    cells = [cell(p, b, v, *values(p, b, v)) for p in pairs for b in benchmarks for v in variants]
    return {display.name: display for display in paper_tables(plan, cells)}


def of(method, **settings):
    return {"method": method, "settings": settings}


PLAIN = {name: of(name) for name in ("base", "nudging", "blendin")}


def test_the_papers_figure_2_agrees_with_its_table_1():
    """Transcription check: nudging minus base of table 1 is what figure 2 says of the same pairs."""
    paper = paper_numbers()
    names = {
        "Q→L": "Q-3 1.7B→L-3 8B",
        "Q→G": "Q-3 1.7B→G-3 9B",
        "G→L": "G-3 1B→L-3 8B",
        "L→G": "L-3 1B→G-3 9B",
        "L→L": "L-3 1B→8B",
        "G→G": "G-3 1B→9B",
    }
    figure = {
        row[0]: dict(zip(paper["figure2"]["columns"], row, strict=True)) for row in paper["figure2"]["rows"]
    }
    differences = [abs(row[5] - row[2] - figure[names[row[0]]][row[1]]) for row in paper["table1"]["rows"]]

    assert len(differences) == 18
    assert max(differences) < 0.0101  # both are rounded to two digits


def test_table_1_has_ours_and_theirs():
    """Our row holds our scores, gain and rate; theirs are the paper's, for benchmarks that are ours too."""
    shown = made(
        ["demo"],
        ["gsm8k", "sums"],
        PLAIN,
        lambda p, b, v: ({"base": 0.1, "nudging": 0.2, "blendin": 0.3}[v], 0.25),
    )
    table = shown["Table 1"]

    assert table.ours[0] == ("GSM8K", "demo", "0.10", "-", "-", "0.20", "0.30", "+50 %", "25.0")
    assert table.theirs[0] == ("GSM8K", "Q→L", "0.11", "0.53", "0.87", "0.27", "0.31", "+15 %", "22.2")
    assert {row[0] for row in table.theirs} == {"GSM8K"}


def test_a_display_that_no_run_fills_is_left_out():
    """Without caps, filters and sweeps there are no tables 3, 5 and 6; without a base no figure 2."""
    whole = made(["demo"], ["gsm8k"], PLAIN, lambda p, b, v: (0.1, 0.2))
    alone = made(["demo"], ["gsm8k"], {"blendin": of("blendin")}, lambda p, b, v: (0.1, 0.2))

    assert set(whole) == {"Table 1", "Table 2", "Figure 2", "Figure 3"}
    assert set(alone) == set()


def test_table_5_holds_the_pairs_own_value_too():
    """A sweep's rows are sorted by value, the pair's own setting among them under its own run."""
    variants = {
        **PLAIN,
        "blendin[top-k-blend=20]": of("blendin", **{"top-k-blend": 20}),
        "blendin[top-k-blend=1000]": of("blendin", **{"top-k-blend": 1000}),
    }
    shown = made(["demo"], ["gsm8k"], variants, lambda p, b, v: (0.5 if v == "blendin" else 0.2, 0.1))

    rows = [row for row in shown["Table 5"].ours if row[0] == "top-k-blend"]
    assert rows == [
        ("top-k-blend", "20", "demo", "0.20"),
        ("top-k-blend", "100", "demo", "0.50"),
        ("top-k-blend", "1000", "demo", "0.20"),
    ]
    assert shown["Table 5"].theirs == ()


def test_tables_3_and_6_show_caps_and_filters():
    """A capped method and the two filters stand between nudging and blendin, the paper's rows below."""
    variants = {**PLAIN, "capped": of("capped"), "agreement+competition": of("agreement+competition")}
    shown = made(
        ["demo"],
        ["gsm8k"],
        variants,
        lambda p, b, v: ({"capped": 0.4, "agreement+competition": 0.6}.get(v, 0.5), 0.3),
    )

    assert shown["Table 3"].ours == (("GSM8K", "demo", "30.0", "0.50", "0.40", "0.50"),)
    assert shown["Table 3"].theirs[0] == ("GSM8K", "Q→L", "22", "0.27", "0.25", "0.31")
    assert shown["Table 6"].ours == (("GSM8K", "demo", "0.50", "0.60", "0.50"),)
    assert shown["Table 6"].theirs[2] == ("GSM8K", "Q→L", "0.27", "0.28", "0.31")


def test_figure_3_correlates_over_pairs():
    """Pearson's r of nudging's intervention rate and score over pairs, as numpy has it; none for two."""
    rates, scores = [0.1, 0.2, 0.35, 0.3], [0.6, 0.5, 0.2, 0.4]
    pairs = ["a", "b", "c", "d"]
    shown = made(pairs, ["gsm8k"], PLAIN, lambda p, b, v: (scores[pairs.index(p)], rates[pairs.index(p)]))
    few = made(pairs[:2], ["gsm8k"], PLAIN, lambda p, b, v: (scores[pairs.index(p)], rates[pairs.index(p)]))
    [row] = shown["Figure 3"].ours

    assert row[:2] == ("GSM8K", "4")
    assert float(row[2]) == pytest.approx(np.corrcoef(rates, scores)[0, 1], abs=0.005)
    assert few["Figure 3"].ours == (("GSM8K", "2", "-", "-"),)


def test_figure_2_is_the_difference_to_the_base():
    """Each guided method's score less the base's, by pair and benchmark."""
    shown = made(
        ["demo"],
        ["gsm8k", "mmlu"],
        PLAIN,
        lambda p, b, v: ({"base": 0.3, "nudging": 0.1, "blendin": 0.4}[v], 0.2),
    )
    figure = shown["Figure 2"]

    assert figure.ours == (("demo nudging", "-0.20", "-0.20"), ("demo blendin", "+0.10", "+0.10"))
    assert figure.points["values"][1] == pytest.approx([0.1, 0.1])
    assert figure.theirs[0] == ("L-3 1B→3B", "+0.27", "-0.08")
