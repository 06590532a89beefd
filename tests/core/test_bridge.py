"""The bridge `prefix` against brute-force enumeration on toy vocabularies."""

import zlib
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.bridge import (
    SplitLimits,
    merge_onto_prefixes,
    prefix_token,
    project,
    resolve_splits,
)
from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.settings import BlendSettings

EVERYTHING = SplitLimits(max_questions=10_000, min_prefix_p=0.0, min_candidate_p=0.0)

pieces = st.lists(st.text("abé", min_size=1, max_size=4), min_size=1, max_size=10, unique=True)
vocabularies = pieces.map(lambda texts: [text.encode() for text in texts])


def table_of(vocabulary):
    """A vocabulary with two ends, a twin and a silent token."""
    return TokenTable.build(
        [*vocabulary, vocabulary[0], b"<1>", b"<2>", b""], [len(vocabulary) + 1, len(vocabulary) + 2]
    )


class Toy:
    """A model whose logits after a text are random, but always the same."""

    def __init__(self, vocabulary, seed, top_k=100):
        self.table, self.seed, self.top_k = table_of(vocabulary), seed, top_k
        self.questions = []

    def after(self, text):
        rng = np.random.default_rng([self.seed, zlib.crc32(text)])
        logits = (3 * rng.standard_normal(len(self.table))).astype(np.float32)
        return Prediction(logits, self.table, self.top_k)

    def answer(self, projection):
        """Run a generator that asks this model."""
        try:
            wanted = next(projection)
            while True:
                self.questions.append(wanted.after)
                wanted = projection.send(self.after(wanted.after))
        except StopIteration as finished:
            return finished.value


def enumerated(other, base):
    """The rule written out: every way the other model may continue, and where it counts."""
    known, proposed = base.table.ids, base.candidates
    lacking = [s for s in proposed if s and s not in other.table.ids]
    projected = {}

    def walk(text, mass, counts_for):
        aims = [s for s in lacking if s.startswith(text) and s != text] if text else []
        if not aims:
            projected[counts_for] = projected.get(counts_for, 0.0) + mass
            return
        for piece, p in other.after(text).candidates.items():
            longer = text + piece
            reached = [s for s in aims if longer.startswith(s)]
            if piece == END:
                projected[counts_for] = projected.get(counts_for, 0.0) + mass * p
            else:
                walk(longer, mass * p, max(reached, key=len, default=counts_for))
        silent = 1 - sum(other.after(text).candidates.values())
        projected[counts_for] = projected.get(counts_for, 0.0) + mass * silent

    for piece, p in other.after(b"").candidates.items():
        prefixes = [s for s in known if s and s != piece and piece.startswith(s) and _whole(s)]
        prefix = max(prefixes, key=len, default=piece)
        walk(piece, p, prefix if piece not in known and prefix in proposed else piece)
    return projected


def _whole(piece):
    return piece.decode(errors="replace").encode() == piece


@given(vocabularies, vocabularies, st.integers(0, 99), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_the_bridge_is_the_enumeration(base_words, other_words, seed, n_proposed):
    """With nothing cut, the projected masses are those of all continuations of the other model."""
    base, other = Toy(base_words, seed, n_proposed).after(b""), Toy(other_words, seed + 1)
    here = other.after(b"")

    projected = other.answer(resolve_splits(merge_onto_prefixes(here, base), here, "guide", base, EVERYTHING))

    expected = enumerated(other, base)
    assert {s: p for s, p in projected.items() if p > 1e-6} == pytest.approx(
        {s: p for s, p in expected.items() if p > 1e-6}, abs=1e-5
    )


@given(vocabularies, vocabularies, st.integers(0, 99), st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_mass_only_moves(base_words, other_words, seed, top_k, n_questions):
    """However little is listed or followed, no mass is negative, and all together are at most 1."""
    base, other = Toy(base_words, seed, top_k).after(b""), Toy(other_words, seed + 1, top_k)
    here = other.after(b"")

    projected = other.answer(
        resolve_splits(
            merge_onto_prefixes(here, base), here, "guide", base, SplitLimits(n_questions, 0.0, 0.0)
        )
    )

    assert min(projected.values()) >= -1e-7
    assert sum(projected.values()) <= 1 + 1e-5
    assert list(projected.values()) == sorted(projected.values(), reverse=True)
    assert len(other.questions) <= n_questions


equal_lengths = st.lists(st.text("abc", min_size=2, max_size=2), min_size=1, max_size=9, unique=True)


@given(equal_lengths, equal_lengths, st.integers(0, 99))
def test_where_no_token_begins_with_another_the_bridges_are_the_same(base_words, other_words, seed):
    """Vocabularies without beginnings: `prefix` is `bytes`, and nothing is asked."""
    base = Toy([w.encode() for w in base_words], seed).after(b"")
    other = Toy([w.encode() for w in other_words], seed + 1)
    here = other.after(b"")
    projected = other.answer(project(here, "guide", base, BlendSettings(bridge="prefix")))
    by_bytes = other.answer(project(here, "guide", base, BlendSettings(bridge="bytes")))

    assert projected == by_bytes == here.candidates
    assert other.questions == []


def prediction(**masses):
    table = TokenTable.build([w.encode() for w in masses], [])
    return Prediction(np.log(np.array(list(masses.values()), dtype=np.float32)), table, 100)


def test_numbers_meet_at_their_first_digit():
    """A guide of three digits a token and a base of one: the masses of 120 to 199 count for the base's 1."""
    base = prediction(**{"1": 0.4, "2": 0.35, "3": 0.25})
    guide = prediction(**{"123": 0.3, "124": 0.25, "200": 0.4, "7": 0.05})

    projected = next(iter_result(resolve_splits(merge_onto_prefixes(guide, base), guide, "guide", base)))

    assert projected == pytest.approx({b"1": 0.55, b"2": 0.4, b"7": 0.05})


def iter_result(projection):
    try:
        while True:
            next(projection)
    except StopIteration as finished:
        yield finished.value


def test_a_short_candidate_is_not_credited_with_words_of_its_own_model():
    """The trap: " t" is no prefix token of words that the base has as tokens, proposed or not."""
    base_table = TokenTable.build([b" t", b" the", b" a", b" tomato"], [])
    base = Prediction(np.log(np.array([0.01, 0.4, 0.58, 0.01], dtype=np.float32)), base_table, 3)
    guide = prediction(**{" the": 0.3, " tomato": 0.6, " tokamak": 0.1})

    projected = merge_onto_prefixes(guide, base)

    assert b" tomato" not in list(base.candidates)[:2]
    assert projected == pytest.approx({b" tomato": 0.6, b" the": 0.3, b" t": 0.1})


def test_a_beginning_is_followed_to_the_word_of_the_base():
    """The guide says Tom-ato, the base has Tomato whole: one question moves what goes on to it."""
    base = prediction(**{" Tom": 0.3, " Tomato": 0.3, " x": 0.4})
    guide = prediction(**{" Tom": 0.9, " y": 0.1})
    projection = resolve_splits(merge_onto_prefixes(guide, base), guide, "guide", base)

    asked = next(projection)
    with pytest.raises(StopIteration) as finished:
        projection.send(prediction(ato=0.5, atoes=0.25, a=0.05, my=0.2))

    assert (asked.role, asked.after) == ("guide", b" Tom")
    assert finished.value.value == pytest.approx({b" Tomato": 0.675, b" Tom": 0.225, b" y": 0.1})


def test_light_beginnings_are_not_followed():
    """A question costs an evaluation: none is asked for what could hardly matter."""
    base = prediction(**{" Tom": 0.3, " Tomato": 0.04, " x": 0.66})
    guide = prediction(**{" Tom": 0.9, " y": 0.1})

    assert list(islice(resolve_splits(merge_onto_prefixes(guide, base), guide, "guide", base), 1)) == []


def test_a_prefix_token_is_whole_characters_long():
    """Half a character would be finished to one that nobody proposed."""
    word = "añb".encode()
    ids = dict.fromkeys((b"a", word[:2], word[:3]), 0)

    assert prefix_token(word, ids) == word[:3]
    assert prefix_token(word[:3], ids) == b"a"
    assert prefix_token(END, ids) is None
