"""The number an answer ends with: signs, thousands, decimals, currency, answers that run on."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.scorers.numbers import read_marked_number, read_number

LABELLED = [
    json.loads(line)
    for line in (Path(__file__).parent / "gsm8k_labelled" / "solutions.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("18", "18"),
        ("1,234.50", "1234.5"),
        ("$5", "5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("$1,000,000.", "1000000"),
        ("The result is -7.", "-7"),
        ("The result is \u22127.", "-7"),
        ("(-4)", "-4"),
        ("x=-3", "-3"),
        ("16-3", "3"),
        ("16 - 3", "3"),
        ("16-3=13", "13"),
        ("- 5 apples", "5"),
        (".5", "0.5"),
        ("20%", "20"),
        ("3,4", "4"),
        ("1,2345", "2345"),
        ("**42**", "42"),
        ("\\boxed{1,000}", "1000"),
        ("7\u202feuros", "7"),
        ("First 3, then 4, so 12 in all.", "12"),
        ("It is 18.\n\nQuestion: Tom has 5 apples.", "18"),
        ("It is 18.\nQ: what are 2 and 3?\nA: 5", "18"),
        ("It is 18.\n\n**Question 2:** and 5?", "18"),
        ("It is 18.\nUser: 5", "18"),
        ("It is 18.<|im_end|>\n<|im_start|>user 5", "18"),
        ("Question: 3 ducks lay 4 eggs each?\nAnswer: 12", "12"),
        ("Question: 3 ducks?\nAnswer: 12\n\nQuestion: 9 cows?", "12"),
        ("2 + 2\n#### 4\nThat took 1 minute.", "4"),
        ("#### $1,200", "1200"),
        ("#### -3", "-3"),
    ],
)
def test_the_last_number_is_read(answer, number):
    """The last number of the answer's own part, or the one after ####, is read exactly."""
    assert read_number(answer) == Decimal(number)


@pytest.mark.parametrize(
    "answer", ["", " \n", "I cannot answer that.", "none at all, -, $, . and ,", "Question: 3 cows?\nAnswer:"]
)
def test_no_number_is_no_parse(answer):
    """An empty answer, a refusal, signs without digits and a question of its own have no number."""
    assert read_number(answer) is None


@pytest.mark.parametrize(("answer", "number"), [("so 5\n#### 4", 4), ("so 5", None), ("### 5", None)])
def test_the_strict_form_needs_its_mark(answer, number):
    """The strict form is #### and a number, nothing else."""
    assert read_marked_number(answer) == number


@pytest.mark.parametrize("row", LABELLED)
def test_published_labels_are_met(row):
    """A solution that OpenAI's file calls right gives the right number, one that it calls wrong another."""
    assert (read_number(row["solution"]) == row["gold"]) is row["correct"]


@given(
    st.decimals(-(10**9), 10**9, places=2),
    st.sampled_from(["{:f}", "{:,f}", "So it is {:,f}.", "#### {:f}"]),
)
def test_a_written_number_is_read_back(number, form):
    """Law: a decimal written with or without thousands comes back as itself."""
    assert read_number(form.format(number)) == number


@given(st.text(max_size=200))
def test_any_text_has_a_number_or_not(answer):
    """Law: no text makes the reader fail."""
    number = read_number(answer)
    assert number is None or number.is_finite()
