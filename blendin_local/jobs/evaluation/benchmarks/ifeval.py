"""IFEval: instructions whose fulfilment a program can check.

Row: `key`, `prompt`, `instruction_id_list`, `kwargs` (the arguments of each instruction). Prompt: as it is,
without a system line, as published. Read: nothing, the answer itself is checked. Scored strict and loose,
per prompt (all of its instructions are obeyed) and per instruction. A prompt with an instruction that
cannot be checked here drops out.
Source: Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023;
google-research/google-research (Apache-2.0).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring.data_files import DataFile, DataRow
from blendin_local.jobs.scoring.instructions import CHECKS, follows
from blendin_local.jobs.scoring.items import Benchmark, Item, LeftOut, Verdict

METRICS = ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose")


def item(row: DataRow, seed: int) -> Item | LeftOut:
    """A prompt; its stratum is how many instructions it gives."""
    key, kinds = str(row.number("key")), row.texts("instruction_id_list")
    arguments = row.values["kwargs"]
    if not isinstance(arguments, list) or len(arguments) != len(kinds):
        raise row.error("kwargs is not a list with one object per instruction")
    if unknown := sorted({kind.partition(":")[2] for kind in kinds if kind not in CHECKS}):
        return LeftOut(key, f"no check for {', '.join(unknown)}")
    given = [{name: value for name, value in each.items() if value is not None} for each in arguments]
    reference = {"instructions": list(zip(kinds, given, strict=True))}
    return Item(key, row.text("prompt"), reference=reference, stratum=f"{len(kinds)} instructions")


def score(item: Item, answer: str) -> Verdict:
    """The four published accuracies; the two per instruction weigh a prompt by how many it gives."""
    instructions = item.reference["instructions"]
    strict = [follows(kind, arguments, answer) for kind, arguments in instructions]
    loose = [
        obeyed or follows(kind, arguments, answer, loose=True)
        for obeyed, (kind, arguments) in zip(strict, instructions, strict=True)
    ]
    n = len(instructions)
    scores = (float(all(strict)), float(all(loose)), sum(strict) / n, sum(loose) / n)
    weights = {"instruction_strict": float(n), "instruction_loose": float(n)}
    parsed = f"{sum(strict)}/{n}" if answer.strip() else None
    return Verdict(dict(zip(METRICS, scores, strict=True)), parsed, weights)


IFEVAL = Benchmark(
    name="ifeval",
    title="IFEval",
    about="Instructions that a program can check: are they obeyed?",
    source="Zhou et al. 2023, github.com/google-research/google-research",
    licence="Apache-2.0",
    file=DataFile("ifeval", "prompts.jsonl", ("key", "prompt", "instruction_id_list", "kwargs"), DATA),
    system="",
    max_tokens=512,
    metrics=METRICS,
    item=item,
    score=score,
    in_paper=False,
)
