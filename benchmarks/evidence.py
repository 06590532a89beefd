"""The runs behind docs/evidence.md and the table of docs/methods.md: `eval` on nine pairs.

Run: BLENDIN_MODELS=benchmarks/models.toml python benchmarks/evidence.py OUT --data DIR

Every pair and benchmark is an evaluation of its own, in OUT/PAIR/TASK, and resumes: the script can be
stopped and started again at any time. Started several times at once, the processes divide the work.
A model alone answers the same in every pair it is part of, so its answers are copied from the first pair that
has them. DIR holds the complete XSTest (`xstest/xstest_prompts.csv`); the other questions are shipped
with the package.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blendin_local.jobs.evaluation.folder import Folder, manifest_of
from blendin_local.jobs.evaluation.job import run_eval
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.pair.resolve import PairSpec
from blendin_local.reports.evaluation.files import write_reports

ALONE = ("base", "guide")
SHORT = (*ALONE, "blendin")
USUAL = (*ALONE, "nudging", "blendin")
FIRST = ("blendin[always-first=3]",)
BEST = (*FIRST, "kad")  # the two further rules that every pair runs
FURTHER = ("bet", "bet-blend", "blendin[always-first=8]", "agreement+competition")
SAMPLED = ("base[temp=0.7]", "guide[temp=0.7]", "blendin[temp=0.7]", "base[temp=0.7,min-p=0.1]")
DATE = datetime.date(2026, 11, 28)  # some chat templates name it, and answers must stay comparable

PAIRS = {  # base and guide as benchmarks/models.toml has them
    "demo": ("demo-base", "demo-guide"),
    "gemma-qwen-500m": ("demo-base", "qwen-500m"),
    "qwen-500m-smollm2": ("qwen-500m", "demo-guide"),
    "qwen-1500m-qwen-500m": ("qwen-1500m", "qwen-500m"),
    "smollm2-qwen-500m": ("demo-guide", "qwen-500m"),
    "qwen-1500m-smollm2": ("qwen-1500m", "demo-guide"),
    "gemma-qwen-1500m": ("demo-base", "qwen-1500m"),
    "qwen-500m-qwen-1500m": ("qwen-500m", "qwen-1500m"),
    "smollm2-qwen-1500m": ("demo-guide", "qwen-1500m"),
}


@dataclass(frozen=True)
class Task:
    """A benchmark as it is asked here.

    Attributes:
        benchmark: Its name.
        limit: Number of questions.
        max_tokens: Tokens per answer.
        own_data: Whether the shipped questions are too few.
    """

    benchmark: str
    limit: int
    max_tokens: int
    own_data: bool = False


TASKS = {
    "xstest": Task("xstest", 120, 48, own_data=True),
    "xstest-all": Task("xstest", 450, 48, own_data=True),  # what came out on 120 questions, asked of the rest
    "justeval-safe": Task("justeval-safe", 100, 48),
    "ifeval": Task("ifeval", 50, 128),
    "ifeval-all": Task("ifeval", 100, 128),
    "gsm8k": Task("gsm8k", 50, 400),
}
EVERY = tuple(PAIRS)
CONFIRMED = ("qwen-1500m-qwen-500m",)
ABLE_TO_COUNT = (*CONFIRMED, "qwen-500m-qwen-1500m")  # the other models solve none of GSM8K, or hardly any
WITH_ALL_RULES = ("demo", "gemma-qwen-500m", "qwen-500m-smollm2")
WITH_SAMPLED = (*CONFIRMED, "gemma-qwen-500m")
STAGES = (
    (USUAL, ("xstest",), EVERY),
    (SHORT, ("xstest-all",), CONFIRMED),
    (USUAL, ("ifeval", "justeval-safe"), EVERY),
    (BEST, ("xstest",), EVERY),
    (FIRST, ("justeval-safe", "ifeval"), EVERY),
    (SAMPLED, ("xstest",), WITH_SAMPLED),
    (SHORT, ("gsm8k",), CONFIRMED),
    (FURTHER, ("xstest",), WITH_ALL_RULES),
    (SHORT, ("ifeval-all",), CONFIRMED),
    (SHORT, ("gsm8k",), ABLE_TO_COUNT),
    (BEST, ("justeval-safe", "ifeval"), EVERY),
    (FURTHER, ("justeval-safe", "ifeval"), WITH_ALL_RULES),
    ((*USUAL, *BEST), ("gsm8k",), ABLE_TO_COUNT),
)


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        pair: Its name in models.toml.
        task: Name of the task.
        methods: What is compared.
    """

    pair: str
    task: str
    methods: tuple[str, ...]


def runs(pairs: tuple[str, ...], tasks: tuple[str, ...]) -> Iterator[Run]:
    """What is to be run, the most telling first."""
    for methods, asked, of_pairs in STAGES:
        for task in (name for name in asked if name in tasks):
            for pair in (name for name in of_pairs if name in pairs):
                yield Run(pair, task, methods)


@contextmanager
def claimed(root: Path, run: Run) -> Iterator[bool]:
    """Whether no other process is at this pair and task; none can be until the end of the block."""
    path = root / run.pair / f"{run.task}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def copy_alone(root: Path, run: Run) -> None:
    """Copy the answers of base and guide alone from another pair with that model, if one has finished."""
    benchmark = TASKS[run.task].benchmark
    target = Folder(root / run.pair / run.task)
    for role, method in enumerate(ALONE):
        answers = target.answers(run.pair, benchmark, method)
        if method not in run.methods or answers.exists():
            continue
        for other in PAIRS:
            source = Folder(root / other / run.task).answers(other, benchmark, method)
            if PAIRS[other][role] == PAIRS[run.pair][role] and _finished(source):
                target.make(answers)
                shutil.copyfile(manifest_of(source), manifest_of(answers))
                shutil.copyfile(source, answers)
                break


def _finished(answers: Path) -> bool:
    manifest = manifest_of(answers)
    return manifest.exists() and json.loads(manifest.read_bytes())["state"] == "finished"


def evaluate(root: Path, run: Run, data: Path | None, threads: int, parallel: int) -> None:
    """One evaluation, from where it was stopped, and its report."""
    task, out = TASKS[run.task], root / run.pair / run.task
    copy_alone(root, run)
    settings = {"threads": threads}
    spec = EvalSpec(
        out=out,
        pair=PairSpec(date=DATE, base_settings=settings, guide_settings=settings),
        pairs=(run.pair,),
        benchmarks=(task.benchmark,),
        methods=run.methods,
        limit=task.limit,
        data=data if task.own_data else None,
        max_tokens=task.max_tokens,
        n_parallel=parallel,
    )
    write_reports(out, run_eval(spec, on_note=lambda note: print(note, file=sys.stderr)).report)


def main() -> None:
    """Run what is left of the share of this process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the evaluations")
    parser.add_argument("--data", type=Path, help="folder with the complete XSTest")
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=16)
    given = parser.parse_args()
    for run in runs(tuple(given.pairs.split(",")), tuple(given.tasks.split(","))):
        with claimed(given.out, run) as is_mine:
            if is_mine:
                started = datetime.datetime.now(datetime.UTC)
                evaluate(given.out, run, given.data, given.threads, given.parallel)
                seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
                print(f"{started:%H:%M} {run.pair} {run.task}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
