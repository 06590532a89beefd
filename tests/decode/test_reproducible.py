"""Laws of thread counts in answers: what was used is on record, fixed counts always give the same bits."""

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from blendin_local.core.prompts import PlainTemplate
from blendin_local.core.record_json import completion_to_json
from blendin_local.engine.context import Context
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.model import Model
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.paths import ROOT
from tests.toys import make_toy

ALWAYS = BlendSettings(threshold=1.0)
LONG = "hello world the hell. " * 25


@contextmanager
def busy_processes(n=2):
    code = "print(flush=True)\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(n)]
    try:
        for process in spinning:
            process.stdout.readline()
        yield
    finally:
        for process in spinning:
            process.kill()
            process.communicate()


class Alternating:
    """A pace that changes its mind at every evaluation."""

    def __init__(self):
        self.chosen = 0

    def choose(self):
        self.chosen += 1
        return 1 + self.chosen % 2


def setup_of(base, guide, **settings):
    run = ModelSettings(ctx_size=2048, **settings)
    template = PlainTemplate("raw", user="{text}", assistant="")
    return PairSetup(base, guide, template, base_settings=run, guide_settings=run)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return [make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate(("base", "guide"))]


def answer_of(setup, question, n=24):
    limits = AnswerSettings(max_tokens=n, loop_guard=False, top_logprobs=5, draft="off")
    with Pair(setup) as pair:
        return pair.respond(question, blend=ALWAYS, answer=limits)


def logits_after(model, ids, threads, governor=None):
    """After a prompt and some tokens one by one."""
    context = Context(model, 2048, threads, governor=governor)
    [sequence] = context.sequences
    sequence.begin(ids)
    found = [context.predict([sequence])[0].copy()]
    for token in ids[:6]:
        sequence.accept(token, b"x")
        found.append(context.predict([sequence])[0].copy())
    evaluations = dict(sequence.counter.evaluations)
    context.close()
    return np.array(found), evaluations


@pytest.mark.slow
def test_every_evaluation_runs_on_the_count_that_was_chosen(toy_path):
    """A pace that changes at every call is obeyed by every kind of memory, and the record says how often."""
    model = Model(toy_path, ModelSettings())
    ids = list(range(5, 25))
    plain, fixed = logits_after(model, ids, 1)
    changing, counts = logits_after(model, ids, 1, Alternating())
    model.close()

    assert set(fixed) == {1}
    assert counts == {1: sum(fixed.values()) // 2, 2: -(-sum(fixed.values()) // 2)}
    assert np.abs(plain - changing).max() < 1e-3


def test_fixed_counts_are_obeyed_and_auto_is_not_fixed(toys):
    """`-t 1` and --reproducible run on one count; auto has a pace; the signature tells them apart."""
    one = answer_of(setup_of(*toys, threads=1), "hello")
    fixed = answer_of(setup_of(*toys, reproducible=True), "hello")
    auto = answer_of(setup_of(*toys), "hello")

    assert {n for counts in one.timings.threads.values() for n in counts} == {1}
    assert {n for counts in fixed.timings.threads.values() for n in counts} == {usable_threads()}
    for completion, reproducible, automatic in (
        (one, False, False),
        (fixed, True, False),
        (auto, False, True),
    ):
        said = completion.signature["models"]["base"]
        assert (said["reproducible"], said["threads_auto"]) == (reproducible, automatic)


def test_the_counts_used_are_in_the_json(toys):
    """For each role the evaluations by threads, in the published form; a base alone has only its own."""
    completion = answer_of(setup_of(*toys, threads=1), "hello", n=5)
    record = json.loads(json.dumps(completion_to_json(completion)))
    with Pair(replace(setup_of(*toys), guide=None)) as pair:
        alone = pair.respond("hello", blend=BlendSettings(method="base"), answer=AnswerSettings(max_tokens=2))

    jsonschema.validate(record, json.loads((ROOT / "docs" / "answer.schema.json").read_text()))
    assert set(record["timings"]["threads"]) == {"base", "guide"}
    assert record["timings"]["threads"]["base"]["1"] >= 5
    assert set(alone.timings.threads) == {"base"}


@pytest.mark.slow
def test_reproducible_answers_are_the_same_idle_and_busy(toys):
    """With processes spinning beside, in a context long enough for kernels that depend on threads."""
    setup = setup_of(*toys, reproducible=True)
    idle = answer_of(setup, LONG)
    with busy_processes():
        busy = answer_of(setup, LONG)

    assert busy.steps == idle.steps
    assert busy.text == idle.text
    assert busy.signature == idle.signature


@pytest.mark.model
def test_reproducible_answers_of_real_models_are_the_same_idle_and_busy(demo_base_path, demo_guide_path):
    """The same on the demo pair, beyond 256 cells: text, and every probability to the last bit."""
    setup = setup_of(demo_base_path, demo_guide_path, reproducible=True)
    question = "Tell me about rivers. " * 70
    idle = answer_of(setup, question)
    with busy_processes(1):
        busy = answer_of(setup, question)

    assert idle.usage.base_prompt_tokens > 300
    assert busy.steps == idle.steps


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "hybrid"])
def test_counts_of_threads_move_the_last_bits(tmp_path, kind):
    """Why --reproducible is there: with flash attention, beyond 256 cells, the bits depend on threads."""
    path = make_toy(tmp_path / "toy.gguf", kind)
    differ = {}
    for flash_attention in ("on", "off"):
        model = Model(path, ModelSettings(flash_attention=flash_attention))
        for n in (60, 300):
            ids = np.random.default_rng(0).integers(3, 270, n).tolist()
            one, two = (logits_after(model, ids, threads)[0] for threads in (1, 2))
            differ[flash_attention, n] = not np.array_equal(one, two)
        model.close()

    assert differ == {("on", 60): False, ("on", 300): True, ("off", 60): False, ("off", 300): False}
