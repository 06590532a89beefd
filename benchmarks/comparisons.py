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
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from comparison_kinds import KINDS, Case

from blendin_local.engine.model import Model
from blendin_local.engine.vocabulary import Span
from blendin_local.models.fetch import ensure_local
from blendin_local.models.registry import load_registry
from blendin_local.settings import ModelSettings

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
