"""Method `steer`: gate closed, the base alone; gate open, the base with its vector; to the last bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from blendin_local.core.prompts import Message
from blendin_local.core.steering import Gate
from blendin_local.decode.memory_plan import gated_roles
from blendin_local.decode.search import seed_of
from blendin_local.decode.steering import require_gate
from blendin_local.engine.control_vector import control_vector_bytes, read_control_vector
from blendin_local.engine.gguf.header import read_header
from blendin_local.errors import PairError, UsageError
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.near_ties import whole
from tests.prompts import TEMPLATE
from tests.toys import KINDS, LAYERS, WIDTH, make_toy, make_vector

EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
ANSWER = AnswerSettings(max_tokens=9, loop_guard=False, top_logprobs=4)
STEER, BASE = BlendSettings(method="steer"), BlendSettings(method="base")
TEXTS = ("the hello world", "or", "a much longer question of hello and the world", "hell", "wheel or door")
ARCHITECTURES = {"plain": "llama", "sliding": "gemma3", "recurrent": "mamba", "hybrid": "lfm2"}


def setup_of(path, vector=None, n_parallel=1):
    settings = replace(EXACT, control_vector=vector)
    return PairSetup(path, None, TEMPLATE, base_settings=settings, n_parallel=n_parallel)


def states_after(pair, text):
    """The layers' outputs after the prompt of a question."""
    ids = pair.vocabulary("base").tokenize_prompt(pair.prompt_spans("base", text))
    return pair._models["base"].layer_outputs(ids, lambda: False)


@pytest.fixture(scope="module", params=KINDS)
def steered(request, tmp_path_factory):
    """A toy, a vector whose gate opens for some of the texts, and which these are."""
    folder = tmp_path_factory.mktemp("steered")
    path = make_toy(folder / "base.gguf", request.param)
    rng = np.random.default_rng(1)
    direction = rng.normal(size=WIDTH).astype(np.float32)
    direction /= np.linalg.norm(direction)
    with Pair(setup_of(path)) as pair:
        values = {text: float(states_after(pair, text)[LAYERS - 1] @ direction) for text in TEXTS}
    threshold = (sorted(values.values())[1] + sorted(values.values())[2]) / 2
    shift = (4 * rng.normal(size=WIDTH)).astype(np.float32)
    gate = Gate(LAYERS - 1, direction, threshold, 0.9)
    vector = folder / "v.gguf"
    vector.write_bytes(control_vector_bytes(ARCHITECTURES[request.param], {1: shift}, gate, {}))
    return path, f"{vector}:0.5", {text: value - threshold for text, value in values.items()}


def what_decided(completion):
    return [(s.bytes, s.source, s.base_top, s.candidates) for s in completion.steps]


def answers_with(setup, blend):
    """To every text in turn, on one pair."""
    with Pair(setup) as pair:
        return {text: pair.respond(text, blend=blend, answer=ANSWER) for text in TEXTS}


def test_the_gate_chooses_between_two_answers_that_are_known(steered):
    """Turn by turn on one pair: where it is closed no vector, where it is open the vector, bit by bit."""
    path, vector, values = steered
    plain = answers_with(setup_of(path), BASE)
    shifted = answers_with(setup_of(path, vector), BASE)
    found = answers_with(setup_of(path, vector), STEER)

    assert {value > 0 for value in values.values()} == {True, False}
    for text, value in values.items():
        right, wrong = (shifted, plain) if value > 0 else (plain, shifted)
        assert what_decided(found[text]) == what_decided(right[text])
        assert what_decided(found[text]) != what_decided(wrong[text])


def test_the_record_has_the_gates_value(steered):
    """The projection minus the threshold, and what followed; other methods have none."""
    path, vector, values = steered
    found = answers_with(setup_of(path, vector), STEER)
    gate = read_control_vector(vector).gate

    for text, value in values.items():
        record = found[text].signature["steering"]
        assert record["value"] == pytest.approx(value, abs=1e-4)
        assert (record["open"], record["layer"]) == (value > 0, gate.layer)
        assert record["threshold"] == gate.threshold
        assert found[text].usage.base_prompt_tokens > 2
    assert "steering" not in answers_with(setup_of(path, vector), BASE)["or"].signature


def test_many_answers_at_once_are_those_that_each_is_alone(steered):
    """Gates open and closed, and a method that is always steered, in the same batches."""
    path, vector, _ = steered
    rows = [
        Request(f"{blend.method} {text}", (Message("user", text),), blend, answer=ANSWER)
        for text in TEXTS
        for blend in (STEER, BASE, STEER)
    ]
    alone = {blend.method: answers_with(setup_of(path, vector), blend) for blend in (STEER, BASE)}
    with Pair(setup_of(path, vector, n_parallel=4)) as pair:
        results = list(pair.answer_all(rows))

    assert len(results) == len(rows)
    for row, result in results:
        expected = alone[row.blend.method][row.messages[0].text]
        assert result.signature.get("steering") == expected.signature.get("steering")
        steps, others = whole(result), whole(expected)
        assert [step.bytes for step in steps] == [step.bytes for step in others], row.key
        for one, other in zip(steps, others, strict=True):
            assert one.base_top.p == pytest.approx(other.base_top.p, abs=1e-4)


def test_gates_are_judged_by_many_threads_at_once(steered):
    """One after another, so that each has the value of its own prompt."""
    path, vector, values = steered
    with Pair(setup_of(path, vector)) as pair, ThreadPoolExecutor(4) as pool:
        settings = replace(pair.setup.defaults, blend=STEER, answer=ANSWER)
        expected = {text: pair.prepare(text, settings).gate for text in values}
        found = list(pool.map(lambda text: pair.prepare(text, settings).gate, [*values] * 8))

    assert found == [*expected.values()] * 8


def test_a_gate_is_judged_from_any_thread_while_answers_are_made(steered):
    """As a server does: requests are prepared while others are answered."""
    path, vector, values = steered
    with Pair(setup_of(path, vector, n_parallel=2)) as pair:
        expected = {text: pair.respond(text, blend=STEER, answer=ANSWER).text for text in TEXTS}
        with pair.inference_thread(fresh=True) as thread:
            finished = {}
            for text in TEXTS:
                settings = replace(pair.setup.defaults, blend=STEER, answer=ANSWER)
                request = pair.prepare(text, settings)
                assert request.gate.is_open == (values[text] > 0)
                listener = Listening()
                thread.submit(request, listener)
                finished[text] = listener
            for listener in finished.values():
                listener.wait()

    assert {text: listener.text for text, listener in finished.items()} == expected


class Listening:
    """Waits for the end of one answer."""

    def __init__(self):
        import threading

        self._ended = threading.Event()
        self.text = None

    def step(self, step):
        pass

    def progress(self, role, n_read, n_prompt):
        pass

    def finished(self, result):
        self.text = result.text
        self._ended.set()

    def wait(self):
        assert self._ended.wait(60)


def test_a_prompt_that_is_stopped_while_it_is_judged_is_not_answered(steered):
    """As a prompt is that is stopped while the guide's template runs."""
    path, vector, _ = steered
    with Pair(setup_of(path, vector)) as pair, pytest.raises(KeyboardInterrupt):
        pair.respond("the hello " * 60, blend=STEER, answer=ANSWER, should_stop=lambda: True)


def resolved(folder, **base):
    path = folder / "models.toml"
    path.write_text("[pairs.x]\nbase = 'b.gguf'\nguide = 'g.gguf'\n")
    spec = PairSpec(pair="x", blend={"method": "steer"}, base_settings=base)
    return resolve_pair(spec, load_registry(path, env={}, cwd=folder))


def test_without_a_gate_the_method_is_refused_before_anything_is_loaded(tmp_path):
    """In one line: no vector, or one of another program, which has no gate."""
    foreign = make_vector(tmp_path / "f.gguf", {1: np.ones(WIDTH, np.float32)})

    with pytest.raises(PairError, match="method steer needs a control vector for the base"):
        resolved(tmp_path)
    with pytest.raises(PairError, match="the base's control vector has none"):
        resolved(tmp_path, control_vector=str(foreign))
    require_gate("base", str(foreign))
    with Pair(setup_of(make_toy(tmp_path / "toy.gguf", "plain"), str(foreign))) as pair:
        assert pair.respond("hello", blend=BASE, answer=ANSWER).steps
        with pytest.raises(PairError, match="the base's control vector has none"):
            pair.respond("hello", blend=STEER, answer=ANSWER)


def test_a_pair_offers_the_method_only_with_a_vector(tmp_path, steered):
    """In `/set method`, and to a batch; no guide is needed."""
    _, vector, _ = steered
    found = resolved(tmp_path, control_vector=vector)

    assert "steer" in found.methods
    assert list(found.references) == ["base"]
    without = replace(found, setup=replace(found.setup, base_settings=EXACT))
    assert "steer" not in without.methods


def test_a_chat_says_what_the_method_needs():
    """Not that there is no such method."""
    from blendin_local.cli.chat.settings import with_setting
    from blendin_local.cli.chat.state import ChatSettings

    with pytest.raises(UsageError, match="method steer needs a control vector"):
        with_setting(ChatSettings(), "method", "steer", ("base", "guide", "blendin"))


def test_the_contexts_of_a_gate_are_in_the_estimate_of_memory(steered):
    """Two more: without the vector, and to read prompts for the gate; for a vector that has a gate."""
    path, vector, _ = steered
    with Pair(setup_of(path)) as plain, Pair(setup_of(path, vector)) as gated:
        alone, with_gate = plain.memory_bytes(), gated.memory_bytes()
    assert with_gate["weights"] == alone["weights"]
    assert with_gate["kv_cache"] == 3 * alone["kv_cache"]
    header, run_with = read_header(path), replace(EXACT, control_vector=vector)
    assert gated_roles({"base": (header, EXACT), "guide": (header, run_with)}) == {"guide"}


def test_a_search_writes_where_the_gate_says(steered):
    """Every sequence of a first chunk is what the method writes with that seed, gate open or closed."""
    path, vector, values = steered
    setup = replace(setup_of(path, vector, n_parallel=5), guide=path, untuned=path, guide_settings=EXACT)
    sampled = SamplingSettings(temperature=0.9, seed=3)
    with Pair(setup) as pair:
        for text in values:
            found = pair.respond(
                text, blend=STEER, sampling=replace(sampled, search="2,2,3"), answer=ANSWER
            ).search
            for beam in found.chunks[0]:
                alone = replace(sampled, seed=seed_of(3, beam.slot))
                plain = pair.respond(text, blend=STEER, sampling=alone, answer=ANSWER)
                assert beam.text == "".join(step.text for step in plain.steps[: beam.n_steps])
