"""Intervals, tests and correlation against scipy and closed forms, and the laws they obey."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.score.exact import clopper_pearson, pearson
from blendin_local.jobs.scoring.statistics import (
    Group,
    group_difference,
    group_interval,
    grouped_mcnemar,
    holm,
    mcnemar,
    mean_interval,
    resampled,
    wilson,
)

SCORES = st.lists(st.sampled_from([0.0, 1.0]), min_size=5, max_size=200)
SHARES = st.lists(st.floats(0, 1), min_size=5, max_size=60)


def paired_difference(a, b, bounded=False):
    return group_difference([Group.of(np.subtract(a, b))], bounded=bounded)


@given(SCORES | SHARES)
def test_an_interval_holds_its_mean_and_stays_in_range(values):
    """Law: low <= mean <= high, for a bootstrap within the values' own range, for any scores."""
    interval = mean_interval(values)
    lowest, highest = (0, 1) if interval.kind == "wilson" else (min(values), max(values))

    assert lowest - 1e-9 <= interval.low <= interval.value + 1e-9
    assert interval.value - 1e-9 <= interval.high <= highest + 1e-9
    assert interval.value == pytest.approx(np.mean(values))
    assert interval.n == len(values)


@pytest.mark.slow
@given(SHARES, st.randoms())
def test_order_and_repetition_do_not_matter(values, random):
    """Law: the same scores in another order and the same call again give the same interval, bit for bit."""
    mixed = random.sample(values, len(values))

    assert mean_interval(values) == mean_interval(mixed) == mean_interval(values)


def test_a_bootstrap_is_that_of_scipy():
    """Percentiles and spread agree with scipy's bootstrap of the same scores, up to the lots drawn."""
    values = np.random.default_rng(1).beta(2, 5, size=80)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", random_state=2)
    ours = mean_interval(values)

    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.003)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.003)
    assert resampled([Group.of(values)]).std() == pytest.approx(theirs.standard_error, rel=0.05)


def test_more_samples_make_it_narrower():
    """Law: four times the samples of one kind, about half the width."""
    few, many = mean_interval([0, 1, 1] * 20), mean_interval([0, 1, 1] * 80)

    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, abs=0.05)


def test_one_in_twenty_intervals_misses():
    """Of intervals around samples of a fair coin, about 95 % hold one half."""
    generator = np.random.default_rng(3)
    intervals = [mean_interval(generator.integers(0, 2, size=100)) for _ in range(300)]
    locked = np.mean([interval.low <= 0.5 <= interval.high for interval in intervals])

    assert locked == pytest.approx(0.95, abs=0.03)


@given(st.integers(1, 500), st.data())
def test_wilson_is_that_of_scipy(n, data):
    """Wilson's interval equals scipy's for every proportion."""
    k = data.draw(st.integers(0, n))
    theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
    ours = wilson(k, n)

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    mirrored = wilson(n - k, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((ours.low, ours.high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (13, 20), (20, 20)])
def test_clopper_and_pearsons_ends_are_where_the_tails_are_small(k, n):
    """At the lower end k or more, at the upper end k or fewer have probability 0.025."""
    exact = clopper_pearson(k, n)

    if k > 0:
        assert stats.binom.sf(k - 1, n, exact.low) == pytest.approx(0.025)
    if k < n:
        assert stats.binom.cdf(k, n, exact.high) == pytest.approx(0.025)
    assert exact.low <= k / n <= exact.high
    assert exact.high - exact.low > wilson(k, n).high - wilson(k, n).low


def test_holm_gives_the_textbooks_values():
    """The example that reference works use: .005, .01, .03, .04 become .02, .03, .06, .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(P_VALUES)
def test_holm_keeps_the_order_and_never_lowers_a_value(p_values):
    """Law: adjusted values are at least the raw ones, at most 1, and in the same order."""
    adjusted = holm(p_values)

    assert all(p <= p_holm <= 1 for p, p_holm in zip(p_values, adjusted, strict=True))
    in_order = [p_holm for _, p_holm in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


@given(P_VALUES)
def test_holm_is_bonferroni_for_every_set_of_tests(p_values):
    """Slow twin: a test's adjusted value is the worst Bonferroni value of all sets of tests that have it."""
    n = len(p_values)
    sets = [each for size in range(1, n + 1) for each in combinations(range(n), size)]
    worst = [
        max(min(1.0, len(each) * min(p_values[i] for i in each)) for each in sets if test in each)
        for test in range(n)
    ]

    assert holm(p_values) == pytest.approx(worst)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_certain_score_still_has_a_width(score):
    """All wrong or all right gets Wilson's interval: a bootstrap would have no width."""
    interval = mean_interval([score] * 100)

    assert interval == wilson(int(100 * score), 100)
    assert interval.high - interval.low == pytest.approx(0.037, abs=0.001)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_binomial_test(b, c):
    """McNemar's exact p is scipy's binomial test of a fair coin, and the same from both sides."""
    assert mcnemar(b, c).p == mcnemar(c, b).p
    if b + c:
        assert mcnemar(b, c).p == pytest.approx(stats.binomtest(b, b + c).pvalue)
    else:
        assert mcnemar(b, c).p == 1


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=40))
def test_pearson_is_that_of_scipy(points):
    """R and p equal scipy's; r does not change when x and y are exchanged."""
    x, y = zip(*points, strict=True)
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    theirs, ours, turned = stats.pearsonr(x, y), pearson(x, y), pearson(y, x)

    assert (ours.r, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-6)
    assert turned.r == pytest.approx(ours.r)


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1, 2], [3, 4]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])]
)
def test_a_correlation_without_meaning_is_none(x, y):
    """Two points, or a side that never varies, have no r."""
    assert pearson(x, y) is None


@pytest.mark.slow
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=80))
def test_a_paired_difference_turns_its_sign(pairs):
    """Law: a - b is the mean difference, b - a its negative; p is the same up to the lots drawn."""
    a, b = np.array(pairs, dtype=float).T
    there, back = paired_difference(a, b), paired_difference(b, a)

    assert there.value == pytest.approx(a.mean() - b.mean())
    assert back.value == pytest.approx(-there.value)
    assert back.p == pytest.approx(there.p, abs=0.05)
    assert there.low - 1e-9 <= there.value <= there.high + 1e-9


def test_a_paired_test_agrees_with_t_and_mcnemar():
    """On a clear, a weak and no difference the bootstrap's p lies near that of a paired t-test."""
    generator = np.random.default_rng(4)
    for shift in (0.0, 0.02, 0.05, 0.2):
        a, b = generator.normal(shift, 0.2, 200), generator.normal(0, 0.2, 200)
        assert paired_difference(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.03)
    same = paired_difference([2.5, 1, 4], [2.5, 1, 4])
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 30))
def test_grouped_mcnemar_on_one_group_is_mcnemar(b, c, ties):
    """With one group of items the statistic orders outcomes as McNemar's does."""
    if n := b + c + ties:
        assert grouped_mcnemar([(b, c, n)]).p == pytest.approx(mcnemar(b, c).p)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)), min_size=2, max_size=2))
def test_grouped_mcnemar_is_the_share_of_coin_throws_that_are_as_far(groups):
    """Against throwing every differing item's coin, one outcome after another."""
    counts = [(b, c, b + c + ties) for b, c, ties in groups]

    def statistic(outcomes):
        d = v = 0.0
        for (_, _, n), signs in zip(counts, outcomes, strict=True):
            mean = sum(signs) / n
            d, v = d + mean, v + (len(signs) / n - mean * mean) / n
        return 0 if abs(d) < 1e-12 else abs(d) / math.sqrt(v) if v > 1e-15 else math.inf

    seen = statistic([[1] * b + [-1] * c for b, c, _ in counts])
    throws = list(product(*(product([1, -1], repeat=b + c) for b, c, _ in counts)))
    as_far = sum(statistic(outcomes) >= seen - 1e-9 for outcomes in throws)

    assert grouped_mcnemar(counts).p == pytest.approx(as_far / len(throws))


def test_what_one_half_gains_and_the_other_loses_is_not_noise():
    """26 of 54 unsafe requests gained and 11 of 66 safe ones lost: p is as small as the interval says."""
    grouped = grouped_mcnemar([(26, 0, 54), (0, 11, 66)])

    assert (grouped.b, grouped.c) == (26, 11)
    assert grouped.p < 0.001
    assert mcnemar(26, 11).p > 0.01
    assert grouped_mcnemar([(11, 0, 50), (0, 11, 50)]).p == pytest.approx(1)


@pytest.mark.parametrize("n", [3, 100])
def test_answers_that_never_differ_leave_room_for_some_that_do(n):
    """Of n right-or-wrong pairs none differs: in each direction up to Wilson's share of 0 in n may differ."""
    share = wilson(0, n).high
    same = paired_difference([1] * n, [1] * n, bounded=True)
    better, worse = (paired_difference([k] * n, [1 - k] * n, bounded=True) for k in (1, 0))

    assert (same.value, same.low, same.high, same.p) == (0, -share, share, 1)
    assert (better.value, better.low, better.high) == (1, pytest.approx(1 - 2 * share), 1)
    assert (worse.low, worse.high) == (-better.high, pytest.approx(-better.low))


def test_weights_make_a_mean_of_totals():
    """With weights the mean is the total over the total weight, as for IFEval's accuracy per instruction."""
    group = Group.of([1 / 2, 1, 0], [2, 1, 3])

    assert group.mean == pytest.approx(2 / 6)
    assert group_interval([group]).value == pytest.approx(2 / 6)


def test_groups_count_the_same_whatever_their_size():
    """Balanced accuracy: the plain mean of two halves' means, each resampled for itself."""
    safe, unsafe = Group.of([1] * 30 + [0] * 10), Group.of([1] * 5 + [0] * 5)
    interval = group_interval([safe, unsafe])
    spread = (0.75 * 0.25 / 40 + 0.25 / 10) ** 0.5 / 2

    assert interval.value == pytest.approx((0.75 + 0.5) / 2)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert group_difference([safe, unsafe]).value == pytest.approx(interval.value)


def test_nothing_to_average_is_an_error():
    """No values, unequal lengths and impossible counts are refused with a word."""
    for call in (
        lambda: mean_interval([]),
        lambda: pearson([1, 2, 3], [1, 2]),
        lambda: wilson(3, 2),
        lambda: wilson(0, 0),
    ):
        with pytest.raises(UsageError):
            call()


def test_two_certain_halves_still_have_a_width():
    """All right on one half, none on the other: the mean's arms are made of those of Wilson's intervals."""
    interval = group_interval([Group.of([1.0] * 50), Group.of([0.0] * 30)])
    right, wrong = wilson(50, 50), wilson(0, 30)

    assert (interval.value, interval.n, interval.kind) == (0.5, 80, "wilson")
    assert interval.low == pytest.approx(0.5 - (1 - right.low) / 2)
    assert interval.high == pytest.approx(0.5 + wrong.high / 2)


def test_two_halves_that_never_differ_still_have_a_width():
    """Over two halves the arms are joined as those of a score are: sqrt(sum of squares) / 2."""
    same = group_difference([Group.of([0.0] * 50), Group.of([0.0] * 30)], bounded=True)

    assert same.high == -same.low == pytest.approx(np.hypot(wilson(0, 50).high, wilson(0, 30).high) / 2)
