"""One conversation on the demo pair: where the time goes, as ratios measured in one run.

Run: python benchmarks/one_conversation.py [--json]

For thresholds from 0 (the guide is never asked) to 1 (always) it answers the same questions and prints
tokens/s, the share of wall time inside llama.cpp (`llama_decode` and waiting for its result), the speed
beside that of the base alone, and what the process weighs beyond files, KV caches and compute buffers.

Medians over rounds; within a round the kinds take turns, so that a machine that drifts drifts for all.
Speed is that of generation, prompts aside.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from statistics import median

import psutil

from blendin_local.core.records import Completion
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings, BlendSettings

QUESTIONS = (
    "Why is the sky blue?",
    "Give me three tips for a job interview.",
    "Explain how a bicycle stays upright.",
    "Write a short story about a lighthouse keeper.",
    "What is the difference between weather and climate?",
    "How do I look after a house plant?",
)
KINDS = {
    "base alone": BlendSettings(method="base"),
    "guide alone": BlendSettings(method="guide"),
    "blendin, threshold 0": BlendSettings(threshold=0.0),
    "blendin, threshold 0.2": BlendSettings(threshold=0.2),
    "blendin, threshold 0.4": BlendSettings(),
    "nudging, threshold 0.4": BlendSettings(method="nudging"),
    "blendin, threshold 0.7": BlendSettings(threshold=0.7),
    "blendin, threshold 1": BlendSettings(threshold=1.0),
}


@dataclass(frozen=True)
class Row:
    """One kind's figures: medians over rounds."""

    kind: str
    tokens_per_s: float
    share_in_llama: float
    of_base: float
    asked: float
    base_tokens_per_step: float
    guide_tokens_per_step: float


def measure(pair: Pair, settings: BlendSettings, length: int) -> dict[str, float]:
    """All questions once."""
    limits = AnswerSettings(max_tokens=length, loop_guard=False)
    completions = [pair.respond(question, blend=settings, answer=limits) for question in QUESTIONS]

    def total(figure: str) -> float:
        return float(sum(getattr(completion.timings, figure) for completion in completions))

    def steps(completion: Completion) -> int:
        return len(completion.steps)

    def evaluated(role: str) -> int:
        """Tokens evaluated beyond the prompt."""
        usages = [completion.usage for completion in completions if len(completion.steps)]
        counts = [
            (getattr(u, f"{role}_tokens_evaluated"), getattr(u, f"{role}_prompt_tokens")) for u in usages
        ]
        return sum(max(0, tokens - prompt) for tokens, prompt in counts)

    n = sum(map(steps, completions))
    return {
        "tokens_per_s": n / total("generation_ms") * 1000,
        "share": total("llama_decode_ms") / (total("prompt_ms") + total("generation_ms")),
        "asked": sum(completion.blend.asked for completion in completions) / n,
        "guide_tokens": evaluated("guide") / n,
        "base_tokens": evaluated("base") / n,
    }


def run(rounds: int, length: int) -> list[Row]:
    """Measure every kind in every round."""
    with open_pair("demo", pull=True) as pair:
        measure(pair, KINDS["blendin, threshold 1"], 8)  # warm up
        figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(rounds):
            for kind, settings in KINDS.items():
                figures[kind].append(measure(pair, settings, length))
    base = [figure["tokens_per_s"] for figure in figures["base alone"]]
    return [
        Row(
            kind,
            tokens_per_s=median(f["tokens_per_s"] for f in rows),
            share_in_llama=median(f["share"] for f in rows),
            of_base=median(f["tokens_per_s"] / b for f, b in zip(rows, base, strict=True)),
            asked=median(f["asked"] for f in rows),
            base_tokens_per_step=median(f["base_tokens"] for f in rows),
            guide_tokens_per_step=median(f["guide_tokens"] for f in rows),
        )
        for kind, rows in figures.items()
    ]


def memory() -> dict[str, float]:
    """Megabytes of a fresh process with the pair loaded, beyond what llama.cpp's own parts take."""
    process = psutil.Process()
    with open_pair("demo", pull=True) as pair:
        pair.respond("Hello", answer=AnswerSettings(max_tokens=8), blend=BlendSettings(threshold=1.0))
        resident = process.memory_info().rss
        parts = pair.memory_bytes()
    return {"resident_mb": resident / 2**20, **{name: size / 2**20 for name, size in parts.items()}}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    weight = memory()
    rows = run(options.rounds, options.tokens)
    if options.json:
        print(json.dumps({"memory_mb": weight, "rows": [vars(row) for row in rows]}))
        return
    heads = (
        ("tokens/s", 10),
        ("in llama.cpp", 14),
        ("of base", 9),
        ("asked", 8),
        ("tokens/step base", 18),
        ("guide", 7),
    )
    print(" " * 24 + "".join(f"{head:>{width}}" for head, width in heads))
    for row in rows:
        print(
            f"{row.kind:24}{row.tokens_per_s:10.1f}{row.share_in_llama:14.1%}{row.of_base:9.2f}"
            f"{row.asked:8.1%}{row.base_tokens_per_step:18.2f}{row.guide_tokens_per_step:7.2f}"
        )
    print("memory, MB: " + ", ".join(f"{name} {size:.0f}" for name, size in weight.items()))


if __name__ == "__main__":
    main()
