"""Many answers at once: each is the one it would be alone, and none disturbs another."""

from __future__ import annotations

import itertools

import pytest

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.decode.scheduler import Scheduler
from blendin_local.decode.stats import GenerationStats
from blendin_local.engine.context import Context
from blendin_local.engine.padding import BatchSizes
from blendin_local.engine.sequence import MIN_SHARED_PREFIX, PREFILL_CHUNK
from blendin_local.errors import BlendinError, ContextFullError, UsageError
from blendin_local.pair.pair import MAX_PARALLEL, Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.near_ties import is_near_tie, parting, whole
from tests.prompts import PROMPTS, TEMPLATE
from tests.toys import KINDS, make_toy

THREE_WAYS = (BlendSettings(threshold=0.15), BlendSettings(method="base"), BlendSettings(method="guide"))
SAMPLED = SamplingSettings(temperature=0.9, seed=3)
COPYING = ("plain", "sliding")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A base and a guide of each kind of memory."""
    folder = tmp_path_factory.mktemp("pairs")
    return {
        kind: [make_toy(folder / f"{kind}-{seed}.gguf", kind, seed=seed) for seed in (0, 1)] for kind in KINDS
    }


@pytest.fixture
def open_toys(toys):
    opened = []

    def open_pair(kind, n_parallel=1, ctx_size=512):
        settings = ModelSettings(ctx_size=ctx_size, threads=1, kv_type="f32", flash_attention="off")
        opened.append(Pair(PairSetup(*toys[kind], TEMPLATE, settings, settings, n_parallel=n_parallel)))
        return opened[-1]

    yield open_pair
    for pair in opened:
        pair.close()


def limits(n, **more):
    return AnswerSettings(max_tokens=n, loop_guard=False, draft="off", **more)


def request(key, text, blend=THREE_WAYS[0], sampling=SAMPLED, n=8):
    return Request(str(key), (Message("user", text),), blend, sampling, limits(n))


def seventeen():
    """Requests of different lengths, methods and samplings."""
    kinds = itertools.cycle(itertools.product(THREE_WAYS, (SAMPLED, SamplingSettings())))
    return [
        request(i, "the hello world " * (i % 7 * 3 + 1) + f"{i}", blend, sampling, 4 + i % 5)
        for i, (blend, sampling) in zip(range(17), kinds, strict=False)
    ]


def alone(pair, wanted):
    return pair.respond(wanted.messages, blend=wanted.blend, sampling=wanted.sampling, answer=wanted.answer)


def said(completion):
    return (completion.text, completion.steps, completion.stopped_by, completion.end)


def tokens_read(completions):
    return sum(c.usage.base_tokens_evaluated + c.usage.guide_tokens_evaluated for c in completions)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_of_one_is_respond(open_toys, kind):
    """With one sequence every answer is that of a fresh pair, to the last bit, whatever ran before."""
    scheduler = open_toys(kind)
    talk = scheduler.respond("the hello", blend=THREE_WAYS[0], answer=limits(40))
    told = [Message("user", "the hello"), Message("assistant", talk.text), Message("user", "or")]
    scheduler.respond(told, blend=THREE_WAYS[0], answer=limits(3))
    rows = [Request("told", tuple(told), THREE_WAYS[0], SAMPLED, limits(8)), *seventeen()]

    results = dict(scheduler.answer_all(rows))

    for row in rows:
        fresh = open_toys(kind)
        assert said(results[row]) == said(alone(fresh, row))
        assert results[row].signature.keys() == alone(fresh, row).signature.keys()
        fresh.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_answers_everyone_as_if_alone(open_toys, kind):
    """Five sequences, seventeen requests: each is answered once, with the steps it has alone."""
    rows, single = seventeen(), open_toys(kind)

    results = list(open_toys(kind, 5).answer_all(rows))

    assert sorted(int(row.key) for row, _ in results) == list(range(17))
    for row, completion in results:
        expected = alone(single, row)
        assert [step.bytes for step in completion.steps] == [step.bytes for step in expected.steps]
        assert completion.stopped_by == expected.stopped_by
        for ours, theirs in zip(completion.steps, expected.steps, strict=True):
            if ours.base_top:
                assert ours.base_top.p == pytest.approx(theirs.base_top.p, abs=1e-4)


def test_requests_are_taken_only_as_slots_become_free(open_toys):
    """A stream of requests is never read further than the sequences that are free."""
    taken = []

    def endless():
        for i in itertools.count():
            taken.append(i)
            yield request(i, f"the {i}")

    results = open_toys("plain", 3).answer_all(endless())
    for n in range(1, 12):
        next(results)
        assert len(taken) <= n + 3
    results.close()


def test_bad_requests_are_not_gathered(open_toys):
    """An error comes out before the next request is taken."""
    taken = []

    def bad():
        for i in itertools.count():
            taken.append(i)
            yield request(i, " ")

    results = open_toys("plain", 3).answer_all(bad())

    assert [next(results)[0].key for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert len(taken) == 5


def test_a_short_answer_overtakes_a_long_one(open_toys):
    """Results come in the order of finishing, and a free sequence goes on at once."""
    rows = [request("long", "the", n=40)]
    rows += [request(i, "a", THREE_WAYS[1], n=4) for i in range(6)]

    order = [row.key for row, _ in open_toys("plain", 2).answer_all(rows)]

    assert order == ["0", "1", "2", "3", "4", "5", "long"]


def test_a_long_prompt_lets_others_write(open_toys):
    """While one sequence reads a long prompt, the others go on."""
    rows = [request("long", "x" * 3000, THREE_WAYS[1], n=1)]
    rows += [request(i, "a", THREE_WAYS[1], n=4) for i in range(2)]

    order = [row.key for row, _ in open_toys("plain", 3, 4096).answer_all(rows)]

    assert order == ["0", "1", "long"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_beginning_is_read_once(open_toys, kind):
    """What prompts share is copied where the memory allows it, and changes nothing."""
    shared, blend = "x" * (2 * PREFILL_CHUNK + 50), BlendSettings(method="base")
    rows = [request(i, f"{shared} {i}", blend, n=4) for i in range(6)]

    results = dict(open_toys(kind, 3).answer_all(rows))

    first, *others = sorted((c.usage.base_tokens_evaluated for c in results.values()), reverse=True)
    prompt = results[rows[0]].usage.base_prompt_tokens
    assert first >= prompt
    copied = len(shared) if kind in COPYING else 0
    single = open_toys(kind)
    for row, completion in results.items():
        assert [s.bytes for s in completion.steps] == [s.bytes for s in alone(single, row).steps]
    for evaluated in others:
        assert evaluated <= prompt + 4 * 4 - copied  # steps are read again where their tokens change


@pytest.mark.parametrize("n", [PREFILL_CHUNK, 2 * PREFILL_CHUNK, 2 * PREFILL_CHUNK + 1])
def test_a_single_sequence_keeps_whole_prefill_chunks(open_toys, n):
    """A prompt that ends with a portion reads its last token apart, so that portion is not a whole one."""
    context = open_toys("plain", 1, 1024)._models["base"].context
    [sequence] = context.sequences
    ids = [3 + i % 250 for i in range(n + 100)]
    for first, second in ((ids[:n], ids), (ids, ids[:n])):
        sequence.begin([9])
        sequence.begin(first)
        context.predict([sequence])
        before = sequence.counter.tokens
        sequence.begin(second)
        context.predict([sequence])
        assert sequence.counter.tokens - before == len(second) - (n - 1) // PREFILL_CHUNK * PREFILL_CHUNK


@pytest.mark.parametrize("n", [20, PREFILL_CHUNK, 2 * PREFILL_CHUNK + 1])
def test_parallel_sequences_copy_shared_prefixes(open_toys, n):
    """To the token, but for the last one, which is read apart; a few tokens are read sooner than copied."""
    context = open_toys("plain", 2, 1024)._models["base"].context
    sequence, other = context.sequences
    ids = [3 + i % 250 for i in range(n + 100)]
    for first, second in ((ids[:n], ids), (ids, ids[:n]), (ids[:9], ids)):
        sequence.begin(first)
        context.predict([sequence])
        other.begin([9, *ids])
        context.predict([other])
        before = other.counter.tokens
        other.begin(second)
        context.predict([other])
        shared = min(len(first), len(second)) - 1
        assert other.counter.tokens - before == len(second) - (shared if shared >= MIN_SHARED_PREFIX else 0)


def test_an_error_is_the_result_of_its_request_alone(open_toys):
    """A prompt that is too long, an empty one, an unknown method: the others are answered as ever."""
    pair, single = open_toys("plain", 3, 256), open_toys("plain", 1, 256)
    good = [request(i, f"the {i}") for i in range(4)]
    bad = [
        request("long", "x" * 400),
        request("empty", " "),
        request("method", "a", BlendSettings(method="magic")),
    ]
    rows = [row for both in itertools.zip_longest(bad, good) for row in both if row]

    results = dict(pair.answer_all(rows))

    assert isinstance(results[bad[0]], ContextFullError)
    assert isinstance(results[bad[1]], UsageError)
    assert isinstance(results[bad[2]], UsageError)
    for row in good:
        assert results[row].text == alone(single, row).text


@pytest.mark.parametrize("breaks", ["while it is prepared", "while it is written"])
def test_a_bug_costs_one_answer_and_no_other(open_toys, monkeypatch, breaks):
    """What nobody foresaw is the result of the row that met it; all others are what they are without it."""
    rows = seventeen()
    single, pair = open_toys("plain"), open_toys("plain", 3)
    owner, name = (Pair, "_task_of") if "prepared" in breaks else (GenerationStats, "note")
    whole, calls = getattr(owner, name), itertools.count()

    def breaking(*args):
        if next(calls) == 7:
            raise ZeroDivisionError("seven")
        return whole(*args)

    monkeypatch.setattr(owner, name, breaking)
    results = {row.key: result for row, result in pair.answer_all(rows)}
    broken = [key for key, result in results.items() if isinstance(result, BlendinError)]
    assert len(broken) == 1
    assert results[broken[0]].code == "bug"
    assert "ZeroDivisionError: seven" in results[broken[0]].message
    monkeypatch.undo()
    for row in rows:
        if row.key not in broken:
            assert results[row.key].text == alone(single, row).text


def test_a_full_context_ends_one_answer(open_toys):
    """Where a sequence is full its answer ends with that reason; its neighbours have room of their own."""
    rows = [request("full", "x" * 200, n=400), request("other", "a", n=80)]

    results = {row.key: completion for row, completion in open_toys("plain", 2, 256).answer_all(rows)}

    assert results["full"].stopped_by == "context"
    assert results["full"].steps
    assert results["other"].stopped_by != "context"


@pytest.mark.parametrize("fresh", [True, False])
def test_sequences_in_use_have_no_gaps(open_toys, monkeypatch, fresh):
    """When a file runs out, the answers left are evaluated at once; places of conversations stay theirs."""
    pair, numbers = open_toys("sliding", 6), []
    decode = Context._decode

    def noting(self, slices, should_stop):
        numbers.append([each.sequence.seq_id for each in slices])
        decode(self, slices, should_stop)

    monkeypatch.setattr(Context, "_decode", noting)
    rows = [
        request(i, f"a {i}", THREE_WAYS[1], SamplingSettings(), (30, 3, 12, 3, 21, 3)[i]) for i in range(6)
    ]
    scheduler = Scheduler(pair._slots, lambda row: pair._task_of(row, lambda: False), fresh=fresh)
    for row in rows:
        scheduler.add(row)
    results = {}
    while scheduler.active:
        scheduler.step(lambda: False)
        results |= {row.key: result for row, result in scheduler.finished()}

    dense = all(each == list(range(len(each))) for each in numbers)
    assert dense == fresh
    single = open_toys("sliding")
    for row in rows:
        assert results[row.key].text == alone(single, row).text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [3, 5])
def test_padding_changes_no_answer(open_toys, monkeypatch, kind, n):
    """Whatever batches are filled up to: each answer is the one it would be alone."""
    monkeypatch.setattr(BatchSizes, "best", lambda _, wanted, limit: min(limit, -(-wanted // n) * n))
    monkeypatch.setattr(BatchSizes, "rows", lambda _, wanted, limit: min(limit, -(-wanted // n) * n))
    rows, single = seventeen(), open_toys(kind)

    for row, completion in open_toys(kind, 5).answer_all(rows):
        assert [step.bytes for step in completion.steps] == [step.bytes for step in alone(single, row).steps]


@pytest.mark.parametrize("kind", KINDS)
def test_stopping_keeps_what_was_written(open_toys, kind):
    """Live answers end as they are, nothing more is taken, and the pair can answer on."""
    polls = itertools.count()
    rows = [request(i, f"the hello {i}", THREE_WAYS[1], n=500) for i in range(9)]
    pair = open_toys(kind, 4)

    results = list(pair.answer_all(rows, should_stop=lambda: next(polls) > 200))

    assert [row.key for row, _ in results] == ["0", "1", "2", "3"]
    assert {completion.stopped_by for _, completion in results} == {"user"}
    assert any(completion.steps for _, completion in results)
    [(_, repeat)] = pair.answer_all([request(7, "the")])
    assert repeat.text == alone(open_toys(kind), request(7, "the")).text


def test_a_left_crowd_can_be_asked_again(open_toys):
    """A caller that stops taking results leaves the pair as good as new."""
    pair, single = open_toys("hybrid", 3), open_toys("hybrid")
    next(pair.answer_all(seventeen()))

    for row, completion in pair.answer_all(seventeen()[:5]):
        assert completion.text == alone(single, row).text


def test_counts_and_times_are_those_of_each_answer(open_toys):
    """Tokens and seconds of the sequences add up to those of the contexts."""
    pair = open_toys("plain", 4)
    results = [completion for _, completion in pair.answer_all(seventeen())]

    contexts = [player.context for player in pair._models.values()]
    assert tokens_read(results) == sum(context.counter.tokens for context in contexts)
    spent = sum(completion.timings.llama_decode_ms for completion in results)
    assert spent == pytest.approx(sum(context.counter.decode_s for context in contexts) * 1000)
    for completion in results:
        times = completion.timings
        assert 0 < times.llama_decode_ms <= times.prompt_ms + times.generation_ms
        assert 0 < times.first_step_ms <= times.prompt_ms + times.generation_ms
        assert times.prompt_ms > 0


def test_the_number_of_sequences_has_a_limit(tmp_path):
    """llama.cpp knows at most 256 conversations in one context."""
    with pytest.raises(UsageError, match="parallel is 257"):
        PairSetup(tmp_path / "a", None, TEMPLATE, n_parallel=MAX_PARALLEL + 1)


@pytest.mark.model
def test_sixteen_answers_of_the_demo_pair_part_only_at_near_ties(demo_base_path, demo_guide_path):
    """Real answers in a crowd are those given alone, up to partings that batch shapes explain."""
    settings, answer = ModelSettings(ctx_size=512), limits(24, top_logprobs=5)
    rows = [
        Request(str(i), [Message("user", text)], BlendSettings(), answer=answer)
        for i, text in enumerate(PROMPTS)
    ]

    def answers(n_parallel):
        setup = PairSetup(
            demo_base_path, demo_guide_path, TEMPLATE, settings, settings, n_parallel=n_parallel
        )
        with Pair(setup) as pair:
            return {row.key: completion for row, completion in pair.answer_all(rows)}

    scheduler, single = answers(16), answers(1)

    partings = 0
    for key, completion in single.items():
        assert isinstance(completion, Completion)
        assert not isinstance(scheduler[key], BlendinError)
        parted = parting(whole(scheduler[key]), whole(completion))
        if parted:
            partings += 1
            assert any(is_near_tie(step, BlendSettings().threshold) for step in parted), (key, parted)
    assert partings < len(rows) / 2
