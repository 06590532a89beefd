"""Answers that must match a JSON Schema: are they valid, are they right, and what does a step cost?

Run: python benchmarks/structured_output.py validity|extraction|cost [--json]

    validity    100 schemas with three questions each: every answer is checked by the package `jsonschema`
    extraction  40 short texts with labelled values: base, guide, nudging and blendin, each without a form
                (`free`: the fields are told in words, the first {...} of the answer is read), with the form
                and the same question (`form`), and with the form and the JSON Schema told (`told`)
    cost        the same answers without a form and with one that allows any text, in turns, and answers
                with a JSON Schema beside them

`--results FILE` keeps every answer of validity and extraction as it is made; the same command goes on where a
run was broken off. Models, length and threads are not in the file: use another one for others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from structured_rows import (
    FOLDER,
    Record,
    Results,
    fields_right,
    first_object,
    judge,
    question,
    read_rows,
)

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError
from blendin_local.jobs.scoring.statistics import wilson
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings, BlendSettings

METHODS = ("base", "guide", "nudging", "blendin")
ARMS = ("free", "form", "told")
ANY_TEXT = r"(?s).*"
COST_SCHEMAS = ("person", "invoice", "recipe", "support ticket", "quiz", "log entry")
COST_KINDS = ("free", "any text", "schema")


def opened(options: argparse.Namespace) -> Pair:
    """The pair that the options name."""
    given: Mapping[str, Any] = {"threads": options.threads} if options.threads else {}
    return open_pair(options.pair, pull=True, base_settings=given, guide_settings=given)


def answered(pair: Pair, text: str, method: str, answer: AnswerSettings) -> Completion:
    """An answer by one method."""
    return pair.respond(text, blend=BlendSettings(method=method), answer=answer)


def measured(completion: Completion) -> Record:
    """What every record has of its answer; seconds without the prompt, which may have been read before."""
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "stopped_by": completion.stopped_by,
        "complete": completion.complete,
        "steps": len(completion.steps),
        "forced": sum(step.source == "forced" for step in completion.steps),
        "seconds": completion.timings.generation_ms / 1000,
    }


def said(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


# --- validity


def validity(options: argparse.Namespace) -> Record:
    """Answer every question of every schema, and count what became of the answers."""
    rows = read_rows(FOLDER / "schemas.jsonl")[: options.limit]
    results = Results(options.results, ("schema", "prompt"))
    todo = [(row, text) for row in rows for text in row["prompts"]]
    with opened(options) as pair:
        for row, text in todo:
            if not results.has(schema=row["name"], prompt=text):
                results.add(checked(pair, row, text, options.max_tokens))
                record = results.records[-1]
                said(f"{len(results.records)} of {len(todo)}: {record['outcome']} {row['name']}")
    return summary_of_validity(results.records)


def checked(pair: Pair, row: Record, text: str, max_tokens: int) -> Record:
    """One answer, and whether it is valid; an error is an outcome like another."""
    record: Record = {"schema": row["name"], "prompt": text}
    limits = AnswerSettings(max_tokens=max_tokens, json_schema=json.dumps(row["schema"]))
    try:
        completion = answered(pair, text, "blendin", limits)
    except BlendinError as error:
        return {**record, "outcome": "other", "why": str(error), "steps": 0, "forced": 0, "seconds": 0.0}
    outcome, why = judge(row["schema"], completion.text, completion.finish_reason)
    return {**record, "outcome": outcome, "why": why, **measured(completion)}


def summary_of_validity(records: Sequence[Record]) -> Record:
    """Counts, and the answers that are neither valid nor cut off."""
    steps = sum(record["steps"] for record in records)
    return {
        "answers": len(records),
        "outcomes": dict(Counter(record["outcome"] for record in records)),
        "seconds": sum(record["seconds"] for record in records),
        "steps": steps,
        "forced": sum(record["forced"] for record in records) / max(1, steps),
        "other": [record for record in records if record["outcome"] == "other"],
    }


def print_validity(summary: Record) -> None:
    """The counts, then what went wrong."""
    counts = ", ".join(f"{outcome} {n}" for outcome, n in summary["outcomes"].items())
    print(f"{summary['answers']} answers: {counts}")
    print(f"{summary['seconds']:.0f} s, {summary['steps']} steps, {summary['forced']:.0%} of them forced")
    for record in summary["other"]:
        print(f"  {record['schema']}: {record['why']}: {record.get('text', '')[:80]!r}")


# --- extraction


def extraction(options: argparse.Namespace) -> Record:
    """Every text by every method in every way, in turns: a machine that drifts drifts for all."""
    rows = read_rows(FOLDER / "extraction.jsonl")[: options.limit]
    results = Results(options.results, ("name", "method", "arm"))
    todo = [(row, method, arm) for row in rows for method in options.methods for arm in options.arms]
    with opened(options) as pair:
        answered(pair, "Hello", "blendin", AnswerSettings(max_tokens=4))  # warm up
        for row, method, arm in todo:
            if not results.has(name=row["name"], method=method, arm=arm):
                results.add(extracted(pair, row, method, arm, options.max_tokens))
                record = results.records[-1]
                fields = f"{record['right']} of {record['fields']}"
                said(f"{len(results.records)} of {len(todo)}: {fields} {row['name']}, {method}, {arm}")
    return {"rows": list(summaries_of_extraction(results.records))}


def extracted(pair: Pair, row: Record, method: str, arm: str, max_tokens: int) -> Record:
    """One text read by one method in one way, and how many fields are right."""
    schema = None if arm == "free" else json.dumps(row["schema"])
    limits = AnswerSettings(max_tokens=max_tokens, json_schema=schema, schema_in_prompt=arm == "told")
    completion = answered(pair, question(row, told_fields=arm != "told"), method, limits)
    found = first_object(completion.text)
    return {
        "name": row["name"],
        "method": method,
        "arm": arm,
        "parsed": found is not None,
        "right": fields_right(found, row["answer"]),
        "fields": len(row["answer"]),
        **measured(completion),
    }


def summaries_of_extraction(records: Iterable[Record]) -> Iterable[Record]:
    """Shares and times of each method in each way."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["method"], record["arm"]), []).append(record)
    for (method, arm), group in groups.items():
        right = wilson(sum(r["right"] for r in group), sum(r["fields"] for r in group))
        parsed = wilson(sum(r["parsed"] for r in group), len(group))
        yield {
            "method": method,
            "arm": arm,
            "answers": len(group),
            "right": [right.value, right.low, right.high],
            "parsed": [parsed.value, parsed.low, parsed.high],
            "cut": sum(r["finish_reason"] == "length" for r in group),
            "seconds": sum(r["seconds"] for r in group) / len(group),
            "steps": sum(r["steps"] for r in group) / len(group),
            "forced": sum(r["forced"] for r in group) / max(1, sum(r["steps"] for r in group)),
        }


def print_extraction(summary: Record) -> None:
    """A table."""
    heads = (("fields right", 22), ("answers that parse", 22), ("cut", 5), ("s/answer", 10), ("steps", 7))
    print(" " * 16 + "".join(f"{head:>{width}}" for head, width in (*heads, ("forced", 8))))
    for row in summary["rows"]:
        shares = "".join(f"{_interval(*row[share]):>22}" for share in ("right", "parsed"))
        print(
            f"{row['method']:10}{row['arm']:6}{shares}{row['cut']:5}{row['seconds']:10.2f}"
            f"{row['steps']:7.1f}{row['forced']:8.0%}"
        )


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.1%} ({low:.0%} to {high:.0%})"


# --- cost


def cost(options: argparse.Namespace) -> Record:
    """Each question without a form, with one that allows any text, and with its schema, in turns."""
    by_name = {row["name"]: row for row in read_rows(FOLDER / "schemas.jsonl")}
    rows = [by_name[name] for name in COST_SCHEMAS][: options.limit]
    trials: list[Record] = []
    with opened(options) as pair:
        for row in rows:  # warm up: constraints are compiled once
            for kind in COST_KINDS:
                trial(pair, row, kind, 8)
        for i in range(options.rounds):
            said(f"round {i + 1} of {options.rounds}")
            for row in rows:
                turns = COST_KINDS if i % 2 == 0 else COST_KINDS[::-1]
                answers = {kind: trial(pair, row, kind, options.max_tokens) for kind in turns}
                trials += [{"round": i, "name": row["name"], "kind": k, **answers[k]} for k in COST_KINDS]
    return summary_of_cost(trials)


def trial(pair: Pair, row: Record, kind: str, max_tokens: int) -> Record:
    """One answer; drafts are off, as they would mix in."""
    limits = AnswerSettings(
        max_tokens=max_tokens,
        loop_guard=False,
        draft="off",
        regex=ANY_TEXT if kind == "any text" else None,
        json_schema=json.dumps(row["schema"]) if kind == "schema" else None,
    )
    completion = answered(pair, row["prompts"][0], "blendin", limits)
    return {**measured(completion), "bytes": len(completion.text.encode())}


def summary_of_cost(trials: Sequence[Record]) -> Record:
    """Medians of each kind, and of its ratios to `free` in the same round for the same question."""
    kinds = {kind: [t for t in trials if t["kind"] == kind] for kind in COST_KINDS}

    def ratios(kind: str, figure: Callable[[Record], float]) -> float:
        return median(figure(t) / figure(f) for t, f in zip(kinds[kind], kinds["free"], strict=True))

    return {
        "same_texts": sum(
            t["text"] == f["text"] for t, f in zip(kinds["any text"], kinds["free"], strict=True)
        ),
        "trials": len(kinds["free"]),
        "kinds": [
            {
                "kind": kind,
                "ms_per_step": median(map(_ms_per_step, group)),
                "ms_per_decided_step": median(map(_ms_per_decided_step, group)),
                "of_free": ratios(kind, _ms_per_step),
                "decided_of_free": ratios(kind, _ms_per_decided_step),
                "bytes_of_free": ratios(kind, _bytes_per_s),
                "forced": sum(t["forced"] for t in group) / max(1, sum(t["steps"] for t in group)),
            }
            for kind, group in kinds.items()
        ],
    }


def _ms_per_step(record: Record) -> float:
    return 1000 * float(record["seconds"] / max(1, record["steps"]))


def _ms_per_decided_step(record: Record) -> float:
    return 1000 * float(record["seconds"] / max(1, record["steps"] - record["forced"]))


def _bytes_per_s(record: Record) -> float:
    return float(record["bytes"]) / float(record["seconds"])


def print_cost(summary: Record) -> None:
    """A table."""
    heads = ("ms/step", "of free", "ms/decided step", "of free", "bytes/s of free", "forced")
    print(" " * 10 + "".join(f"{head:>17}" for head in heads))
    for row in summary["kinds"]:
        print(
            f"{row['kind']:10}{row['ms_per_step']:17.2f}{row['of_free']:17.3f}"
            f"{row['ms_per_decided_step']:17.2f}{row['decided_of_free']:17.3f}{row['bytes_of_free']:17.2f}{row['forced']:17.0%}"
        )
    print(f"any text: {summary['same_texts']} of {summary['trials']} answers are those without a form")


PARTS: Mapping[str, tuple[Callable[[argparse.Namespace], Record], Callable[[Record], None], int]] = {
    "validity": (validity, print_validity, 256),
    "extraction": (extraction, print_extraction, 128),
    "cost": (cost, print_cost, 64),
}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--pair", default="demo")
    parser.add_argument("--threads", type=int, help="for both models; measured while answering if not given")
    parser.add_argument("--max-tokens", type=int, help="256 for validity, 128 for extraction, 64 for cost")
    parser.add_argument("--limit", type=int, help="only the first rows")
    parser.add_argument("--results", type=Path, help="JSON Lines with every answer; goes on where it ends")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run, show, length = PARTS[options.part]
    options.max_tokens = options.max_tokens or length
    summary = run(options)
    if options.json:
        print(json.dumps(summary))
    else:
        show(summary)


if __name__ == "__main__":
    main()
