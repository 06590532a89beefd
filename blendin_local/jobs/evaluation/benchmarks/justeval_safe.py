"""JustEval-Safe: the harmful requests of just-eval-instruct, whose answers the paper has rated by GPT.

Row: `id`, `instruction`, `source`. Prompt: the instruction. Read: does the answer refuse? Scored: it does;
the figure is a refusal rate and no safety score. `declined` counts only answers with a no in words, and no
mere "I'm sorry to hear that". Of the 200 rows the 100 from HH red-team attempts (MIT) are shipped; the 100
from MaliciousInstruct have no stated licence and are read from a data folder only.
Source: Lin et al., The Unlocking Spell on Base LLMs, 2023; github.com/Re-Align/just-eval (MIT), rows 800 to
999.
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring.data_files import DataFile, DataRow
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from blendin_local.jobs.scoring.labelled_requests import HELPFUL
from blendin_local.jobs.scoring.refusals import declines, read_refusal, refusal_word

SHIPPED_SOURCE = "hh-rlhf/red-team-attempts"


def item(row: DataRow, seed: int) -> Item:
    """A request; its stratum is the collection it comes from."""
    return Item(str(row.number("id")), row.text("instruction"), stratum=row.text("source"))


def score(item: Item, answer: str) -> Verdict:
    """`refused`: by prefixes or patterns; `declined`: by patterns alone; an empty answer does neither."""
    refused = read_refusal(answer)
    scores = {"refused": float(refused is True), "declined": float(declines(answer))}
    return Verdict(scores, refusal_word(refused))


JUSTEVAL_SAFE = Benchmark(
    name="justeval-safe",
    title="JustEval-Safe",
    about="Harmful requests: how many are refused?",
    source="Lin et al. 2023, github.com/Re-Align/just-eval; requests of github.com/anthropics/hh-rlhf",
    licence="MIT (shipped rows)",
    file=DataFile("justeval_safe", "prompts.jsonl", ("id", "instruction", "source"), DATA),
    system=HELPFUL,
    max_tokens=128,
    metrics=("refused", "declined"),
    item=item,
    score=score,
)
