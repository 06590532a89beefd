"""All methods on the same prompts: how often each asks and changes, who ends its answers, how fast it is.

Run: python benchmarks/all_methods.py [--json]

The first prompts of `blendin check` are answered by every method, one answer at a time. Proxy tuning wants
the guide before it was tuned; the demo pair has no such model, so the base stands in as the third model:
what is seen of `proxy` is its mechanism and its cost, not its merit.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from blendin_local.core.methods import METHODS
from blendin_local.core.records import Completion
from blendin_local.jobs.check.built_in_texts import built_in_prompts
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings, BlendSettings


@dataclass(frozen=True)
class Row:
    """One method's figures over all prompts."""

    method: str
    steps: int
    asked: float
    changed: float
    ended_by: dict[str, int]
    tokens_per_s: float


def fold(method: str, completions: Sequence[Completion]) -> Row:
    """What a method's answers say."""
    n = sum(len(completion.steps) for completion in completions)
    seconds = sum(completion.timings.generation_ms for completion in completions) / 1000
    return Row(
        method,
        steps=n,
        asked=sum(completion.blend.asked for completion in completions) / max(1, n),
        changed=sum(completion.blend.changed for completion in completions) / max(1, n),
        ended_by=dict(Counter(completion.stopped_by for completion in completions).most_common()),
        tokens_per_s=n / seconds,
    )


def run(n_prompts: int, n_tokens: int) -> list[Row]:
    """Ask every method every prompt."""
    prompts = built_in_prompts().read_text(encoding="utf-8").splitlines()[:n_prompts]
    limits = AnswerSettings(max_tokens=n_tokens)
    with open_pair("demo", pull=True, untuned="demo-base") as pair:
        pair.respond(prompts[0], answer=limits)  # warm up
        return [
            fold(name, [pair.respond(p, blend=BlendSettings(method=name), answer=limits) for p in prompts])
            for name in METHODS
        ]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.prompts, options.tokens)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(f"{'method':24}{'steps':>7}{'asked':>8}{'changed':>9}{'tokens/s':>10}  ended by")
    for row in rows:
        ended = ", ".join(f"{why} {n}" for why, n in row.ended_by.items())
        print(
            f"{row.method:24}{row.steps:7}{row.asked:8.0%}{row.changed:9.0%}{row.tokens_per_s:10.1f}  {ended}"
        )


if __name__ == "__main__":
    main()
