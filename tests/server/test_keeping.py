"""How many answers are kept in memory, and how large they may be."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.prompts import Message
from blendin_local.core.records import Candidate, CandidateLists, Step
from blendin_local.errors import UsageError
from blendin_local.server.kept_answers import KeptAnswers, size_of
from tests import answers


def answer(n_steps, n_candidates=0):
    """An answer whose steps have as many candidates of each model."""
    return answers.completion(*(step(i, n_candidates) for i in range(n_steps)))


def step(i, n_candidates):
    base, guide, blend = (
        tuple(Candidate(f" {i} {name} {n}".encode(), (n + 1.5) / 1000) for n in range(n_candidates))
        for name in ("base", "guide", "blend")
    )
    tops = (Candidate(f" {i} {name}".encode(), (i + 1.5) / 1000) for name in ("base", "guide"))
    lists = CandidateLists(base, guide, blend)
    return Step(i, b" Sure", "changed", (i + 1.5) / 1000, *tops, candidates=lists)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 8), st.integers(1, 60_000))
def test_the_latest_answers_are_kept_that_fit_into_both_limits(sizes, max_count, max_bytes):
    """Never more than the number or the size; the newest stays if it fits at all; none goes without need."""
    kept = KeptAnswers(max_count, max_bytes)
    fitting = []
    for i, n_steps in enumerate(sizes):
        kept.add(str(i), answer(n_steps), [Message("user", "why?")])
        size = size_of(answer(n_steps), [Message("user", "why?")])
        if size <= max_bytes:
            fitting.append((str(i), size))
        expected = []
        for name, each in reversed(fitting):
            if len(expected) == max_count or sum(size for _, size in expected) + each > max_bytes:
                break
            expected.append((name, each))
        assert len(kept) == len(expected)
        assert kept.size == sum(size for _, size in expected)
        assert all(kept[name].size == size for name, size in expected)


def test_an_answer_that_is_not_kept_is_an_error_that_names_both_limits():
    """Also one that alone is too large."""
    kept = KeptAnswers(max_count=3, max_bytes=1 << 20)
    kept.add("large", answer(2000))

    with pytest.raises(UsageError, match="no answer 'large' is kept") as caught:
        kept["large"]
    assert "last 3 are kept, of together at most 1 MiB" in caught.value.hint


@pytest.mark.parametrize(("n_steps", "n_candidates"), [(400, 0), (60, 40), (20, 200)])
def test_the_size_of_an_answer_is_about_the_memory_it_takes(n_steps, n_candidates):
    """Not less than what Python allocates, and at most three times as much."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = answer(n_steps, n_candidates)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert taken <= size_of(made) <= 3 * taken
