"""Laws of the search over chunks on models whose every answer can be listed: the best is found."""

from __future__ import annotations

import itertools
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest

from blendin_local.core.answer_start import start_steps
from blendin_local.core.beams import SearchRecord, best_beams, share_copies
from blendin_local.core.candidates import TokenTable
from blendin_local.decode.request import GenerationSettings, PreparedRequest, start_request
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.search import ENDED_BY_ITSELF, search, seed_of
from blendin_local.engine.context import StoppedError
from blendin_local.engine.sequence import EvalCounter, TokenSequence
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

ALPHABET = (b"a", b"b", b" ")
VOCABULARIES = {
    "base": (*ALPHABET, b"<end>"),
    "guide": (b"ab", *ALPHABET, b" a", b"<end>", b"<stop>"),  # two tokens that end an answer
    "untuned": (b"<end>", b"ba", b"  ", *ALPHABET),
}
N = 3  # steps of an answer
EVERY_TEXT = [b"".join(t) for n in range(N + 1) for t in itertools.product(ALPHABET, repeat=n)]


class Listed:
    """A vocabulary of a few pieces, longest match first, and logits that are a function of the text alone."""

    def __init__(self, role, seed, end):
        self.pieces = VOCABULARIES[role]
        self.end_ids = frozenset(i for i, piece in enumerate(self.pieces) if piece.startswith(b"<"))
        self.table = TokenTable.build(self.pieces, self.end_ids)
        self.role, self.seed, self.end = role, seed, end

    def tokenize_following(self, text):
        data, ids = text.encode(), []
        while data:
            fits = (i for i, p in enumerate(self.pieces) if data.startswith(p) and i not in self.end_ids)
            ids.append(max(fits, key=lambda i: len(self.pieces[i])))
            data = data[len(self.pieces[ids[-1]]) :]
        return ids

    def tokenize_prompt(self, spans):
        return [*range(3), *self.tokenize_following("".join(span.text for span in spans))]

    def is_boundary(self, text, at):
        return at == 0

    def logits_after(self, text):
        if self.role == "base":
            return np.array([0, 0, 0, self.end], np.float32)  # all of its texts are alike
        rng = np.random.default_rng([zlib.crc32(text), self.seed, len(self.role)])
        return (rng.normal(size=len(self.pieces)) * 2).astype(np.float32)

    def logprobs_after(self, text):
        logits = self.logits_after(text).astype(np.float64)
        return logits - np.log(np.exp(logits).sum())


class ListedContext:
    """What a search asks of a context, without a model."""

    def __init__(self, vocabulary, size):
        self.model = type("Model", (), {"vocabulary": vocabulary})
        self.vocabulary, self.ctx_size, self.rewinder = vocabulary, size, self
        self.counter = EvalCounter()

    drops_any_tail = True

    def require_room(self, sequence):
        if len(sequence.ids) > self.ctx_size:
            raise ContextFullError(n_prompt=len(sequence.ids), n_ctx=self.ctx_size)

    def rewind(self, sequence, keep):
        sequence.shrink_to(min(sequence.n_valid, keep))

    def keep_place(self, sequence):
        """Nothing is ever lost."""

    def copy(self, source, target):
        target.take_over(source)

    def advance(self, sequences, should_stop=lambda: False, spare=()):
        if should_stop():
            raise StoppedError
        return {sequence: [list(self.next_logits(sequence, n=1000))[-1]] for sequence in sequences}

    def next_logits(self, sequence, should_stop=lambda: False, n=2):
        if should_stop():
            raise StoppedError
        self.require_room(sequence)
        first = min(sequence.n_valid, len(sequence.ids) - 1)
        last = min(first + n, len(sequence.ids))
        sequence.shrink_to(last)
        sequence.counter.tokens += last - first
        return (self._row(sequence, at) for at in range(first, last))

    def _row(self, sequence, at):
        ids = sequence.ids[sequence.n_prompt : at + 1]
        return self.vocabulary.logits_after(b"".join(self.vocabulary.pieces[i] for i in ids))


def slots_of(n, seed, sizes=(), end=-4.0):
    """So many sequences of each model; `end` is the base's logit of END, that of all else is 0."""
    vocabularies = {role: Listed(role, seed, end) for role in VOCABULARIES}
    sizes = dict.fromkeys(VOCABULARIES, 100) | dict(sizes)
    contexts = {role: ListedContext(each, sizes[role]) for role, each in vocabularies.items()}
    return [
        {
            role: RoleContext(context, TokenSequence(i, context.vocabulary), context.vocabulary.table)
            for role, context in contexts.items()
        }
        for i in range(n)
    ]


def asked(size, method="base", seed=7, start="", **limits):
    answer = AnswerSettings(**{"max_tokens": N, "loop_guard": False, **limits})
    return PreparedRequest(
        {role: (Span("a", trusted=False),) for role in VOCABULARIES},
        GenerationSettings(
            BlendSettings(method=method), SamplingSettings(temperature=1, seed=seed, search=size), answer
        ),
        signature={},
        answer_start=start_steps(start),
    )


def find(request, slots, should_stop=lambda: False):
    """The steps, and what the search returned."""
    start_request(request, slots[0])
    running, steps = search(request, slots, should_stop), []
    while True:
        try:
            steps.append(next(running))
        except StopIteration as finished:
            return steps, *finished.value


def log_p(vocabulary, text, *, ended):
    """What a model says of a whole text, token by token from the start."""
    total, said = 0.0, b""
    for token in vocabulary.tokenize_following(text.decode()):
        total += vocabulary.logprobs_after(said)[token]
        said += vocabulary.pieces[token]
    if ended:
        total += math.log(sum(np.exp(vocabulary.logprobs_after(said)[i]) for i in vocabulary.end_ids))
    return total


def score(slots, text, *, ended):
    tuned, untuned = (slots[0][role].context.vocabulary for role in ("guide", "untuned"))
    return log_p(tuned, text, ended=ended) - log_p(untuned, text, ended=ended)


def whole_texts(record):
    """The whole text of every beam of every chunk, by following its parents."""
    texts = []
    for chunk in record.chunks:
        before = [b"" if beam.parent is None else texts[-1][beam.parent] for beam in chunk]
        texts.append([text + beam.text.encode() for text, beam in zip(before, chunk, strict=True)])
    return texts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", ["1,250,3", "83,3,3", "40,6,1", "40,6,2"])
def test_the_best_of_all_answers_is_found(seed, size):
    """With room for every answer, the one found is the best of all, wherever the chunks are cut."""
    slots = slots_of(260, seed, end=0.0)
    scores = {
        (text, ended): score(slots, text, ended=ended)
        for text in EVERY_TEXT
        for ended in ([True] if len(text) < N else [False])
    }

    steps, ending, record = find(asked(size), slots)

    found = (ending.text, ending.stopped_by in ENDED_BY_ITSELF)
    assert found == max(scores, key=scores.__getitem__)
    assert record.best.score == pytest.approx(scores[found])
    assert b"".join(step.bytes for step in steps) == ending.text


@pytest.mark.parametrize("size", ["2,3,1", "3,2,2"])
@pytest.mark.parametrize("method", ["base", "guide", "proxy"])
def test_every_score_is_that_of_the_whole_text(size, method):
    """Whatever a chunk changed of the tokens before it; with END only where an answer ended by itself."""
    slots = slots_of(7, 1)

    _, _, record = find(asked(size, method, max_tokens=8), slots)

    assert len(record.chunks) > 2
    for chunk, texts in zip(record.chunks, whole_texts(record), strict=True):
        for beam, text in zip(chunk, texts, strict=True):
            assert beam.n_bytes == len(text)
            assert beam.score == pytest.approx(
                score(slots, text, ended=beam.stopped_by in ENDED_BY_ITSELF), abs=1e-5
            )
            assert beam.score == pytest.approx(beam.score_per_byte * len(text), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_are_kept_and_go_on(seed):
    """After each chunk the W best of different texts; the next has them all, finished ones as they are."""
    slots = slots_of(13, seed, end=-1.0)

    _, ending, record = find(asked("3,4,2", seed=seed, max_tokens=9), slots)

    for chunk, texts, following in zip(
        record.chunks, whole_texts(record), [*record.chunks[1:], ()], strict=True
    ):
        kept = [i for i, beam in enumerate(chunk) if beam.kept]
        keys = [(text, beam.stopped_by is None) for text, beam in zip(texts, chunk, strict=True)]
        assert len({keys[i] for i in kept}) == len(kept) == min(3, len(set(keys)))
        least = min(chunk[i].score for i in kept)
        assert all(beam.score <= least or keys[i] in {keys[j] for j in kept} for i, beam in enumerate(chunk))
        if following:
            assert {beam.parent for beam in following} == set(kept)
            finished = [i for i in kept if chunk[i].stopped_by]
            for i in finished:
                [same] = [beam for beam in following if beam.parent == i]
                assert same == replace(chunk[i], parent=i, text="", kept=same.kept)
            assert len(following) - len(finished) == (3 - len(finished)) * 4
    assert all(beam.stopped_by for beam in record.chunks[-1] if beam.kept)
    assert record.best.score == max(beam.score for beam in record.chunks[-1])
    assert whole_texts(record)[-1][record.winner] == ending.text


def test_the_seed_decides():
    """The same seed finds the same, another one draws others."""
    found = [find(asked("2,3,2", seed=seed, max_tokens=9), slots_of(7, 3)) for seed in (5, 5, 6)]

    assert found[0] == found[1]
    assert found[0][2].chunks[0] != found[2][2].chunks[0]


def test_steps_come_as_soon_as_all_beams_share_them():
    """What is told is never taken back, and one beam alone is told chunk by chunk."""
    request, slots = asked("1,3,2", "proxy", max_tokens=9), slots_of(4, 3, end=-20)
    start_request(request, slots[0])
    running = search(request, slots, lambda: False)

    first = [next(running) for _ in range(2)]
    evaluated = slots[0]["base"].sequence.counter.tokens
    rest = list(running)

    whole = find(asked("1,3,2", "proxy", max_tokens=9), slots_of(4, 3, end=-20))[0]
    assert [*first, *rest] == whole
    assert evaluated <= slots[0]["base"].sequence.counter.tokens / 2


@pytest.mark.parametrize("n_calls", [1, 4, 9, 30, 60, 150])
def test_a_stopped_search_gives_the_best_so_far(n_calls):
    """The steps that were told begin it, and it is the beam that was first at the last selection."""
    calls = itertools.count()

    steps, ending, record = find(
        asked("2,2,3", "proxy", max_tokens=12), slots_of(5, 4), lambda: next(calls) >= n_calls
    )

    assert b"".join(step.bytes for step in steps) == ending.text
    if next(calls) > n_calls:
        assert ending.stopped_by == "user"
    if record.chunks:
        assert ending.text.startswith(whole_texts(record)[-1][record.winner])
        assert record.best.score == max(beam.score for beam in record.chunks[-1])


@pytest.mark.parametrize("size", ["1,1,30", "1,2,30", "2,2,4"])
def test_a_stop_keeps_what_the_best_has_written_since(size):
    """A chunk that is not finished is not scored, but what stands there of the answer is not lost."""
    request, calls = asked(size, max_tokens=20), itertools.count()

    steps, ending, record = find(request, slots_of(5, 4, end=-20), lambda: next(calls) >= 15)

    n_scored = record.best.n_steps if record.best else 0
    assert ending.stopped_by == "user"
    assert n_scored < len(steps) < 20
    assert b"".join(step.bytes for step in steps) == ending.text
    if size == "1,1,30":
        assert steps == find(request, slots_of(5, 4, end=-20))[0][: len(steps)]


@pytest.mark.parametrize("role", ["base", "guide", "untuned"])
def test_a_full_context_ends_the_search(role):
    """With the best so far; where there is no room for a first chunk, that is an error."""
    slots = slots_of(5, 4, {role: 12}, end=-20)
    steps, ending, record = find(asked("2,2,2", max_tokens=40, seed=11), slots)
    assert ending.stopped_by == "context"
    assert b"".join(step.bytes for step in steps) == ending.text == whole_texts(record)[-1][record.winner]

    if role != "base":
        with pytest.raises(ContextFullError):
            find(asked("2,2,30", max_tokens=40, seed=11), slots_of(5, 4, {role: 6}))


def test_a_given_start_comes_first_and_is_scored():
    """Its bytes are part of the text; the limit counts only what follows."""
    slots = slots_of(5, 2)

    steps, ending, record = find(asked("2,2,1", start="ab"), slots)

    assert steps[0].source == "given"
    assert ending.text.startswith(b"ab")
    assert len(steps) <= 1 + N
    assert record.best.score == pytest.approx(
        score(slots, ending.text, ended=ending.stopped_by in ENDED_BY_ITSELF)
    )


def test_a_record_survives_json():
    """What is written of a search is read back as it was."""
    _, _, record = find(asked("2,3,1"), slots_of(7, 3))

    assert SearchRecord.from_json(record.to_json()) == record
    with pytest.raises(ValueError, match="no beam 99"):
        SearchRecord.from_json({**record.to_json(), "winner": 99})


def test_equal_texts_take_one_place():
    """Of equal scores the first is better; a finished text is another than the same unfinished."""
    beams = [
        (1.0, b"a", False),
        (2.0, b"b", False),
        (2.0, b"b", False),
        (1.0, b"c", False),
        (1.5, b"b", True),
    ]

    assert best_beams(beams, 3) == [1, 4, 0]
    assert best_beams(beams, 9) == [1, 4, 0, 3]


@pytest.mark.parametrize(("n", "n_beams", "shares"), [(4, 2, [2, 2]), (4, 1, [4]), (6, 4, [2, 2, 1, 1])])
def test_sequences_are_shared_evenly(n, n_beams, shares):
    """Where fewer beams are left than W, each has more than K."""
    assert share_copies(n, n_beams) == shares


def test_seeds_differ():
    """The first sequence has the seed of the answer, every other one another."""
    assert seed_of(5, 0) == 5
    assert len({seed_of(seed, slot) for seed in range(20) for slot in range(20)}) == 400
