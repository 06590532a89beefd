"""Other ways to the same tokens on the demo pair, side by side: seconds per token, and how many times ours.

Run: python benchmarks/comparisons.py [--json]

    base, ours       method `base`
    base, plain      a greedy loop on llama.cpp's own functions: the limit for the base alone
    pair, ours       method `blendin`
    pair, scores     what a user would otherwise write: two `llama_cpp.Llama` with `logits_all`, their `eval`
                     and `scores`, caches kept as far as the tokenized texts agree
    pair, logprobs   the same through completions of one token with `logprobs=100` (it is so slow that only a
                     few tokens are measured, the prompt read before)
    pair, re-reading prompt and answer are read anew by both models for every question, as a server does that
                     is asked over HTTP and keeps nothing; rule, threads, batches and lists are ours

Every kind continues the same text by the same number of tokens, the prompt counted in. Within a round the
kinds take turns; ratios are medians over rounds of ratios within a round. Nothing else should run.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.blending import auto_alpha, blend
from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.prompts import PlainTemplate
from blendin_local.decode.respond import Question, respond
from blendin_local.engine.context import Context
from blendin_local.engine.library import library
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.model import Model
from blendin_local.engine.vocabulary import Span
from blendin_local.models.local import ensure_local
from blendin_local.models.registry import load_registry
from blendin_local.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings

CTX_SIZE = 1024
TOP_K = 100
LOGPROBS_TOKENS = 8
RAW = PlainTemplate("raw", user="{text}", assistant="")
RAW_JINJA = "{{ messages[0].content }}"
TEXT = (
    "The harbour town of Little Wick has one street that matters, and it runs downhill. At the top stands "
    "a school with green shutters; at the bottom, past the bakery and the shop that sells rope, the water "
    "begins. Every morning a woman called Ada walks down with two empty buckets and comes back with "
    "eleven fish and a story. Nobody has ever asked why it is eleven. Her brother repaired clocks until "
    "the clocks in town became electric, and now he repairs radios, which he says are only clocks that "
    "talk. On Fridays a ferry brings flour, letters, and sometimes a stranger. Strangers stay for one "
    "night at the inn, where the soup is good and the beds are not, and leave with the next tide. Last "
    "autumn one of them stayed. He carried a long wooden case, paid for a month with coins that had gone "
    "out of use, and asked for the room from which one can see both the school and the lighthouse. "
    "Children said that the case held a telescope, their parents said a rifle, and the innkeeper, who had "
    "lifted it, said that it weighed nothing at all. In the evenings he wrote in a book with a blue "
    "cover. When the first storm came he went out without a coat, walked down the whole street to the end "
    "of the pier, opened the case, and did something that Ada, watching from her window, described "
    "afterwards in these words:"
)


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
        self.llm: Any = library().api.Llama(
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
                whole = [piece for piece in choice if piece and _is_text(piece)]
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


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


class ReReader:
    """One model that reads all it is asked about anew."""

    def __init__(self, path: Path) -> None:
        self.model = Model(path, ModelSettings())
        self.context = Context(self.model, CTX_SIZE, usable_threads())
        vocabulary = self.model.vocabulary
        self.table = TokenTable.build(vocabulary.pieces, vocabulary.end_ids, vocabulary.fallback_ids)

    def predict(self, text: str) -> Prediction:
        """What follows the text."""
        [lane] = self.context.lanes
        lane.begin(self.model.vocabulary.tokenize_prompt([Span(text, trusted=False)]))
        lane.n_valid = 0
        [logits] = self.context.predict([lane])
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


def prompt_of(n: int, base: Path) -> str:
    """The beginning of the text that has about n tokens for the base: whole words."""
    model = Model(base, ModelSettings())
    try:
        words = TEXT.split(" ")
        lengths = [
            len(model.vocabulary.tokenize_prompt([Span(" ".join(words[:i]), trusted=False)]))
            for i in range(1, len(words) + 1)
        ]
    finally:
        model.close()
    return " ".join(words[: 1 + min(range(len(words)), key=lambda i: abs(lengths[i] - n))])


def run(cases: list[Case], kinds: list[str], rounds: int) -> list[dict[str, Any]]:
    """Every case, every kind, every round."""
    registry = load_registry()
    names = {role: f"demo-{role}" for role in ("base", "guide")}
    local = ensure_local(list(names.values()), registry, pull=True)
    paths = {role: local[name] for role, name in names.items()}
    rows = []
    for case in cases:
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        steps = dict.fromkeys(kinds, 0)
        for i in range(rounds):
            for kind in kinds if i % 2 == 0 else reversed(kinds):
                seconds, steps[kind] = KINDS[kind](paths, case)
                found[kind].append(seconds / max(1, steps[kind]))
                said = f"{case.n_prompt}:{case.n_tokens} {kind}: {steps[kind]} tokens in {seconds:.1f} s"
                print(said, file=sys.stderr, flush=True)
        rows += [_row(case, kind, found, steps[kind]) for kind in kinds]
    return rows


def _row(case: Case, kind: str, found: Mapping[str, list[float]], n: int) -> dict[str, Any]:
    own = found.get(kind.partition(",")[0] + ", ours", [])
    factors = [a / b for a, b in zip(found[kind], own, strict=False)]
    return {
        "prompt_tokens": case.n_prompt,
        "tokens": case.n_tokens,
        "kind": kind,
        "measured_tokens": n,
        "ms_per_token": median(found[kind]) * 1000,
        "times_ours": median(factors) if factors else None,
        "trials_s_per_token": found[kind],
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cases", nargs="+", default=["20:64", "20:256", "300:64", "300:256"])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = ensure_local(["demo-base"], load_registry(), pull=True)["demo-base"]
    sizes = [tuple(map(int, case.split(":"))) for case in options.cases]
    cases = [Case(prompt_of(n, base), n, length) for n, length in sizes]
    rows = run(cases, options.kinds, options.rounds)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'prompt':>8}{'tokens':>8}  {'':18}{'ms/token':>10}{'times ours':>12}")
    for row in rows:
        factor = "" if row["times_ours"] is None else f"{row['times_ours']:.2f}"
        few = "" if row["measured_tokens"] == row["tokens"] else f"  ({row['measured_tokens']} tokens)"
        print(
            f"{row['prompt_tokens']:8}{row['tokens']:8}  {row['kind']:18}{row['ms_per_token']:10.1f}"
            f"{factor:>12}{few}"
        )


if __name__ == "__main__":
    main()
