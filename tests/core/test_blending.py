"""Equations 3, 4 and 5 against worked values, enumeration in whole numbers, and laws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blendin_local.core.blending import auto_alpha, blend, greedy, likeliest
from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import METHODS, AnswerState
from blendin_local.settings import BlendSettings

pieces = st.sampled_from([b"", b"a", b"b", b"ab", b" c", b"\xf0\x9f"])
distributions = st.dictionaries(pieces, st.floats(1e-6, 1.0), min_size=1)


@pytest.mark.parametrize(
    ("base_top", "guide_top", "agreement", "expected"),
    [(0.39, 0.9, 0.0, 0.698), (0.39, 0.1, 0.0, 0.204), (0.1, 0.9, 0.1, 0.91), (0.3, 0.3, 0.3, 0.53)],
)
def test_alpha_matches_worked_values(base_top, guide_top, agreement, expected):
    """Equation 3 by hand: the guide's confidence over both, and a tenth of the base's support."""
    same = agreement == base_top
    base = {b"b": base_top} if same else {b"b": base_top, b"g": agreement}
    guide = {b"b" if same else b"g": guide_top}

    assert auto_alpha(base, guide, 0.1) == pytest.approx(expected, abs=5e-4)


@given(distributions, distributions, st.floats(0, 1))
def test_alpha_is_a_weight(base, guide, bonus):
    """Equation 3 stays in [0, 1] whatever the distributions."""
    assert 0 <= auto_alpha(base, guide, bonus) <= 1


@given(distributions, distributions, st.floats(0, 1))
def test_a_blend_is_a_distribution(base, guide, alpha):
    """Equation 4 normalised sums to one and never invents a candidate."""
    blended = blend(base, guide, alpha)

    assert sum(blended.values()) == pytest.approx(1.0)
    assert blended.keys() <= base.keys() | guide.keys()


tickets = st.dictionaries(pieces, st.integers(1, 60), min_size=1)


@given(tickets, tickets, st.integers(0, 8))
def test_a_blend_equals_enumeration(base, guide, faces):
    """A coin with 8 faces chooses whose ticket is drawn: the blend is what counting all outcomes gives."""
    outcomes = []
    for face in range(8):
        drawn = guide if face < faces else base
        outcomes += [piece for piece, n in drawn.items() for _ in range(n)]

    blended = blend(
        {s: n / 1000 for s, n in base.items()}, {s: n / 1000 for s, n in guide.items()}, faces / 8
    )

    assert blended == pytest.approx({s: outcomes.count(s) / len(outcomes) for s in set(outcomes)})
    assert list(blended.values()) == sorted(blended.values(), reverse=True)


class Urn:
    """A toy model: so many tickets for each token id, some of equal bytes, some ends, one silent."""

    def __init__(self, words, counts, ends):
        self.pieces, self.counts = [*words, b"<1>", b"<2>", b""], counts[: len(words) + 3]
        self.counts[-1] = min(self.counts[-1], sum(self.counts[:-1]) // 2)  # silent for less than a half
        self.ends = [len(words) + i for i in range(ends)]
        self.table = TokenTable.build(self.pieces, self.ends)

    def predict(self, top_k):
        return Prediction(np.log(np.array(self.counts, np.float32)), self.table, top_k)

    def enumerated(self, top_k):
        """The k largest candidates with their shares of all tickets, counted one ticket at a time."""
        drawn = {}
        for i, n in enumerate(self.counts):
            for _ in range(n):
                said = END if i in self.ends else self.pieces[i]
                if said or i in self.ends:
                    drawn[said] = drawn.get(said, 0) + 1
        shares = sorted(drawn.items(), key=lambda item: -item[1])
        if len(shares) > top_k and shares[top_k - 1][1] == shares[top_k][1]:
            return None  # who is listed is decided by the ids
        return {s: Fraction(n, sum(self.counts)) for s, n in shares[:top_k]}

    def best_token(self):
        return max(
            Fraction(n, sum(self.counts)) for i, n in enumerate(self.counts) if self.table.speakable[i]
        )


words = st.lists(st.sampled_from([b"a", b"b", b"ab", b" c", b"\xf0\x9f"]), min_size=1, max_size=6)
urns = st.builds(Urn, words, st.lists(st.integers(1, 40), min_size=9, max_size=9), st.integers(1, 2))


@given(urns, urns, st.integers(1, 8))
def test_a_step_of_the_paper_equals_enumeration(base, guide, top_k):
    """Algorithm 1, lines 6 to 14, in whole numbers: uncertainty, equation 3, equation 4, equation 5."""
    assume(abs(base.best_token() - Fraction(4, 10)) > Fraction(1, 10**6))  # as fine as float32 is
    b, g = base.enumerated(top_k), guide.enumerated(top_k)
    deciding = METHODS["blendin"](BlendSettings(), AnswerState())
    asked = [next(deciding).role]
    decision = None
    try:
        asked.append(deciding.send(base.predict(top_k)).role)
        deciding.send(guide.predict(top_k))
    except StopIteration as finished:
        decision = finished.value

    sure = base.best_token() > Fraction(4, 10)
    assert asked == (["base"] if sure else ["base", "guide"])
    if sure or b is None or g is None:
        return
    favourites = [s for s in g if g[s] == max(g.values())]
    weight = max(g.values()) / (max(g.values()) + max(b.values()))
    alpha = min(1, weight + Fraction(1, 10) * b.get(min(favourites), 0))
    assert decision.alpha == pytest.approx(float(alpha), abs=1e-5) or len(favourites) > 1
    alpha = Fraction(decision.alpha)
    mixed = {s: alpha * g.get(s, 0) + (1 - alpha) * b.get(s, 0) for s in {*b, *g}}
    said = decision.options.distribution()
    assert said == pytest.approx({s: float(p / sum(mixed.values())) for s, p in mixed.items()}, abs=1e-5)
    assert mixed[decision.options.best()] >= max(mixed.values()) - Fraction(1, 10**5)


@given(distributions, distributions)
def test_the_ends_of_alpha_are_the_models_themselves(base, guide):
    """With alpha 0 the base decides alone, with 1 the guide."""
    assert greedy(blend(base, guide, 0.0), base) == likeliest(base)
    assert blend(base, guide, 1.0)[likeliest(guide)] == pytest.approx(
        max(guide.values()) / sum(guide.values())
    )


def test_ties_go_to_the_base_then_to_the_smaller_bytes():
    """Equation 5 where candidates are equal."""
    assert greedy({b"a": 0.5, b"b": 0.5}, {b"b": 0.1}) == b"b"
    assert greedy({b"b": 0.5, b"a": 0.5}, {}) == b"a"
