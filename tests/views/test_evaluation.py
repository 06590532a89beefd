"""How a report of an evaluation looks: in a terminal, as Markdown, as a page and as a picture."""

from __future__ import annotations

import html
import io
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from blendin_local.cli.common.progress import show_progress
from blendin_local.cli.eval.progress import eval_line
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.run.progress import EvalProgress
from blendin_local.jobs.evaluation.spec.variants import variants_of, with_sampled
from blendin_local.reports.evaluation.files import report_json
from blendin_local.reports.evaluation.markdown import report_markdown
from blendin_local.reports.evaluation.page import report_html
from blendin_local.reports.evaluation.plots import score_plot
from blendin_local.settings import BlendSettings
from blendin_local.views.evaluation.terminal import report_tables
from tests.answers import rendered
from tests.jobs.evaluation.evaluations import METHODS, Evaluation, KnowingPair, said, usual

HOSTILE = '<script>alert("&")</script>|*x*'
SWEEPS = ["threshold=0.3,0.5", "alpha=0.3,0.7", "top-k-blend=20,1000"]


@pytest.fixture
def evaluation(tmp_path):
    return Evaluation(Folder(tmp_path / "out"), likelihood_roles=("base", "guide"))


def terminal(report):
    return "".join(rendered(part) for part in report_tables(report))


def test_the_terminal_keeps_to_80_columns(evaluation):
    """Four methods, or ten variants with long names: no line is longer, and no number is folded."""
    evaluation.run()
    few = terminal(evaluation.report())
    evaluation.variants = variants_of(f"{METHODS},agreement+competition", SWEEPS, BlendSettings())
    evaluation.run()
    many = terminal(evaluation.report())

    for shown in (few, many):
        assert max(map(len, shown.splitlines())) <= 80
        assert "0.75 [0.50, 1.00]" in shown
    assert "+0.50* p .031" in few
    assert "Options by log-likelihood" in few


def test_all_methods_of_a_pair_stand_against_each_other_in_every_form(evaluation):
    """Six comparisons of four methods with p-values for six tests, and the ceiling, everywhere."""
    evaluation.run()
    report = evaluation.report()
    raw, corrected = "p .031", "p .188"  # McNemar's p of 6 to 0, alone and among six

    for shown in (terminal(report), report_markdown(report), report_html(report)):
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>|[|*\\]", " ", html.unescape(shown)))
        assert "Methods against each other · toys" in words
        assert "p after Holm's correction for the 6 comparisons" in words
        assert re.search(rf"blendin vs base \+0.50 (\[[^]]+\] )?{corrected}", words)
        assert raw in words
        assert "What choosing between the answers of base and guide could reach" in words
        assert re.search(r"Sums 0.58 \S+( \S+)? 42 % 0.42 \S+( \S+)? 8 % / 33 %", words)
    record = report_json(report)
    assert [each["a"] for each in record["comparisons"]].count("blendin") == 3
    assert record["selection"][0]["both_wrong"] == pytest.approx(5 / 12)


def test_two_methods_are_one_comparison(evaluation):
    """On one benchmark there is nothing to correct, and nothing is said of it."""
    evaluation.variants = variants_of("base,guide", (), BlendSettings())
    evaluation.run()

    assert "p of one comparison; * below .05" in report_markdown(evaluation.report()).replace("\\", "")


def test_with_many_methods_a_terminal_shows_clear_differences_only(evaluation):
    """Of 28 rows those with a star, and how many are left out; where none has one, two sentences."""
    methods = f"{METHODS},capped,agreement,competition,agreement+competition"
    evaluation.n_items = 40
    evaluation.variants = variants_of(methods, (), BlendSettings())
    wrong = {"guide": (0, 1, 2)}  # by the last digit in base 5

    def answers(method, number):
        return said(f"it is {number if number % 5 in wrong.get(method, (0,)) else number + 1}")

    evaluation.run(KnowingPair(answers))
    clear = terminal(evaluation.report())
    none_clear = Evaluation(Folder(evaluation.folder.root.parent / "same"), variants=evaluation.variants)
    none_clear.run(KnowingPair(lambda method, n: said(f"it is {n + 1}")))

    assert "guide vs base" in clear
    assert "capped vs guide" in clear
    assert "blendin vs capped" not in clear
    assert "21 rows without a * are in the report" in clear
    assert "28 rows without a * are in the report" in terminal(none_clear.report())
    assert "methods  Sums" not in terminal(none_clear.report())
    assert "blendin vs capped" in report_markdown(evaluation.report())


def test_names_of_sampled_methods_fit_80_columns(evaluation):
    """They are broken where a setting begins, and never inside a word."""
    evaluation.variants = with_sampled(evaluation.variants, temperature=0.7, min_p=0.1, seeds=2)
    evaluation.run()
    shown = terminal(evaluation.report())

    assert max(map(len, shown.splitlines())) <= 80
    for part in ("[temp=0.7]", "[temp=0.7,", "min-p=0.1]", "Sums, greedy", "Sums, temp=0.7"):
        assert part in shown
    assert re.search(r"^ nudging +0.50.*\n \[temp=0.7\] +$", shown, re.MULTILINE)
    assert "base[temp=0.7] with 2 seeds" in report_markdown(evaluation.report())


def test_what_was_cut_short_says_so_everywhere(evaluation):
    """Title, page, Markdown and picture of an unfinished run say how many answers there are."""
    evaluation.run(KnowingPair(usual, stop_after=30))
    report = evaluation.report()

    for shown in (report_html(report), report_markdown(report), score_plot(report), terminal(report)):
        assert "CUT SHORT: 30 of 48 answers" in re.sub(r"\s+", " ", shown)
    assert "nudging has 6 of 12" in report_markdown(report)


def test_names_are_text_and_no_markup(evaluation):
    """A pair with a hostile name stays text on the page, in the picture and in a Markdown table."""
    evaluation.pair_name = HOSTILE
    evaluation.run()
    report = evaluation.report()
    page, markdown = report_html(report), report_markdown(report)

    assert "<script" not in page
    assert ElementTree.fromstring(score_plot(report)).tag.endswith("svg")
    assert all(
        line.count("|") - line.count("\\|") == 7
        for line in markdown.splitlines()
        if line.startswith("| blendin | 0.")
    )
    assert "<script" not in markdown


def test_the_papers_rows_are_marked(evaluation):
    """Beside our rows stand the paper's, each marked as theirs, with its source and what differs."""
    evaluation.run()
    markdown = report_markdown(evaluation.report())

    assert "| paper: L-3 1B→3B |" in markdown
    assert "| toys nudging | +0.25 |" in markdown
    assert "Rows marked `paper:` are theirs (Gan, Li and Luo" in markdown
    assert "options are shuffled" in markdown


def test_every_form_has_the_signature(evaluation):
    """Files with their hashes, seed, what was left out and how many rows at once are in page and Markdown."""
    evaluation.run()
    for shown in (report_html(evaluation.report()), report_markdown(evaluation.report())):
        for words in (
            "base.gguf",
            "guideguide",
            "seed 609",
            "2 rows left out: too hard",
            "100 million weights",
        ):
            assert words in shown


def test_progress_is_a_line_for_every_cell():
    """Without a terminal each cell is said once, with its number, rows left and time left."""
    stream = io.StringIO()
    with show_progress(Console(file=stream, width=200), eval_line) as on_progress:
        for left in (24, 23):
            on_progress(EvalProgress(("demo", "gsm8k", "base"), 1, 28, None, left, 24, 90.0))
        on_progress(EvalProgress(("demo", "gsm8k", "guide"), 2, 28, None, 12, 24, 60.0))

    assert stream.getvalue().splitlines() == [
        "1 of 28: demo · gsm8k · base · 24 rows left · 2 min left",
        "2 of 28: demo · gsm8k · guide · 12 rows left · 60 s left",
    ]


def test_progress_on_a_terminal_is_a_bar():
    """On a terminal one bar goes over all rows, with the cell under way before it."""
    stream = io.StringIO()
    console = Console(file=stream, width=120, force_terminal=True)
    with show_progress(console, eval_line) as on_progress:
        on_progress(EvalProgress(("demo", "gsm8k", "base"), 1, 28, None, 24, 24, None))

    assert "1 of 28: demo · gsm8k · base" in stream.getvalue()
