"""Laws of the penalties on the real demo pair: llama.cpp's own samplers are what they are compared with."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from blendin_local.core.penalties import penalize, repetition_of
from blendin_local.engine.library import library
from blendin_local.engine.prefill import BATCH_TOKENS
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.prompts import PROMPTS, TEMPLATE

pytestmark = pytest.mark.model

CTX_SIZE = 1024
LENGTH = 60
USUAL = {
    "repeat": SamplingSettings(repeat_penalty=1.1),
    "repeat over all": SamplingSettings(repeat_penalty=1.3, repeat_last_n=-1),
    "presence and frequency": SamplingSettings(presence_penalty=0.4, frequency_penalty=0.3, repeat_last_n=32),
    "DRY": SamplingSettings(dry_multiplier=0.8),
    "DRY in a window": SamplingSettings(
        dry_multiplier=2.0, dry_base=1.3, dry_allowed_length=1, dry_penalty_last_n=24, dry_sequence_breaker=()
    ),
    "all": SamplingSettings(
        repeat_penalty=1.2, presence_penalty=0.1, frequency_penalty=0.1, dry_multiplier=0.5, repeat_last_n=16
    ),
}

LOOPED = ("Tell me a story about a fox.", "Explain recursion.", PROMPTS[0], PROMPTS[9])


@pytest.fixture(scope="module")
def pair(demo_base_path, demo_guide_path):
    settings = ModelSettings(ctx_size=CTX_SIZE, threads=1)
    setup = PairSetup(demo_base_path, demo_guide_path, TEMPLATE, settings, settings, n_parallel=2)
    with Pair(setup) as opened:
        yield opened


TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaChain:
    """llama.cpp's own penalties and DRY, in its order, with these settings."""

    def __init__(self, player, settings, history):
        self.api = library().api
        self.chain = self.api.llama_sampler_chain_init(self.api.llama_sampler_chain_default_params())
        breakers = [breaker.encode() for breaker in settings.dry_sequence_breaker]
        windows = [CTX_SIZE if n < 0 else n for n in (settings.repeat_last_n, settings.dry_penalty_last_n)]
        penalties = self.api.llama_sampler_init_penalties(
            len(player.table),
            windows[0],
            settings.repeat_penalty,
            settings.frequency_penalty,
            settings.presence_penalty,
        )
        dry = self.api.llama_sampler_init_dry(
            self.api.llama_model_get_vocab(player.model.handle),
            settings.dry_multiplier,
            settings.dry_base,
            settings.dry_allowed_length,
            windows[1],
            (ctypes.c_char_p * len(breakers))(*breakers),
            len(breakers),
        )
        for sampler in (penalties, dry):
            self.api.llama_sampler_chain_add(self.chain, sampler)
        self.accept(history)

    def accept(self, tokens):
        for token in tokens:
            self.api.llama_sampler_accept(self.chain, token)

    def apply(self, ids, logits):
        """The logits of these tokens after the chain, in their order."""
        data = np.zeros(len(ids), TOKEN_DATA)
        data["id"], data["logit"] = ids, logits
        pointer = data.ctypes.data_as(ctypes.POINTER(self.api.llama_token_data))
        array = self.api.llama_token_data_array(pointer, len(ids), -1, False)
        self.api.llama_sampler_apply(self.chain, ctypes.byref(array))
        after = dict(zip(data["id"].tolist(), data["logit"].tolist(), strict=True))
        return np.array([after[i] for i in ids])

    def close(self):
        self.api.llama_sampler_free(self.chain)


def plain_penalized(player, prompt_ids, settings, n_bytes):
    """Greedy decoding with llama.cpp's functions and nothing else, its samplers before the choice."""
    api, handle = library().api, player.context.handle
    chain = LlamaChain(player, settings, prompt_ids)
    api.llama_memory_clear(api.llama_get_memory(handle), False)
    batch = api.llama_batch_init(BATCH_TOKENS, 0, 1)

    def logits_after(tokens, at):
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, at + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, i == len(tokens) - 1
        assert api.llama_decode(handle, batch) == 0
        pointer = api.llama_get_logits_ith(handle, len(tokens) - 1)
        return np.ctypeslib.as_array(pointer, (len(player.table),))

    if len(prompt_ids) > 1:
        logits_after(prompt_ids[:-1], 0)
    said, at, tokens = b"", len(prompt_ids), prompt_ids[-1:]
    while len(said) < n_bytes:
        logits = logits_after(tokens, at - 1)
        best = np.argpartition(-logits, 400)[:400].tolist()  # more than the penalties can concern
        token = best[int(chain.apply(best, logits[best]).argmax())]
        if token in player.model.vocabulary.end_ids:
            break
        chain.accept([token])
        said, at, tokens = said + player.table.pieces[token], at + 1, [token]
    api.llama_batch_free(batch)
    chain.close()
    api.llama_memory_clear(api.llama_get_memory(handle), False)
    for sequence in player.context.sequences:
        sequence.shrink_to(0)
    return said


def looping(rng, table):
    """A made-up text that says some of its tokens again and again, a BOS before it."""
    known = [table.ids[piece] for piece in (b"\n", b":", b"*", b'"', b"\n\n", b" *", b" the")]
    words = [*rng.choice(np.flatnonzero(table.speakable), 6).tolist(), *known]
    history = [2]
    while len(history) < 120:
        again = rng.integers(1, len(history)) if len(history) > 1 else 1
        history += history[again : again + rng.integers(1, 9)] if rng.random() < 0.6 else [rng.choice(words)]
    return [int(token) for token in history[:120]]


@pytest.mark.parametrize("name", USUAL)
def test_the_formulas_are_those_of_llama_cpp(pair, name):
    """Over made-up texts and logits of both signs, all logits are what llama.cpp's samplers make them."""
    player, settings = pair._models["base"], USUAL[name]
    table, effective = player.table, 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        history = looping(rng, table)[: rng.integers(2, 120)]
        ids = list({table.ids[table.pieces[t]] for t in history if table.speakable[t]} | set(range(300, 340)))
        logits = rng.normal(0, 8, len(ids)).astype(np.float32)
        chain = LlamaChain(player, settings, history)
        expected = chain.apply(ids, logits)
        chain.close()

        pieces = [table.pieces[t] if table.speakable[t] else None for t in history]
        total = np.logaddexp.reduce(logits.astype(np.float64))
        options = {table.pieces[i]: float(np.exp(z - total)) for i, z in zip(ids, logits, strict=True)}
        found = penalize(options, total, *repetition_of(pieces, settings), settings)

        ours = np.log([found.get(table.pieces[i], 0.0) or 1e-300 for i in ids])
        theirs = np.maximum(expected - np.logaddexp.reduce(expected.astype(np.float64)), np.log(1e-300))
        assert ours == pytest.approx(theirs, abs=2e-3), seed
        effective += not np.array_equal(expected, logits)
    assert effective > 2


@pytest.mark.parametrize("role", ["base", "guide"])
@pytest.mark.parametrize("name", USUAL)
def test_a_model_alone_is_llama_cpp_with_its_samplers(pair, name, role):
    """Method base (guide) with penalties gives what llama.cpp's chain gives, greedily, prompt included."""
    player, settings = pair._models[role], USUAL[name]
    answer = AnswerSettings(max_tokens=LENGTH, loop_guard=False, draft="off")
    changed = 0
    for prompt in LOOPED:
        stream = pair.stream(prompt, blend=BlendSettings(method=role), sampling=settings, answer=answer)
        ids = list(pair._slots[0][role].sequence.ids)
        steps = list(stream)
        said = b"".join(step.bytes for step in steps)

        assert plain_penalized(player, ids, settings, len(said))[: len(said)] == said, prompt
        changed += sum(step.instead_of is not None for step in steps)
    assert changed > 0


@pytest.mark.parametrize("method", ["base", "blendin", "nudging", "ensemble"])
def test_the_scheduler_penalizes_like_one_conversation(pair, method):
    """Two answers in shared batches are penalized by their own text, up to near-ties in their first half."""
    blend, answer = BlendSettings(method=method), AnswerSettings(max_tokens=40, loop_guard=False, draft="off")
    settings = SamplingSettings(dry_multiplier=0.8, repeat_penalty=1.1)
    requests = [Request(p, p, blend, settings, answer) for p in (PROMPTS[0], PROMPTS[9])]
    together = {request.key: completion for request, completion in pair.answer_all(requests)}

    for request in requests:
        alone = pair.respond(request.messages, blend=blend, sampling=settings, answer=answer)
        assert any(step.instead_of for step in together[request.key].steps)
        assert together[request.key].text[:20] == alone.text[:20]


def test_off_costs_no_question_and_no_byte(pair):
    """With every strength at zero the steps, lists and signature are those without the settings."""
    blend, answer = (
        BlendSettings(),
        AnswerSettings(max_tokens=30, top_logprobs=3, loop_guard=False, draft="off"),
    )
    off = SamplingSettings(repeat_last_n=9, dry_base=3.0, dry_allowed_length=5, dry_sequence_breaker=("x",))

    plain = pair.respond(PROMPTS[0], blend=blend, answer=answer)
    with_off = pair.respond(PROMPTS[0], blend=blend, sampling=off, answer=answer)

    assert with_off.steps == plain.steps
    assert with_off.signature == plain.signature
