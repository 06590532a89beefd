"""Does `blendin check` foretell? What it said of each pair, against what an evaluation measured.

Run: python benchmarks/foretell.py CHECKS EVIDENCE [--write]

CHECKS holds a record per pair, PAIR.json, of `blendin check --json`; EVIDENCE is the folder of
`benchmarks/evidence.py`, PAIR/TASK/report.json. Pairs that only one of them has are left out. Printed are two
tables in Markdown: each pair's probe verdict and 20 % rule beside the measured word, with hits and misses;
and the hits with limits chosen on the other pairs (leave one pair out). `--write` puts the counts into
`blendin_local/jobs/check/data/signals.json`, from where `check` shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from blendin_local.core.percent import percent
from blendin_local.jobs.check import hit_rates
from blendin_local.jobs.evaluation.score.exact import pearson
from blendin_local.jobs.probe.asking import ProbeAnswer, outcomes_of
from blendin_local.jobs.probe.outcome import Outcome, Word, word_of
from blendin_local.settings import CheckSettings

TASKS = {
    "safety": ("xstest-all", "xstest"),
    "instructions": ("ifeval-all", "ifeval"),
}  # the first that was measured counts
METHOD, LIMIT = "blendin", CheckSettings().excessive_rate
SHIPPED = Path(hit_rates.__file__).parent / "data" / "signals.json"
RULE = "over-intervening"


@dataclass(frozen=True)
class Foretold:
    """One pair and purpose: what was said before, and what was measured.

    Attributes:
        pair: Name of the pair.
        purpose: `safety` or `instructions`.
        probe_word: The probe's verdict.
        probe: The method minus the base on the probe's prompts.
        rate: The intervention rate that the check saw.
        measured: The method minus the base on the benchmark.
        p: Its p-value.
        n: Questions of the benchmark.
    """

    pair: str
    purpose: str
    probe_word: Word
    probe: float
    rate: float
    measured: float
    p: float
    n: int

    @property
    def measured_word(self) -> Word:
        """The measured difference under the probe's own rule."""
        return word_of(self.measured, self.p)

    @property
    def paid(self) -> bool:
        """Whether guiding was measured to be better than the base."""
        return self.measured_word == "pays"

    @property
    def probe_is_right(self) -> bool:
        """Whether the probe's word is the measured one."""
        return self.probe_word == self.measured_word

    @property
    def probe_is_silent(self) -> bool:
        """Whether the probe saw nothing where something was measured: a miss, and no contradiction."""
        return not self.probe_is_right and self.probe_word == "no difference seen"

    @property
    def rule_is_right(self) -> bool:
        """The rule says that guiding does not pay above its limit, and pays at or below it."""
        return (self.rate <= LIMIT) == self.paid


def read(checks: Path, evidence: Path) -> list[Foretold]:
    """All pairs and purposes that both folders have, by purpose and then by pair."""
    records = {path.stem: json.loads(path.read_bytes()) for path in sorted(checks.glob("*.json"))}
    outcomes = {pair: _outcomes(record["probe"]) for pair, record in records.items()}
    found = []
    for purpose, tasks in TASKS.items():
        for pair, record in records.items():
            comparison = next(
                filter(None, (_comparison(evidence / pair / task, pair) for task in tasks)), None
            )
            if comparison is not None and purpose in outcomes[pair]:
                outcome = outcomes[pair][purpose]
                found.append(
                    Foretold(
                        pair,
                        purpose,
                        outcome.word,
                        outcome.against_base.difference,
                        record["answers"]["intervention_rate"]["value"],
                        *(comparison[name] for name in ("value", "p", "n")),
                    )
                )
    return found


def _outcomes(probe: Mapping[str, Any]) -> Mapping[str, Outcome]:
    """By purpose, from the answers' scores: a record keeps its worth when the rule of the verdict changes."""
    answers = [ProbeAnswer(**answer) for answer in probe["answers"]]
    return {str(purpose): found for purpose, found in outcomes_of(probe["method"], answers).items()}


def _comparison(folder: Path, pair: str) -> Mapping[str, Any] | None:
    """The method against the base in an evaluation; None if it is not there or not finished."""
    path = folder / "report.json"
    if not path.exists():
        return None
    report = json.loads(path.read_bytes())
    names = (pair, METHOD, "base")
    found = [each for each in report["comparisons"] if (each["pair"], each["a"], each["b"]) == names]
    done = all(cell["complete"] for cell in report["cells"] if cell["variant"] in names[1:])
    return found[0] if found and done else None


def left_out(cases: Sequence[Foretold], value: Callable[[Foretold], float]) -> list[bool]:
    """For each pair whether a limit chosen on the others foretells it: it pays where the value reaches it.

    Of all limits between two neighbouring values (and beyond either end) the one with the most hits among the
    others is taken, of several the lowest.

    Args:
        cases: Of one purpose.
        value: What is compared with the limit; the larger, the more likely guiding pays.
    """
    hits = []
    for case in cases:
        others = [other for other in cases if other is not case]
        values = sorted({value(other) for other in others})
        middles = [(a + b) / 2 for a, b in pairwise(values)]
        limits = [values[0] - 1, *middles, values[-1] + 1] if values else [0.0]

        def right(limit: float, among: Sequence[Foretold] = others) -> int:
            return sum((value(other) >= limit) == other.paid for other in among)

        limit = max(limits, key=right)
        hits.append((value(case) >= limit) == case.paid)
    return hits


def majority(cases: Sequence[Foretold]) -> list[bool]:
    """For each pair whether it is as most of the others: what can be foretold without looking at it."""
    hits = []
    for case in cases:
        others = [other.paid for other in cases if other is not case]
        hits.append((2 * sum(others) > len(others)) == case.paid)
    return hits


def table(cases: Sequence[Foretold]) -> Iterator[str]:
    """Each pair: what was said, what was measured, and who was right."""
    yield "| purpose | pair | probe | asked | measured | probe | 20 % rule |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        probe, rule = ("hit" if right else "miss" for right in (case.probe_is_right, case.rule_is_right))
        probe = "silent" if case.probe_is_silent else probe
        said = f"{case.probe_word} ({case.probe:+.2f})"
        yield (
            f"| {case.purpose} | {case.pair} | {said} | {percent(case.rate, 0)} "
            f"| {case.measured_word} ({case.measured:+.2f}, n {case.n}, p {case.p:.2g}) | {probe} | {rule} |"
        )


def summary(cases: Sequence[Foretold]) -> Iterator[str]:
    """Hits of all ways to foretell, by purpose."""
    ways = ("probe's word", "silent", "20 % rule", "probe, limit of the others", "asked, limit of the others")
    yield f"| purpose | pairs | paid | {' | '.join(ways)} | most of the others | r |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for purpose in dict.fromkeys(case.purpose for case in cases):
        own = [case for case in cases if case.purpose == purpose]
        hits = (
            [case.probe_is_right for case in own],
            [case.probe_is_silent for case in own],
            [case.rule_is_right for case in own],
            left_out(own, lambda case: case.probe),
            left_out(own, lambda case: -case.rate),
            majority(own),
        )
        line = pearson([case.probe for case in own], [case.measured for case in own])
        r = "" if line is None else f"{line.r:.2f}"
        counts = " | ".join(str(sum(each)) for each in hits)
        yield f"| {purpose} | {len(own)} | {sum(case.paid for case in own)} | {counts} | {r} |"


def counts(cases: Sequence[Foretold]) -> dict[str, Any]:
    """The content of signals.json, over the pairs that were measured for every purpose."""
    purposes = list(TASKS)
    pairs = [
        pair
        for pair in dict.fromkeys(case.pair for case in cases)
        if {case.purpose for case in cases if case.pair == pair} == set(purposes)
    ]
    signals: dict[str, Any] = {hit_rates.PROBE: {}, RULE: {}} if pairs else {}
    for purpose in purposes if pairs else ():
        own = [case for case in cases if case.purpose == purpose and case.pair in pairs]
        for signal, right in (
            (hit_rates.PROBE, [case.probe_is_right for case in own]),
            (RULE, [case.rule_is_right for case in own]),
        ):
            signals[signal][purpose] = {"right": sum(right), "wrong": len(own) - sum(right)}
    return {"made_by": "benchmarks/foretell.py --write", "pairs": pairs, "signals": signals}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checks", type=Path, help="folder with a PAIR.json of blendin check --json per pair")
    parser.add_argument("evidence", type=Path, help="folder of benchmarks/evidence.py")
    parser.add_argument("--write", action="store_true", help="write the counts into the package")
    given = parser.parse_args()
    cases = read(given.checks, given.evidence)
    if not cases:
        sys.exit("no pair has both a check and an evaluation")
    print("\n".join([*table(cases), "", *summary(cases)]))
    if given.write:
        SHIPPED.write_text(json.dumps(counts(cases), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
