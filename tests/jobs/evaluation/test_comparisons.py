"""All methods of a pair together: every two compared, and the best that a choice of two could reach."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.score.comparisons import compare_methods
from blendin_local.jobs.evaluation.score.exact import clopper_pearson
from blendin_local.jobs.evaluation.score.scored import KeptCell, ScoredMethod
from blendin_local.jobs.evaluation.score.selection import selection_ceilings
from blendin_local.jobs.scoring.figures import compare, figures
from blendin_local.jobs.scoring.items import Verdict
from blendin_local.jobs.scoring.statistics import holm, mcnemar
from tests.jobs.evaluation.evaluations import SUMS, Evaluation

HALVES = replace(SUMS, name="halves", metrics=("safe", "unsafe"), figures={"balanced": ("safe", "unsafe")})
BENCHMARKS = {"sums": SUMS, "halves": HALVES}
RIGHT_OR_WRONG = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6)


def verdicts(scores, metric=lambda i: "accuracy"):
    return {f"q{i}": Verdict({metric(i): float(score)}, "x") for i, score in enumerate(scores)}


def half(i):
    return "safe" if i % 2 else "unsafe"


def method(name, *seeds, benchmark="sums", pair="p", metric=lambda i: "accuracy", **settings):
    """A method with a list of scores per seed."""
    kept = tuple(KeptCell({}, verdicts(scores, metric), {}) for scores in seeds)
    return ScoredMethod(pair, benchmark, name, name.partition("[")[0], settings, kept)


def ceiling_of(*methods):
    [found] = selection_ceilings(methods, BENCHMARKS, 609)
    return found


def test_every_two_methods_are_compared_and_corrected_together(tmp_path):
    """On scripted answers: six comparisons, each McNemar's, and Holm's correction over the six."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    found = evaluation.report().comparisons
    raw = {
        ("guide", "base"): mcnemar(4, 1).p,
        ("nudging", "base"): mcnemar(3, 0).p,
        ("blendin", "base"): mcnemar(6, 0).p,
        ("nudging", "guide"): mcnemar(3, 3).p,
        ("blendin", "guide"): mcnemar(4, 1).p,
        ("blendin", "nudging"): mcnemar(3, 0).p,
    }

    assert {(each.a, each.b): each.comparison.p for each in found} == pytest.approx(raw)
    assert [each.p_holm for each in found] == holm([each.comparison.p for each in found])
    assert min(each.p_holm for each in found) == pytest.approx(6 * mcnemar(6, 0).p)


def test_the_correction_is_over_all_benchmarks_of_a_pair_and_no_other():
    """Two pairs of models with two tests each: every p is doubled, none is multiplied by four."""
    better, worse = [1] * 8, [0] * 8
    found = compare_methods(
        [
            method(name, scores, pair=pair, benchmark=benchmark, metric=metric)
            for pair in "pq"
            for benchmark, metric in (("sums", lambda i: "accuracy"), ("halves", half))
            for name, scores in (("base", worse), ("blendin", better))
        ],
        BENCHMARKS,
        609,
    )

    assert [(each.pair, each.benchmark) for each in found] == [
        ("p", "sums"),
        ("p", "halves"),
        ("q", "sums"),
        ("q", "halves"),
    ]
    assert {each.p_holm for each in found} == {2 * mcnemar(8, 0).p}


def test_methods_are_compared_at_the_same_temperature_and_with_their_greedy_selves():
    """Greedy with greedy, sampled with sampled, and each method with itself sampled; nothing else."""
    names = ("base", "blendin", "aligned")
    greedy = [method(name, [0, 1]) for name in names]
    sampled = [method(f"{name}[temp=0.7]", [0, 1], temp=0.7) for name in names]
    control = method("base[temp=0.7,min-p=0.1]", [0, 1], **{"temp": 0.7, "min-p": 0.1})
    found = {(each.b, each.a) for each in compare_methods([*greedy, *sampled, control], BENCHMARKS, 609)}

    hot, cold = [each.name for each in (*sampled, control)], [each.name for each in greedy]
    within = {(b, a) for group in (cold, hot) for i, b in enumerate(group) for a in group[i + 1 :]}
    assert found == within | {(name, f"{name}[temp=0.7]") for name in cold} | {("base", control.name)}


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=30))
def test_a_method_against_itself_has_p_1(scores):
    """Law: right or wrong (McNemar) or a mean over seeds (bootstrap), no difference has p = 1."""
    same, means = verdicts(scores), verdicts([(score + 1) / 3 for score in scores])

    assert compare(SUMS, "accuracy", same, same).p == 1
    assert compare(SUMS, "accuracy", means, means).p == 1
    assert compare(SUMS, "accuracy", means, means).mcnemar_p is None
    assert compare(SUMS, "accuracy", means, means).difference.high > 0  # other questions may differ


@given(RIGHT_OR_WRONG)
def test_the_ceiling_is_the_best_of_all_choices(answers):
    """Slow twin: of all ways to choose base's or guide's answer for each question the best one reaches it."""
    base, guide = zip(*answers, strict=True)
    found = ceiling_of(method("base", base), method("guide", guide))
    chosen = [
        sum(pair[which] for pair, which in zip(answers, choice, strict=True)) / len(answers)
        for choice in product((0, 1), repeat=len(answers))
    ]

    assert found.ceiling.value == pytest.approx(max(chosen))
    assert found.both_wrong == pytest.approx(sum(not b and not g for b, g in answers) / len(answers))
    assert found.one_right.value == pytest.approx(sum(b != g for b, g in answers) / len(answers))
    assert found.base_only + found.guide_only == pytest.approx(found.one_right.value)


@settings(deadline=None)  # an interval is a bootstrap
@given(RIGHT_OR_WRONG, RIGHT_OR_WRONG)
def test_a_sampled_ceiling_is_the_mean_over_seeds(first, second):
    """A choice is made for every answer: the ceiling of two seeds is the mean of theirs."""
    n = min(len(first), len(second))
    seeds = [list(zip(*seed[:n], strict=True)) for seed in (first, second)]
    base = method("base[temp=1]", *(seed[0] for seed in seeds), temp=1.0)
    guide = method("guide[temp=1]", *(seed[1] for seed in seeds), temp=1.0)
    alone = [ceiling_of(method("base", b), method("guide", g)).ceiling.value for b, g in seeds]

    assert ceiling_of(base, guide).ceiling.value == pytest.approx(sum(alone) / 2)


def test_its_interval_is_exact_for_a_share_and_a_bootstrap_otherwise():
    """One right-or-wrong score per question: Clopper and Pearson's. Over two halves: a bootstrap."""
    base, guide = [1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 1, 0]
    share = ceiling_of(method("base", base), method("guide", guide))
    halves = {"benchmark": "halves", "metric": half}
    balanced = ceiling_of(method("base", base, **halves), method("guide", guide, **halves))

    assert share.ceiling == clopper_pearson(4, 6)
    assert share.one_right == clopper_pearson(3, 6)
    assert balanced.ceiling.kind == "bootstrap"
    assert balanced.ceiling.value == pytest.approx((3 / 3 + 1 / 3) / 2)
    assert balanced.both_wrong == pytest.approx((0 / 3 + 2 / 3) / 2)


def test_a_ceiling_needs_both_models_and_scores_that_are_right_or_wrong():
    """No guide, a guide that was sampled otherwise, an aligned model or a score of one half: no ceiling."""
    base, guide = method("base", [0, 1]), method("guide", [1, 1])
    aligned = ScoredMethod("p", "sums", "aligned", "guide", {}, guide.seeds)

    assert len(selection_ceilings([base, guide], BENCHMARKS, 609)) == 1
    for others in ([], [method("guide[temp=1]", [1, 1], temp=1.0)], [aligned], [method("guide", [0.5, 1])]):
        assert selection_ceilings([base, *others], BENCHMARKS, 609) == ()


def test_no_method_of_an_evaluation_that_only_chooses_is_above_the_ceiling(tmp_path):
    """Law on scripted answers: base and guide themselves are at most at the ceiling of their pair."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    report = evaluation.report()
    [ceiling] = report.ceilings

    assert ceiling.ceiling.value == pytest.approx(7 / 12)  # 0 to 2, or even
    assert (ceiling.base_only, ceiling.guide_only) == pytest.approx((1 / 12, 4 / 12))
    for cell in report.cells[:2]:
        assert cell.score.value <= ceiling.ceiling.value


def test_missing_answers_do_not_count():
    """A run that was cut short is compared over the questions that both models have answered."""
    few, many = [1, 0], [0, 0, 1, 1]

    assert ceiling_of(method("base", few), method("guide", many)).ceiling == clopper_pearson(1, 2)
    assert ceiling_of(method("base", many), method("guide", few)).ceiling == clopper_pearson(1, 2)


def test_means_over_seeds_are_scores_of_questions():
    """Three seeds with 1, 0 and 1 right make a score of two thirds, and the interval is over questions."""
    scored = method("base[temp=1]", [1, 1], [0, 1], [1, 1], temp=1.0)
    figure = figures(SUMS, scored.verdicts)["accuracy"]

    assert [verdict.scores["accuracy"] for verdict in scored.verdicts.values()] == pytest.approx([2 / 3, 1])
    assert (figure.value, figure.n, figure.kind) == (pytest.approx(5 / 6), 2, "bootstrap")
