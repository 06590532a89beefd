"""A constraint allows exactly what can still become a text of the prescribed form."""

from __future__ import annotations

import itertools
import json
import re

import jsonschema
import numpy as np
import pytest
from llguidance import LLMatcher

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import METHODS, roles_of
from blendin_local.core.text import is_whole
from blendin_local.errors import PairError, UsageError
from blendin_local.grammar.matcher import GrammarConstraint
from blendin_local.grammar.vocabulary import NEVER, GrammarVocabulary
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import SILENT, converse, spoken

ALPHABET = "abc"
LONGEST = 9
REGEXES = ["(ab|ba)*c?", "a{2,4}b", "(a|b)*abb", "abc", "a?b?c?", "(abc)+|cab", "[ab]{3}"]
PIECES = [b"a", b"b", b"c", b"ab", b"ba", b"abc", b"bb", b"cab", b"<end>", b"", b"ab", b"\xff"]
TABLE = TokenTable.build(PIECES, end_ids=[PIECES.index(b"<end>")])
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def language(regex: str) -> set[bytes]:
    """Every text of the form with at most `LONGEST` characters, by trying them all."""
    texts = ("".join(t) for n in range(LONGEST + 1) for t in itertools.product(ALPHABET, repeat=n))
    return {text.encode() for text in texts if re.fullmatch(regex, text)}


def constraint(grammar: str, *tables: TokenTable) -> GrammarConstraint:
    return GrammarConstraint(GrammarVocabulary(tables), grammar)


def of_regex(regex: str, *tables: TokenTable) -> GrammarConstraint:
    return constraint(LLMatcher.grammar_from_regex(regex), *tables)


def of_schema(schema: object, *tables: TokenTable) -> GrammarConstraint:
    return constraint(LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=COMPACT), *tables)


def prediction(table: TokenTable, seed: int, top_k: int = 100) -> Prediction:
    logits = np.random.default_rng(seed).normal(size=len(table)).astype(np.float32)
    return Prediction(logits, table, top_k)


def probabilities(of: Prediction) -> dict[bytes, float]:
    return {piece: p for piece in of.table.ids if (p := of.probability(piece))}


@pytest.mark.parametrize("regex", REGEXES)
def test_what_is_legal_is_what_brute_force_over_all_texts_finds(regex):
    """A token may come where some text of the form goes on with it, END where the text is one."""
    texts, allowed = language(regex), of_regex(regex, TABLE)
    beginnings = {text[:n] for text in texts for n in range(len(text) + 1)}
    for start in sorted(t for t in beginnings if len(t) <= LONGEST - 6):
        legal = {p for p in PIECES if p not in {b"", b"<end>"} and start + p in beginnings}
        if start in texts:
            legal.add(END)
        assert set(probabilities(allowed.condition(prediction(TABLE, 1), start))) == legal
        assert allowed.is_complete(start) == (start in texts)


@pytest.mark.parametrize("regex", REGEXES)
def test_forced_text_is_the_common_beginning_of_all_that_may_follow(regex):
    """It is as long as it can be, and empty where the answer may end."""
    texts, allowed = language(regex), of_regex(regex)
    for start in sorted({text[:n] for text in texts for n in range(len(text) + 1)}):
        going_on = [text for text in texts if text.startswith(start)]
        common = min(going_on, key=len)
        while not all(text.startswith(common) for text in going_on):
            common = common[:-1]
        if len(start) <= LONGEST - 6:
            assert start + allowed.forced(start) == common
            assert allowed.must_end(start) == (going_on == [start])


def test_conditioning_conserves_mass_and_keeps_ratios():
    """Legal candidates keep their odds and add up to 1; the rest has nothing, and its share is recorded."""
    allowed = of_regex("(ab|ba)*c?", TABLE)
    raw = prediction(TABLE, 3)
    conditioned = allowed.condition(raw, b"ab")
    before, after = probabilities(raw), probabilities(conditioned)
    assert sum(after.values()) == pytest.approx(1)
    assert conditioned.legal_mass == pytest.approx(sum(before[piece] for piece in after))
    for piece, p in after.items():
        assert p * conditioned.legal_mass == pytest.approx(before[piece])
        assert conditioned.candidates[piece] == pytest.approx(p)
    assert conditioned.top == max(after, key=lambda piece: after[piece])


def test_where_the_model_gives_legal_tokens_no_probability_all_are_equally_likely():
    """Rounding to zero leaves a distribution, not a division by zero."""
    logits = np.full(len(PIECES), -200, np.float32)
    logits[PIECES.index(b"c")] = 0
    conditioned = of_regex("a|b", TABLE).condition(Prediction(logits, TABLE, 10), b"")
    assert probabilities(conditioned) == pytest.approx({b"a": 0.5, b"b": 0.5})
    assert conditioned.legal_mass == 0


def test_it_does_not_matter_in_which_order_texts_are_asked_about():
    """Going back and forth between texts, wrong ones among them, gives what a fresh constraint gives."""
    used = of_schema(PERSON)
    whole = b'{"name": "Bo", "age": 7}'
    texts = [whole[:n] for n in range(len(whole) + 1)] + [b"x", b'{"nam!', whole + b" "]
    for i in np.random.default_rng(0).integers(len(texts), size=200):
        fresh, text = of_schema(PERSON), texts[i]
        for name in ("accepts", "forced", "must_end", "is_complete"):
            assert getattr(used, name)(text) == getattr(fresh, name)(text), (name, text)


def test_a_vocabulary_that_was_not_included_is_checked_by_its_likeliest_tokens():
    """With single bytes only, the same tokens are legal as with the vocabulary itself."""
    exact, by_bytes = of_regex("(ab|ba)*c?", TABLE), of_regex("(ab|ba)*c?")
    for start in (b"", b"a", b"ab", b"abba"):
        of_both = [each.condition(prediction(TABLE, 5), start) for each in (exact, by_bytes)]
        assert probabilities(of_both[0]) == pytest.approx(probabilities(of_both[1]))


def test_forced_text_is_whole_characters():
    """Where two characters share their first byte, that byte alone is not written."""
    allowed = of_regex("(é|è)!")
    assert allowed.forced(b"") == b""
    assert allowed.forced("é".encode()) == b"!"


def test_a_grammar_without_an_end_is_an_error_and_does_not_fill_the_memory():
    """A rule that only calls itself forces a text that never ends."""
    endless = constraint(LLMatcher.grammar_from_lark('start: "ab" start'))
    with pytest.raises(PairError, match="too hard to follow"):
        follow(endless, 200_000)


def follow(allowed: GrammarConstraint, n_bytes: int) -> None:
    """Go along what is forced, for at least so many bytes."""
    text = b""
    while len(text) < n_bytes:
        text += allowed.forced(text)


def test_a_model_without_any_legal_token_is_told_of():
    """The vocabulary may lack a character that the form asks for."""
    with pytest.raises(PairError, match="no token with which the answer may go on"):
        of_regex("z", TABLE).condition(prediction(TABLE, 0), b"")


def test_a_wrong_grammar_is_an_error_of_the_user():
    """The reason is the first line of what llguidance says."""
    with pytest.raises(UsageError, match="the grammar cannot be used"):
        constraint("start: %%%")


def test_silent_tokens_are_never_legal():
    """Whatever a grammar says, a token without bytes does not come."""
    vocabulary = GrammarVocabulary([TABLE])
    ids = vocabulary.ids_of(TABLE)
    assert ids is not None
    assert [i for i in range(len(PIECES)) if ids[i] == NEVER] == [9, 11]
    mentioned = GrammarConstraint(vocabulary, LLMatcher.grammar_from_lark(f'start: <[{NEVER}]> | "a"'))
    assert set(probabilities(mentioned.condition(prediction(TABLE, 0), b""))) == {b"a"}


LETTERS = [bytes([b]) for b in range(32, 127)] + [
    b'{"', b'": ', b'", "', b"Ann", b"Bob", b"12", b"7}", b'"}', "é".encode(), b"\xc3", b"\xa9", b"<end>",
]  # fmt: skip
BASE_TABLE = TokenTable.build(LETTERS, end_ids=[len(LETTERS) - 1])
GUIDE_TABLE = TokenTable.build(LETTERS[::-1], end_ids=[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_every_answer_of_every_method_has_the_form(method, temperature):
    """Greedy or sampled, an answer is valid, or was cut by its length and says so; no step is illegal."""
    needed = roles_of(method)
    for seed in range(6):
        for schema in (PERSON, {"type": "array", "items": {"enum": ["a", "é", 1]}, "maxItems": 3}):
            allowed = of_schema(schema, BASE_TABLE, GUIDE_TABLE)
            steps, ending, roles = converse(
                random_model(seed, BASE_TABLE),
                random_model(seed + 100, GUIDE_TABLE),
                random_model(seed + 200, GUIDE_TABLE),
                blend=BlendSettings(method=method),
                sampling=SamplingSettings(temperature=temperature, seed=seed),
                answer=AnswerSettings(max_tokens=80),
                constraint=allowed,
            )
            text = b"".join(step.bytes for step in steps)
            assert all(is_whole(step.bytes) for step in steps)
            assert allowed.accepts(text)
            if ending.stopped_by == "max_tokens":
                assert not allowed.must_end(text)
            else:
                assert ending.stopped_by == "complete"
                jsonschema.validate(json.loads(text), schema)
            if method != "nudging-words":  # whose guide looks ahead over several steps
                asked = [text for role in needed for text in roles[role].questions]
                assert not any(allowed.forced(text) for text in asked if text in prefixes(steps))
                assert not any(allowed.must_end(text) for text in asked)


def test_a_model_that_makes_no_suggestion_still_finishes_its_character():
    """Under a constraint its likeliest legal token continues the character, however little it means it."""

    def silent(text: bytes):
        return {b"\xc3": 0.2, b"\xa9": 0.05, b"x": 0.05, SILENT: 0.7} if text else {b"\xc3": 0.9}

    steps, ending, _ = converse(silent, blend=BlendSettings(method="base"), constraint=of_regex("[éè]x"))
    assert [step.bytes for step in steps] == ["é".encode(), b"x"]
    assert ending.stopped_by == "complete"


def test_the_loop_guard_does_not_cut_what_must_go_on():
    """A form may ask for the same thing many times; the guard waits until the answer is complete."""
    same = lambda _: {b"ab": 0.9, b"ba": 0.1}  # noqa: E731
    limits = AnswerSettings(max_tokens=400)
    _, ending, _ = converse(same, answer=limits, constraint=of_regex("(ab|ba){200}"))
    assert ending.text == b"ab" * 200
    _, ending, _ = converse(same, answer=limits, constraint=of_regex("(ab|ba){150,}"))
    assert (ending.stopped_by, ending.text) == ("repetition", b"ab" * 150)


@pytest.mark.parametrize("k", range(1, 8))
def test_an_answer_that_is_begun_with_its_own_steps_goes_on_the_same(k):
    """Forced steps too use up one random number, so that a fork draws what the whole answer drew."""
    model = random_model(3, BASE_TABLE)
    sampling = SamplingSettings(temperature=2.0, seed=5)
    limits = AnswerSettings(max_tokens=40)
    schema = {"type": "array", "items": {"enum": ["one", "two", "three"]}, "minItems": 4}

    def run(start):
        blend, allowed = BlendSettings(method="base"), of_schema(schema, BASE_TABLE)
        return converse(
            model, blend=blend, sampling=sampling, answer=limits, start=start, constraint=allowed
        )[0]

    every = run(())
    again = run(every[:k])
    assert [step.bytes for step in again] == [step.bytes for step in every]
    assert any(step.source == "forced" for step in every[k:])


def test_the_words_that_a_guide_drafted_do_not_outlive_forced_text():
    """Forced text takes the place of the next words, which would otherwise be said twice."""
    letters = {bytes([letter]): 0.001 for letter in b"abcdefghijklmnopqrstuvwxyz "}
    pieces = spoken([b"one", b" and ", b"three"], p=0.9)
    steps, ending, _ = converse(
        lambda _: letters,
        lambda text: letters | pieces(text),
        blend=BlendSettings(method="nudging-words", threshold=1),
        constraint=of_regex("(one|two) and (three|four)"),
    )
    assert ending.text == b"one and three"
    assert [step.source for step in steps] == ["changed", "forced", "changed"]


def prefixes(steps):
    """The texts at which a step begins."""
    return set(itertools.accumulate((step.bytes for step in steps), initial=b""))


def random_model(seed: int, table: TokenTable):
    """A distribution over one vocabulary that is a function of the text."""

    def script(text: bytes):
        logits = np.random.default_rng([seed, *text]).normal(size=len(table)) * 2
        return dict(zip(table.pieces, np.exp(logits) / np.exp(logits).sum(), strict=True))

    return script
