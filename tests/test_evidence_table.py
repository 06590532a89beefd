"""The tables and the picture of docs/evidence.md and docs/methods.md: they are what the data give."""

from __future__ import annotations

import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from blendin_local.jobs.evaluation.run.answers import KeptAnswer
from blendin_local.jobs.evaluation.score.scored import KeptCell
from blendin_local.jobs.evaluation.spec.variants import TEMPERATURE
from blendin_local.jobs.scoring.items import Verdict
from tests.paths import ROOT

MODELS = {"base": {"weights": 1000}, "guide": {"weights": 600}}


@pytest.fixture
def modules():
    """`evidence_data` and `evidence_table`."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import evidence_data
        import evidence_table

        yield evidence_data, evidence_table
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def made(data, right, pair="p", benchmark="gsm8k"):
    """A pair whose methods are right on these questions of forty; of 10 steps 2 are asked."""
    runs = []
    for method, numbers in right.items():
        asked = 0 if method in {"base", "guide"} else 2
        answers = {str(i): KeptAnswer(f"answer {i}", "base_end", 10, asked, 1) for i in range(40)}
        verdicts = {str(i): Verdict({"accuracy": float(i in numbers)}, None) for i in range(40)}
        seconds = 4.0 if method == "base" else 10.0
        evaluated = {"base": 400 * (method != "guide"), "guide": 300 * (method != "base")}
        cell = KeptCell(answers, verdicts, {})
        runs.append(data.Run(benchmark, benchmark, method, method, method, {}, 200, seconds, evaluated, cell))
    return data.PairData(pair, {"models": MODELS}, tuple(runs))


def rows_of(modules, **right):
    data, table = modules
    pair = made(data, {"base": range(10), "guide": range(5, 15), **right})
    return {row.method: row for row in table.table_rows([pair])}


def test_a_method_that_is_clearly_above_both(modules):
    """Ten more right than either, and none fewer; it stays so after Holm's correction for one comparison."""
    _, table = modules
    row = rows_of(modules, blendin=range(25))["blendin"]

    assert {name: found.clear for name, found in row.against.items()} == {"base": True, "guide": True}
    assert row.against["base"].difference.value == pytest.approx(15 / 40)
    assert table.beats(row) == "**above both** †"
    assert row.asked == pytest.approx(0.2)
    assert row.work == pytest.approx(1 + 0.6 * 300 / 400)
    assert row.time == pytest.approx(2.5)


def test_many_comparisons_take_the_dagger_away(modules):
    """The same difference among hundreds of others is no longer beyond doubt."""
    data, table = modules
    right = {"base": range(10), "guide": range(10), "blendin": range(17)}
    alone = table.table_rows([made(data, right)])
    many = table.table_rows(made(data, right, pair=f"p{i}") for i in range(80))

    assert table.beats(alone[-1]) == "**above both** †"
    assert {table.beats(row) for row in many if row.against} == {"**above both**"}


def test_five_differing_questions_are_not_clear(modules):
    """Even if all of them speak for the method, and although the interval excludes 0; with six they are."""
    _, table = modules
    five, six = (rows_of(modules, blendin=range(5, n))["blendin"] for n in (20, 21))

    assert five.against["guide"].difference.low > 0
    assert (table.beats(five), table.beats(six)) == ("no clear difference", "above the guide")


def test_worse_than_a_model_alone_is_told(modules):
    """A method that is right where neither is, and wrong where the base is right."""
    _, table = modules
    row = rows_of(modules, nudging=range(14, 15))["nudging"]

    assert table.beats(row) == "below the base, below the guide"
    assert [line.split(" | ")[1:] for line in table.counts([row])[2:]] == [["1", "0", "0", "0", "1", "1 |"]]


def test_written_data_give_the_same_tables(modules, tmp_path):
    """A file holds all that the tables need, and no more of a question than its id."""
    data, table = modules
    pair = made(data, {"base": range(10), "guide": range(12), "blendin": range(30)})
    path = data.write(tmp_path, pair)
    first = path.read_bytes()

    assert table.tables(table.table_rows([data.read(path)])) == table.tables(table.table_rows([pair]))
    assert data.write(tmp_path, data.read(path)).read_bytes() == first
    assert first[4:8] == bytes(4)  # no time of packing
    assert [row.method for row in table.table_rows(table.stored_pairs(tmp_path))] == [
        "base",
        "guide",
        "blendin",
    ]


def test_the_rest_is_what_was_not_asked_before(modules):
    """`-all` counts only the other questions, has rows of its own, and is in no summary."""
    data, table = modules
    first = made(data, {"base": range(10), "guide": range(10), "blendin": range(20)})
    first_half = [
        replace(run.cell, answers={str(i): run.cell.answers[str(i)] for i in range(20)}) for run in first.runs
    ]
    kept = [replace(run, cell=cell) for run, cell in zip(first.runs, first_half, strict=True)]
    rest = [replace(run, task="gsm8k-all") for run in first.runs]
    rows = table.table_rows([replace(first, runs=(*kept, *rest))])
    again = [row for row in rows if row.benchmark == "gsm8k-all"]

    assert [(row.method, row.main.n, row.main.value) for row in again] == [
        ("base", 20, 0.0), ("guide", 20, 0.0), ("blendin", 20, 0.0)
    ]  # fmt: skip
    assert "gsm8k_all" in table.tables(rows)
    assert table.counts(table._main_rows(rows))[2].startswith("| blendin | 1 | 1 |")


def test_weights_of_answers_are_kept(modules, tmp_path):
    """IFEval counts an answer once for each instruction."""
    data, _ = modules
    pair = made(data, {"base": range(10)})
    verdicts = {"0": Verdict({"accuracy": 1.0}, None, {"accuracy": 3.0})}
    run = replace(
        pair.runs[0], cell=replace(pair.runs[0].cell, verdicts={**pair.runs[0].cell.verdicts, **verdicts})
    )
    kept = data.read(data.write(tmp_path, replace(pair, runs=(run,)))).runs[0].cell.verdicts

    assert kept["0"].weights == {"accuracy": 3.0}
    assert kept["1"].weights == {}


def test_above_one_model_alone_is_not_above_both(modules):
    """The p-value of both is that of certainty, whatever the larger difference is."""
    _, table = modules
    row = rows_of(modules, guide=range(35), blendin=range(20))["blendin"]

    assert row.p_both == 1.0
    assert table.beats(row) == "above the base, below the guide"


def test_sampled_answers_are_held_against_sampled_ones(modules):
    """At the same temperature; a greedy model alone is not what they are compared with."""
    data, table = modules
    pair = made(data, {"base": range(10), "guide": range(10), "blendin": range(20)})
    hot = made(data, {"base": range(20), "guide": range(20), "blendin": range(20)})
    names = (f"{run.method}[temp=0.7]" for run in hot.runs)
    sampled = [
        replace(run, method=name, variant=name, settings={TEMPERATURE: 0.7})
        for run, name in zip(hot.runs, names, strict=True)
    ]
    rows = table.table_rows([replace(pair, runs=(*pair.runs, *sampled))])
    found = {row.method: table.beats(row) for row in rows if row.against}

    assert found == {"blendin": "**above both** †", "blendin[temp=0.7]": "no clear difference"}
    assert "blendin[temp=0.7]" not in table.tables(rows)["gsm8k"]
    assert "blendin[temp=0.7]" in table.tables(rows)["gsm8k_sampled"]


def test_min_p_is_held_against_the_base_without_it(modules):
    """The control is a method like others: what it gains is seen beside the base at the same temperature."""
    data, table = modules
    pair = made(data, {"base": range(10), "guide": range(10), "blendin": range(20)})
    settings = ({TEMPERATURE: 0.7}, {TEMPERATURE: 0.7}, {TEMPERATURE: 0.7, "min-p": 0.1})
    runs = [
        replace(run, rule=rule, method=f"{rule}{of}", variant=f"{rule}{of}", settings=of)
        for run, rule, of in zip(pair.runs, ("base", "guide", "base"), settings, strict=True)
    ]
    *alone, control = table.table_rows([replace(pair, runs=tuple(runs))])

    assert not any(row.against for row in alone)
    assert control.against["base"].difference.value == pytest.approx(10 / 40)
    assert control.asked is None


def test_rules_are_held_against_the_default(modules):
    """Their scores on the same questions; models alone are no rules; a dagger is clear among all."""
    data, _ = modules
    import evidence_rules

    right = {"base": range(10), "guide": range(10), "blendin": range(20), "kad": range(30), "bet": range(14)}
    made_tables = evidence_rules.rule_tables([made(data, right), made(data, right, pair="q")])
    lines = made_tables["rules"].splitlines()

    assert lines[0] == "| benchmark | pair | blendin | kad | bet |"
    assert lines[2:] == [
        "| GSM8K | p | 0.50 | +0.25 † | -0.15 \\* |",
        "| GSM8K | q | 0.50 | +0.25 † | -0.15 \\* |",
    ]
    assert made_tables["rules_counted"].splitlines()[2] == "| kad | 2 | 2 | 0 | 2 | 0 | +0.250 |"


def test_seeds_of_a_method_are_one_row(modules):
    """Their steps and their work are added up; where the time of one is not known, that of all is not."""
    data, table = modules
    pair = made(data, {"base": range(10), "guide": range(12), "blendin": range(30)})
    last = pair.runs[-1]
    other = replace(last, variant="blendin[seed=2]", seconds=None)
    rows = table.table_rows([replace(pair, runs=(*pair.runs, other))])

    assert [row.method for row in rows] == ["base", "guide", "blendin"]
    assert [row.time for row in rows] == [1.0, pytest.approx(2.5), None]
    assert table.details(rows, "gsm8k")[-1].split(" | ")[3:5] == ["20 %", "1.4"]


def test_tables_are_written_between_their_marks(modules):
    """The rest of the page stays, and twice is as once."""
    _, table = modules
    page = "a\n<!-- tables x -->\nold\n<!-- end of x -->\nb\n<!-- tables y -->\n<!-- end of y -->\n"
    anew = table.with_tables(page, {"x": "| new |"})

    assert anew.startswith("a\n<!-- tables x -->\n\n| new |\n\n<!-- end of x -->\nb\n")
    assert "old" not in anew
    assert "Not run yet." in anew
    assert table.with_tables(anew, {"x": "| new |"}) == anew


def test_the_page_and_the_picture_are_what_the_data_give(modules):
    """Nobody edits a number by hand, and none is out of date."""
    _, table = modules
    rows = table.table_rows(table.stored_pairs())
    page, page_of_rules = table.PAGE.read_text(), table.PAGE_OF_RULES.read_text()

    assert rows
    assert table.with_tables(page, table.tables(rows)) == page
    assert table.with_tables(page_of_rules, table.rule_tables(table.stored_pairs())) == page_of_rules
    assert table.PICTURE.read_text() == table.picture(rows)
    ElementTree.fromstring(table.PICTURE.read_text())


def test_no_prompt_is_in_the_data(modules):
    """Answers have ids, counts and scores; questions are not shipped with them."""
    _, table = modules
    for pair in table.stored_pairs():
        for run in pair.runs:
            assert all(len(key) < 40 and " " not in key for key in run.cell.answers), (
                pair.pair,
                run.benchmark,
            )
