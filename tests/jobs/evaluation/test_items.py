"""Subsets, shuffling, figures: the same everywhere, in proportion, and equal to a count by hand."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.scoring.figures import compare, figures, histogram, mcnemar_of
from blendin_local.jobs.scoring.items import Item, Verdict, shuffled, subset

XSTEST, GSM8K, IFEVAL = BENCHMARKS["xstest"], BENCHMARKS["gsm8k"], BENCHMARKS["ifeval"]
STRATA = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def _items(sizes):
    return [Item(f"{s}-{i}", "?", stratum=str(s)) for s, size in enumerate(sizes) for i in range(size)]


@given(STRATA, st.integers(0, 120), st.integers(0, 3), st.randoms())
def test_a_subset_is_fixed_in_proportion_and_nested(sizes, n, seed, random):
    """Laws: n items, strata in proportion up to rounding, whatever the file's order; and it grows."""
    items = _items(sizes)
    taken = subset(items, n, seed)
    mixed = subset(random.sample(items, len(items)), n, seed)

    assert len(taken) == min(n, len(items))
    assert {item.key for item in mixed} == {item.key for item in taken}
    assert [item for item in items if item in taken] == taken
    assert {item.key for item in taken} <= {item.key for item in subset(items, n + 1, seed)}
    counts = Counter(item.stratum for item in taken)
    share = len(taken) / len(items)
    slack = [0.5 + size * len(sizes) / (2 * len(items)) for size in sizes]  # every stratum rounds for itself
    assert all(abs(counts[str(s)] - share * sizes[s]) <= slack[s] + 1e-9 for s in range(len(sizes)))


def test_seeds_draw_different_subsets():
    """Another seed draws other items."""
    items = _items([500])

    assert subset(items, 50, 1) != subset(items, 50, 2)


@given(st.integers(1, 12), st.integers(0, 1000), st.text(max_size=10))
def test_shuffling_is_a_permutation_that_never_changes(n, seed, key):
    """Law: every option once, the same order each time."""
    assert sorted(shuffled(n, seed, key)) == list(range(n))
    assert shuffled(n, seed, key) == shuffled(n, seed, key)


def test_shuffling_is_the_same_on_every_machine():
    """A known order, so that a change of the rule is seen: it would change every published number."""
    assert shuffled(5, 609, "a question") == [2, 1, 3, 0, 4]


def test_shuffling_is_fair():
    """Over many questions the first option comes to every place about equally often."""
    positions = Counter(shuffled(4, 609, f"q{i}").index(0) for i in range(4000))

    assert all(count == pytest.approx(1000, abs=120) for count in positions.values())


def _answered(benchmark, answer):
    return {item.key: benchmark.score(item, answer(item)) for item in benchmark.load()}


def test_balanced_accuracy_of_one_way_models_is_one_half():
    """Always complying or always refusing gives 0.5, with the halves at 1 and 0."""
    for answer, safe, unsafe in (("Sure, here it is.", 1, 0), ("I'm sorry, I can't.", 0, 1), ("", 0, 0)):
        found = figures(XSTEST, _answered(XSTEST, lambda _, text=answer: text))
        values = {name: interval.value for name, interval in found.items()}
        assert values == {
            "balanced_accuracy": (safe + unsafe) / 2,
            "complied_safe": safe,
            "refused_unsafe": unsafe,
        }
        assert next(iter(found)) == XSTEST.main_figure


def test_figures_equal_a_hand_count():
    """Three of four right is 0.75; two right only here, one only there: a quarter more."""
    a = {
        key: Verdict({"accuracy": float(right)}, "1") for key, right in zip("abcd", (1, 1, 1, 0), strict=True)
    }
    b = {
        key: Verdict({"accuracy": float(right)}, "1") for key, right in zip("abcd", (0, 0, 1, 1), strict=True)
    }

    assert figures(GSM8K, a)["accuracy"].value == 0.75
    assert "strict" not in figures(GSM8K, a)
    assert compare(GSM8K, "accuracy", a, b).difference.value == 0.25
    assert compare(GSM8K, "accuracy", a, {}) is None
    test = mcnemar_of(GSM8K, "accuracy", a, b)
    assert (test.b, test.c) == (2, 1)


def test_only_shared_items_are_compared():
    """A method that answered fewer items is compared on those."""
    a = {key: Verdict({"accuracy": 1.0}, "1") for key in "abcd"}
    b = {key: Verdict({"accuracy": 0.0}, "1") for key in "ab"}

    assert compare(GSM8K, "accuracy", a, b).difference.n == 2


def test_instructions_weigh_by_their_number():
    """Per instruction means all instructions together: 1 of 3 and 1 of 1 is 2 of 4."""
    weights = {"instruction_strict": 3.0}
    verdicts = {
        "a": Verdict({"prompt_strict": 0.0, "instruction_strict": 1 / 3}, "1/3", weights),
        "b": Verdict({"prompt_strict": 1.0, "instruction_strict": 1.0}, "1/1", {"instruction_strict": 1.0}),
    }
    found = figures(IFEVAL, verdicts)

    assert (found["prompt_strict"].value, found["instruction_strict"].value) == (0.5, 0.5)
    assert mcnemar_of(IFEVAL, "instruction_strict", verdicts, verdicts) is None


def test_a_histogram_counts_what_was_not_read():
    """Letters in order, and no parse last."""
    assert histogram(["B", None, "A", "B"]) == {"A": 1, "B": 2, "none": 1}
