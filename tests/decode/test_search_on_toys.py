"""The search over chunks on tiny models of every kind of memory, and what a pair must have for it."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from blendin_local.core.methods import METHODS, STEERED
from blendin_local.core.record_json import completion_from_json, completion_to_json
from blendin_local.decode.request import GenerationSettings
from blendin_local.decode.search import ENDED_BY_ITSELF, seed_of
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import PairError, UsageError
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.near_ties import whole
from tests.prompts import TEMPLATE
from tests.toys import KINDS, make_toy

EXACT = ModelSettings(ctx_size=256, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=14, loop_guard=False, draft="off")
SAMPLED = SamplingSettings(temperature=0.9, seed=3)
ONE = replace(SAMPLED, search="1,1,4")
MANY = replace(SAMPLED, search="2,2,4")
QUESTION = "the hello world and a much longer question of hello and the world, hello and the world"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three toys of each kind: a base, a guide and an untuned guide."""
    folder = tmp_path_factory.mktemp("trios")
    return {
        kind: [make_toy(folder / f"{kind}-{seed}.gguf", kind, seed=seed) for seed in range(3)]
        for kind in KINDS
    }


def open_trio(files, kind, n_parallel=5):
    base, guide, untuned = files[kind]
    return Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=n_parallel, untuned=untuned))


@pytest.fixture(scope="module", params=KINDS)
def trio(request, files):
    """An open trio of one kind, with five sequences of each model."""
    with open_trio(files, request.param) as opened:
        yield opened


def whole_texts(record):
    """The whole text of every beam of every chunk, by following its parents."""
    texts = []
    for chunk in record.chunks:
        before = ["" if beam.parent is None else texts[-1][beam.parent] for beam in chunk]
        texts.append([text + beam.text for text, beam in zip(before, chunk, strict=True)])
    return texts


@pytest.mark.parametrize("sampling", [ONE, SamplingSettings(search="1,1,3")], ids=["sampled", "greedy"])
def test_one_sequence_is_the_plain_method(trio, sampling):
    """W = K = 1: every method makes the steps it makes without a search, wherever the chunks are cut."""
    for method in set(METHODS) - {STEERED}:
        blend = BlendSettings(method=method, threshold=0.3, cap=0.4)
        plain = trio.respond(QUESTION, blend=blend, sampling=replace(sampling, search=None), answer=LIMITS)
        found = trio.respond(QUESTION, blend=blend, sampling=sampling, answer=LIMITS)

        assert found.text == plain.text
        assert found.stopped_by == plain.stopped_by
        assert [(s.bytes, s.source) for s in whole(found)] == [(s.bytes, s.source) for s in whole(plain)]
        for ours, theirs in zip(found.steps, plain.steps, strict=True):
            assert ours.alpha == pytest.approx(theirs.alpha, abs=1e-4)
            if ours.base_top:
                assert ours.base_top.p == pytest.approx(theirs.base_top.p, abs=1e-4)
        assert plain.search is None
        assert [len(chunk) for chunk in found.search.chunks] == [1] * len(found.search.chunks)


@pytest.mark.parametrize("method", ["base", "guide", "blendin", "kad"])
def test_a_sequence_writes_what_the_method_writes_with_its_seed(trio, method):
    """Until it is first copied over: in every sequence of the first chunk."""
    found = trio.respond(QUESTION, method=method, sampling=MANY, answer=LIMITS).search

    assert [beam.slot for beam in found.chunks[0]] == [0, 1, 2, 3]
    for beam in found.chunks[0]:
        alone = replace(SAMPLED, seed=seed_of(3, beam.slot))
        plain = trio.respond(QUESTION, method=method, sampling=alone, answer=LIMITS)
        assert beam.text == "".join(step.text for step in plain.steps[: beam.n_steps])


def test_penalties_and_given_starts_go_through_a_search(trio):
    """One sequence makes the plain answer there too."""
    more = {"repeat_penalty": 1.3, "dry_multiplier": 0.8}
    for start in ("hell", "the 😊 "):
        plain, found = (
            trio.respond(QUESTION, sampling=replace(each, **more), answer=LIMITS, answer_start=start)
            for each in (SAMPLED, ONE)
        )
        assert [step.bytes for step in found.steps] == [step.bytes for step in plain.steps]
        assert found.text.startswith(start)


@pytest.mark.parametrize("method", ["base", "guide", "blendin", "proxy"])
def test_scores_are_sums_of_what_a_pair_reads(trio, method):
    """Of every beam, the two log-probabilities are those of reading its whole text after the prompt."""
    found = trio.respond(QUESTION, method=method, sampling=MANY, answer=LIMITS)

    def read(role, text):
        prompt = trio.prompt_spans(role, QUESTION)
        n_prompt = len(trio.vocabulary(role).tokenize_prompt(prompt))
        scores = list(trio.read(role, [*prompt, Span(text, trusted=False)]))
        return sum(score.logprob for score in scores[n_prompt - 1 :])

    assert len(found.search.chunks) > 1
    for chunk, texts in zip(found.search.chunks, whole_texts(found.search), strict=True):
        for beam, text in zip(chunk, texts, strict=True):
            assert beam.n_bytes == len(text.encode())
            if beam.stopped_by not in ENDED_BY_ITSELF:
                assert beam.tuned == pytest.approx(read("guide", text), abs=2e-3)
                assert beam.untuned == pytest.approx(read("untuned", text), abs=2e-3)
    best = whole_texts(found.search)[-1][found.search.winner]
    assert best == found.text == "".join(step.text for step in found.steps)


def test_nothing_that_was_read_is_read_again(trio):
    """The base reads the prompt once for all, and then one token for each step that a sequence writes."""
    letters = replace(LIMITS, regex="[a-z ]+")  # a step is a token then, also as a text

    found = trio.respond("or " + QUESTION, method="base", sampling=MANY, answer=letters)

    before = [(), *found.search.chunks]
    pairs = [
        (beam, chunk[beam.parent] if chunk else None)
        for chunk, following in pairwise(before)
        for beam in following
    ]
    n_written = sum(beam.n_steps - (parent.n_steps if parent else 0) for beam, parent in pairs)
    n_ends = sum(
        beam.stopped_by == "base_end" and (parent is None or not parent.stopped_by) for beam, parent in pairs
    )
    n_prompt, n_read = found.usage.base_prompt_tokens, found.usage.base_tokens_evaluated
    assert n_prompt > 60
    n_needed = n_prompt - 1 + n_written + n_ends
    assert n_needed - 16 < n_read <= n_needed  # an earlier prompt begins with the same few tokens
    n_prompt, n_read = found.usage.guide_prompt_tokens, found.usage.guide_tokens_evaluated
    assert n_prompt < n_read < 3 * n_prompt  # what is scored comes to 16 texts; each after the prompt, once


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_finds_the_same_again(files, kind):
    """On a fresh pair the same steps, beams and scores; another seed draws others."""
    with open_trio(files, kind) as first, open_trio(files, kind) as second:
        one, again, other = (
            pair.respond(QUESTION, method="base", sampling=replace(MANY, seed=seed), answer=LIMITS)
            for pair, seed in ((first, 3), (second, 3), (second, 4))
        )

    assert (one.steps, one.search, one.text) == (again.steps, again.search, again.text)
    assert other.search.chunks[0] != one.search.chunks[0]


def test_a_stream_tells_what_becomes_of_it(trio):
    """The steps of the stream are those of the completion, which survives being written and read."""
    stream = trio.stream(QUESTION, sampling=MANY, answer=replace(LIMITS, top_logprobs=2))
    steps = list(stream)
    found = stream.completion

    assert tuple(steps) == found.steps
    assert found.signature["sampling"]["search"] == "2,2,4"
    assert set(found.signature["models"]) == {"base", "guide", "untuned"}
    read = completion_from_json(completion_to_json(found))
    assert (read.search, read.text) == (found.search, found.text)
    follow = trio.respond("a", sampling=SAMPLED, answer=LIMITS)
    assert follow.search is None
    assert "search" not in follow.signature["sampling"]


def test_a_search_has_no_drafts(trio):
    """Its sequences share batches anyway; what is found is the same whatever is asked for."""
    drafted, plain = (
        trio.respond(QUESTION, sampling=MANY, answer=replace(LIMITS, draft=draft))
        for draft in ("ngram", "off")
    )
    prepared = [trio.prepare(QUESTION, GenerationSettings(sampling=each)) for each in (MANY, SAMPLED)]

    assert drafted.text == plain.text
    assert [request.acceptance is None for request in prepared] == [True, False]


def test_an_answer_in_a_form_can_be_searched(trio):
    """Every sequence keeps to it."""
    answer = replace(LIMITS, regex="(he|lo|d )+[.]", max_tokens=40)

    found = trio.respond(QUESTION, sampling=MANY, answer=answer)

    begun = re.compile(r"(he|lo|d )*(h|l|d|\.)?")
    assert all(begun.fullmatch(text) for texts in whole_texts(found.search) for text in texts)
    assert found.complete is found.text.endswith(".")


def test_what_a_search_needs(files, tmp_path):
    """Too few sequences, no untuned guide, no temperature: one line each that says what to do."""
    base, guide, untuned = files["plain"]
    setup = PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=4, untuned=untuned)
    with Pair(setup) as pair:
        with pytest.raises(PairError, match=r"needs 5 sequences.*opened with 4") as few:
            pair.stream("the", sampling=MANY)
        assert "n_parallel=5" in few.value.hint
        assert pair.respond("the", sampling=replace(MANY, search="1,3,2"), answer=LIMITS).search
    with Pair(replace(setup, untuned=None)) as pair, pytest.raises(UsageError, match="a third model"):
        pair.stream("the", sampling=ONE)
    with pytest.raises(UsageError, match="the same answer 4 times at temperature 0"):
        SamplingSettings(search="2,2,4")
    with pytest.raises(UsageError, match="'2,2'"):
        SamplingSettings(search="2,2")
