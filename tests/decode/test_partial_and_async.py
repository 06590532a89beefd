"""An answer that is left early, and one that is iterated over with `async for`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from blendin_local.errors import PairError
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

SETTINGS = ModelSettings(ctx_size=1024, threads=1, kv_type="f32", flash_attention="off")
HOW = {"threshold": 0.15, "max_tokens": 12, "loop_guard": False}
QUESTION, OTHER = "the hello world", "a hell or d"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    toys = [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]
    with Pair(PairSetup(*toys, TEMPLATE, SETTINGS, SETTINGS)) as opened:
        yield opened


@pytest.mark.parametrize("n", [1, 2, 5, 11])
def test_after_an_early_break_the_answer_is_there_as_far_as_it_got(pair, n):
    """Its steps are the first ones of the whole answer, with the tokens and the time they took."""
    whole = pair.respond(QUESTION, **HOW)
    stream = pair.stream(QUESTION, **HOW)
    for step in stream:
        if step.i == n - 1:
            break
    partial = stream.completion

    assert partial.steps == whole.steps[:n]
    assert partial.text == "".join(step.text for step in partial.steps)
    assert (partial.stopped_by, partial.finish_reason) == ("user", "cancelled")
    assert 0 < partial.usage.base_tokens_evaluated <= whole.usage.base_tokens_evaluated
    assert partial.usage.base_prompt_tokens == whole.usage.base_prompt_tokens
    assert partial.timings.generation_ms > 0


def test_a_partial_answer_can_go_on(pair):
    """Reading `completion` ends nothing: the rest of the steps makes the whole answer."""
    whole = pair.respond(QUESTION, **HOW)
    stream = pair.stream(QUESTION, **HOW)
    next(stream)
    assert len(stream.completion.steps) == 1
    for _ in stream:
        pass
    assert stream.completion.steps == whole.steps
    assert stream.completion.stopped_by == whole.stopped_by


def test_the_time_of_an_answer_that_broke_off_includes_the_evaluation_it_broke_off_in(pair):
    """Else a prompt that was read for nothing would leave a negative time."""
    before = pair.tokens_evaluated

    def interrupt():
        if pair.tokens_evaluated > before:
            raise KeyboardInterrupt
        return False

    stream = pair.stream("the hello world " * 60, should_stop=interrupt, **HOW)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    timings = stream.completion.timings

    assert timings.llama_decode_ms > 0
    assert timings.generation_ms >= 0
    assert timings.prompt_ms + timings.generation_ms >= timings.llama_decode_ms


def test_a_partial_answer_is_not_touched_by_the_next(pair):
    """Its counts stay as they were when another answer is made in the same contexts."""
    stream = pair.stream(QUESTION, **HOW)
    next(stream)
    before = stream.completion
    pair.respond(OTHER, **HOW)
    assert stream.completion == before


def test_an_answer_that_nobody_iterated_over_has_no_completion(pair):
    """Nothing was asked of the models, so there is nothing to show."""
    with pytest.raises(RuntimeError, match="not begun"):
        _ = pair.stream(QUESTION, **HOW).completion


def test_async_for_gives_the_same_steps(pair):
    """`async for` over the steps, or over the shown text, is `for`."""

    async def iterate():
        stream = pair.stream(QUESTION, **HOW)
        steps = [step async for step in stream]
        shown = [item async for item in pair.stream(QUESTION, **HOW, stop="o").shown()]
        return steps, stream.completion, shown

    steps, completion, shown = asyncio.run(iterate())
    assert completion.steps == tuple(steps) == pair.respond(QUESTION, **HOW).steps
    assert shown == list(pair.stream(QUESTION, **HOW, stop="o").shown())


def test_the_event_loop_stays_free_while_a_step_is_made(pair):
    """Models run in another thread: the loop can do something else before a step is ready."""

    async def iterate():
        loop_thread, seen = threading.current_thread(), set()
        release = threading.Event()

        def should_stop():
            seen.add(threading.current_thread())
            release.wait(5)  # in the loop's thread this would never be set
            return False

        stream = pair.stream(QUESTION, **HOW, should_stop=should_stop)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        assert not first.done()
        release.set()
        assert (await first).i == 0
        assert loop_thread not in seen

    asyncio.run(iterate())


def test_a_cancelled_task_stops_the_models(pair):
    """The step that is being made ends, the answer is kept as far as it got, and the next one can begin."""

    async def iterate():
        stream = pair.stream(QUESTION, **{**HOW, "max_tokens": 200})

        async def run():
            async for _ in stream:
                pass

        task = asyncio.create_task(run())
        while not (stream._stats and stream.completion.steps):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        n = len(stream.completion.steps)
        other = [step async for step in pair.stream(OTHER, **HOW)]
        assert len(stream.completion.steps) == n < 200
        assert stream.completion.stopped_by == "user"
        return other

    assert tuple(asyncio.run(iterate())) == pair.respond(OTHER, **HOW).steps


def test_a_left_async_answer_makes_room_for_the_next(pair):
    """After a `break` the same thread may ask again; the first answer then cannot go on."""

    async def iterate():
        first = pair.stream(QUESTION, **HOW)
        async for _ in first:
            break
        text = pair.respond(OTHER, **HOW).text
        with pytest.raises(PairError, match="cannot go on"):
            await anext(first)
        return text

    assert asyncio.run(iterate()) == pair.respond(OTHER, **HOW).text


def test_two_tasks_cannot_share_a_pair(pair):
    """The second answer is refused while a step of the first is made: no answer is mixed of two."""

    async def iterate():
        started, release = threading.Event(), threading.Event()

        def should_stop():
            started.set()
            release.wait(5)
            return False

        first = asyncio.ensure_future(anext(pair.stream(QUESTION, **HOW, should_stop=should_stop)))
        while not started.is_set():
            await asyncio.sleep(0.001)
        try:
            with pytest.raises(PairError, match="another thread is making an answer"):
                pair.stream(OTHER, **HOW)
        finally:
            release.set()
        await first

    asyncio.run(iterate())


def test_cancelling_stops_a_long_prompt_and_waits_for_that(pair):
    """The prompt in the other thread is not read to its end, and the pair is free when the task is over."""

    async def iterate():
        started, release = threading.Event(), threading.Event()

        def should_stop():
            started.set()
            release.wait(5)
            return False

        stream = pair.stream("the hello world " * 60, **HOW, should_stop=should_stop)
        task = asyncio.ensure_future(anext(stream))
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, release.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert release.is_set()
        assert stream.completion.steps == ()
        assert stream.completion.usage.base_tokens_evaluated < stream.completion.usage.base_prompt_tokens
        return pair.respond(OTHER, **HOW).text

    assert asyncio.run(iterate()) == pair.respond(OTHER, **HOW).text
