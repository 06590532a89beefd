"""Options read by log-likelihood: the definitions of accuracy, accuracy per byte, MC1 and MC2."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.scorers.likelihood import (
    best,
    likelihood_texts,
    likelihood_verdict,
    mc1,
    mc2,
    per_byte,
)

ARC, TRUTHFULQA = BENCHMARKS["arc-challenge"], BENCHMARKS["truthfulqa"]
LOGPROBS = st.lists(st.floats(-300, 0), min_size=2, max_size=12)


def test_length_does_not_count_against_an_option():
    """A long option with the better log-likelihood per byte wins acc_norm and loses acc."""
    item = ARC.load()[0]
    n = len(item.options)
    logprobs = [-10.0] * n
    logprobs[item.gold] = -20.0
    sizes = [5] * n
    sizes[item.gold] = 40

    verdict = likelihood_verdict(ARC, item, logprobs, sizes)
    assert verdict.scores == {"acc": 0.0, "acc_norm": 1.0}
    assert verdict.parsed == "ABCDE"[best(logprobs)]


@given(LOGPROBS, st.integers(1, 99), st.floats(-50, 50))
def test_what_does_not_matter(logprobs, size, shift):
    """Laws: equal lengths keep the order; MC2 does not change when all options get likelier alike."""
    truths = [index % 2 == 0 for index in range(len(logprobs))]
    moved = [logprob + shift for logprob in logprobs]

    assert logprobs[best(per_byte(logprobs, [size] * len(logprobs)))] == pytest.approx(max(logprobs))
    assert mc2(moved, truths) == pytest.approx(mc2(logprobs, truths), abs=1e-9)
    assert mc2(logprobs, truths) + mc2(logprobs, [not truth for truth in truths]) == pytest.approx(1)


def test_mc_by_hand():
    """MC1 needs the best answer strictly ahead; MC2 is the share of the true answers' probability."""
    assert mc1([-1, -2, -3], 0) == 1
    assert mc1([-1, -1, -3], 0) == 0
    logs = [math.log(0.2), math.log(0.1), math.log(0.1)]
    assert mc2(logs, [True, False, True]) == pytest.approx(0.75)


def test_truthfulqa_scores_every_answer_once():
    """MC1 is over the shown options, MC2 over these and the further true answers; no text stands twice."""
    for item in TRUTHFULQA.load():
        texts = likelihood_texts(TRUTHFULQA, item)
        assert len(set(texts)) == len(texts)
        verdict = likelihood_verdict(TRUTHFULQA, item, [0.0] * len(texts), [1] * len(texts))
        true = 1 + len(texts) - len(item.options)
        assert verdict.scores["mc2"] == pytest.approx(true / len(texts))
        assert verdict.scores["mc1"] == 0


def test_other_benchmarks_score_their_options():
    """ARC's texts are the options, and the right one at the top scores 1 twice."""
    for item in ARC.load():
        assert likelihood_texts(ARC, item) == item.options
        logprobs = [0.0 if index == item.gold else -1.0 for index in range(len(item.options))]
        verdict = likelihood_verdict(ARC, item, logprobs, [1] * len(logprobs))
        assert verdict.scores == {"acc": 1.0, "acc_norm": 1.0}
