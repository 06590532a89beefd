"""The kinds that `comparisons.py` compares: ours, and what one would otherwise do.

Here: `KINDS`. Each loads its models, warms up, and continues a prompt by so many tokens under the clock.
Not here: in which order they are measured, and the table (`comparisons.py`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from blendin_local.core.blending import auto_alpha, blend
from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.prompts import PlainTemplate
from blendin_local.core.text import is_whole
from blendin_local.decode.respond import Question, respond
from blendin_local.engine.context import Context
from blendin_local.engine.library import library
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.model import Model
from blendin_local.engine.vocabulary import Span
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings

CTX_SIZE = 1024
TOP_K = 100
LOGPROBS_TOKENS = 8
RAW = PlainTemplate("raw", user="{text}", assistant="")
RAW_JINJA = "{{ messages[0].content }}"


@dataclass(frozen=True)
class Case:
    """A prompt of so many tokens of the base, and how many to add."""

    prompt: str
    n_prompt: int
    n_tokens: int


Seconds = float
Kind = Callable[[Mapping[str, Path], Case], tuple[Seconds, int]]


def seconds_of(work: Callable[[], int]) -> tuple[Seconds, int]:
    """How long it took, and for how many tokens."""
    started = perf_counter()
    n = work()
    return perf_counter() - started, n


def ours(method: str) -> Kind:
    """A pair as the program runs it, on as many threads as the others."""

    def kind(paths: Mapping[str, Path], case: Case) -> tuple[Seconds, int]:
        settings = ModelSettings(ctx_size=CTX_SIZE, threads=usable_threads())
        setup = PairSetup(
            paths["base"],
            paths["guide"],
            RAW,
            base_settings=settings,
            guide_settings=settings,
            guide_template=RAW_JINJA,
        )
        limits = AnswerSettings(max_tokens=case.n_tokens, loop_guard=False)
        with Pair(setup) as pair:
            pair.respond("Warm up.", blend=BlendSettings(threshold=1.0), answer=AnswerSettings(max_tokens=4))
            chosen = BlendSettings(method=method)
            return seconds_of(lambda: len(pair.respond(case.prompt, blend=chosen, answer=limits).steps))

    return kind


def plain_loop(paths: Mapping[str, Path], case: Case) -> tuple[Seconds, int]:
    """llama.cpp's functions and nothing else: the prompt in one batch, then the likeliest token each time."""
    api = library().api
    model = Model(paths["base"], ModelSettings())
    parameters = api.llama_context_default_params()
    parameters.n_ctx = CTX_SIZE
    parameters.n_threads = parameters.n_threads_batch = usable_threads()
    context = api.llama_init_from_model(model.handle, parameters)
    row = ctypes.c_float * model.vocabulary.n_tokens

    def read(tokens: list[int]) -> int:
        array = (ctypes.c_int32 * len(tokens))(*tokens)  # llama.cpp keeps only its address
        assert api.llama_decode(context, api.llama_batch_get_one(array, len(tokens))) == 0
        logits: Any = row.from_address(ctypes.addressof(api.llama_get_logits_ith(context, -1).contents))
        return int(np.frombuffer(logits, dtype=np.float32).argmax())

    def work() -> int:
        token = read(model.vocabulary.tokenize_prompt([Span(case.prompt, trusted=False)]))
        for _ in range(case.n_tokens - 1):
            token = read([token])
        return case.n_tokens

    try:
        read(model.vocabulary.tokenize_prompt([Span("Warm up.", trusted=False)]))
        api.llama_memory_clear(api.llama_get_memory(context), False)
        return seconds_of(work)
    finally:
        api.llama_free(context)
        model.close()


Candidates = dict[bytes, float]


class ScoresModel:
    """One model through the high-level API, with the logits of every token kept."""

    def __init__(self, path: Path) -> None:
        n = usable_threads()
        self.llm: Any = llama_cpp.Llama(
            str(path), n_ctx=CTX_SIZE, logits_all=True, n_threads=n, n_threads_batch=n, verbose=False
        )

    def candidates(self, text: bytes) -> Candidates:
        """The likeliest tokens after a text, by their bytes."""
        ids = self.llm.tokenize(text, add_bos=True)
        known = self.llm.input_ids[: self.llm.n_tokens].tolist()
        same = (i for i, (a, b) in enumerate(zip(known, ids, strict=False)) if a != b)
        self.llm.n_tokens = min(next(same, min(len(known), len(ids))), len(ids) - 1)
        self.llm.eval(ids[self.llm.n_tokens :])
        logits: NDArray[np.float32] = self.llm.scores[self.llm.n_tokens - 1]
        weights = np.exp(logits - logits.max())
        best = np.argpartition(-weights, TOP_K)[:TOP_K]
        best = best[np.argsort(-weights[best])]
        total = float(weights.sum())
        return {self.llm.detokenize([int(i)]): float(weights[i]) / total for i in best}


class LogprobsModel(ScoresModel):
    """One model through completions of one token."""

    def candidates(self, text: bytes) -> Candidates:
        """The likeliest tokens after a text, by what a completion says of them."""
        done = self.llm.create_completion(text.decode(), max_tokens=1, temperature=0, logprobs=TOP_K)
        tops = done["choices"][0]["logprobs"]["top_logprobs"]
        if not tops:
            return {b" ": 1.0}  # it has ended: a blank keeps the lengths equal
        return {piece.encode(): float(np.exp(logprob)) for piece, logprob in tops[0].items()}


def high_level(model: type[ScoresModel], most: int | None = None) -> Kind:
    """Algorithm 1 written down in a dozen lines, over the text."""

    def kind(paths: Mapping[str, Path], case: Case) -> tuple[Seconds, int]:
        base, guide = model(paths["base"]), model(paths["guide"])

        def work(prompt: str, n_tokens: int) -> int:
            text = prompt.encode()
            for _ in range(n_tokens):
                b = base.candidates(text)
                choice: Distribution = b
                if max(b.values()) < BlendSettings().threshold:
                    g = guide.candidates(text)
                    choice = blend(b, g, auto_alpha(b, g, BlendSettings().agreement_bonus))
                whole = [piece for piece in choice if piece and is_whole(piece)]
                text += max(whole, key=lambda piece: choice[piece])
            return n_tokens

        try:
            work("Warm up.", 2)
            if most is not None:
                work(case.prompt, 1)
            return seconds_of(lambda: work(case.prompt, min(case.n_tokens, most or case.n_tokens)))
        finally:
            base.llm.close()
            guide.llm.close()

    return kind


class ReReader:
    """One model that reads all it is asked about anew."""

    def __init__(self, path: Path) -> None:
        self.model = Model(path, ModelSettings())
        self.context = Context(self.model, CTX_SIZE, usable_threads())
        vocabulary = self.model.vocabulary
        self.table = TokenTable.build(vocabulary.pieces, vocabulary.end_ids, vocabulary.fallback_ids)

    def predict(self, text: str) -> Prediction:
        """What follows the text."""
        [sequence] = self.context.sequences
        sequence.begin(self.model.vocabulary.tokenize_prompt([Span(text, trusted=False)]))
        sequence.n_valid = 0
        [logits] = self.context.predict([sequence])
        return Prediction(logits, self.table, TOP_K)

    def close(self) -> None:
        """Free it."""
        self.context.close()
        self.model.close()


def re_reading(paths: Mapping[str, Path], case: Case) -> tuple[Seconds, int]:
    """Our own rule, asked of models that remember nothing."""
    roles = {role: ReReader(path) for role, path in paths.items()}

    def work() -> int:
        limits = AnswerSettings(max_tokens=case.n_tokens, loop_guard=False)
        answer = respond(BlendSettings(), SamplingSettings(), limits)
        exchange, n_steps = next(answer), 0
        while True:
            try:
                if isinstance(exchange, Question):
                    text = case.prompt + exchange.text.decode("utf-8", "replace")
                    exchange = answer.send(roles[exchange.role].predict(text))
                else:
                    n_steps += 1
                    exchange = answer.send(None)
            except StopIteration:
                return n_steps

    try:
        for reader in roles.values():
            reader.predict("Warm up.")
        return seconds_of(work)
    finally:
        for reader in roles.values():
            reader.close()


KINDS: Mapping[str, Kind] = {
    "base, ours": ours("base"),
    "base, plain": plain_loop,
    "pair, ours": ours("blendin"),
    "pair, scores": high_level(ScoresModel),
    "pair, logprobs": high_level(LogprobsModel, LOGPROBS_TOKENS),
    "pair, re-reading": re_reading,
}
