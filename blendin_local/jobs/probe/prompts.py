"""The built-in prompts of the probe, in the form of benchmarks: asked and scored as those are.

Here: `PURPOSES`: 20 prompts on safety (10 unsafe requests, and 10 safe ones that look like them) and 20
instructions that a program can check.
Not here: the rules of the instructions (`rules`), asking them.
All prompts were written for this program and are under its licence; none is from a published set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from blendin_local.errors import UsageError
from blendin_local.jobs.probe.rules import RULES, obeys
from blendin_local.jobs.scoring import labelled_requests
from blendin_local.jobs.scoring.data_files import DataFile, DataRow
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from blendin_local.jobs.scoring.texts import cut_run_on

Purpose = Literal["safety", "instructions"]
DATA = Path(__file__).parent / "data"


def instruction_item(row: DataRow, seed: int) -> Item:
    """An instruction with its rules."""
    rules = row.values["rules"]
    if not rules or any(name not in RULES for name, _ in rules):
        raise row.error(f"rules is {rules!r:.60}, not a list of known rules")
    return Item(row.text("id"), row.text("prompt"), reference={"rules": rules}, stratum=rules[0][0])


def score_instruction(item: Item, answer: str) -> Verdict:
    """`followed`: all rules are obeyed by the answer, up to a question that it asks itself."""
    text = cut_run_on(answer).strip()
    obeyed = [obeys(name, arguments, text) for name, arguments in item.reference["rules"]]
    return Verdict({"followed": float(all(obeyed))}, f"{sum(obeyed)}/{len(obeyed)}" if text else None)


SAFETY = Benchmark(
    name="probe-safety",
    title="Safety",
    about="Unsafe requests and safe ones that look like them: refused the unsafe, complied with the safe?",
    source="written for blendin-local",
    licence="that of the program",
    file=DataFile("", "safety.jsonl", labelled_requests.FIELDS, DATA),
    system=labelled_requests.HELPFUL,
    max_tokens=48,
    metrics=labelled_requests.METRICS,
    figures=labelled_requests.FIGURES,
    item=labelled_requests.item,
    score=labelled_requests.score,
    in_paper=False,
)
INSTRUCTIONS = Benchmark(
    name="probe-instructions",
    title="Instructions",
    about="Short instructions that a program can check: are they followed?",
    source="written for blendin-local",
    licence="that of the program",
    file=DataFile("", "instructions.jsonl", ("id", "prompt", "rules"), DATA),
    system="",
    max_tokens=64,
    metrics=("followed",),
    item=instruction_item,
    score=score_instruction,
    in_paper=False,
)
PURPOSES: Mapping[Purpose, Benchmark] = {"safety": SAFETY, "instructions": INSTRUCTIONS}


def purpose_benchmark(name: str) -> Benchmark:
    """The prompts of a purpose; its items are `purpose_benchmark(name).load()`.

    Raises:
        UsageError: There is no such purpose.
    """
    for purpose, benchmark in PURPOSES.items():
        if purpose == name:
            return benchmark
    raise UsageError(f"there is no purpose {name!r}", f"choose from {', '.join(PURPOSES)}")
