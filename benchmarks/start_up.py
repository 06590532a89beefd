"""How long `blendin run -n 1` takes on the demo pair, from starting Python to its end, on warm files.

Run: python benchmarks/start_up.py [--rounds 9] [--against DIRECTORY] [--json]

Variants take turns within a round: `kept` finds the vocabularies' tables in the cache, `fresh` has to ask
llama.cpp for them (the directory `vocabularies` of the cache is moved aside), and `against` is the same
command with the package in another directory, such as a checkout of an older version. One round before the
first is not counted; Python's compiled modules are kept from then on, as those of an installed package are,
whatever PYTHONDONTWRITEBYTECODE says. Wall time needs an idle machine; processor time (user and system, child
processes too) suffers less from others. Medians over rounds, and medians of the rounds' ratios to the first
variant.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from blendin_local.models.store import Store

HERE = Path(__file__).absolute().parents[1]
COMMAND = (sys.executable, "-m", "blendin_local", "run", "Why is the sky blue?", "--pair", "demo", "-n", "1")


@dataclass(frozen=True)
class Cost:
    """One run of the command."""

    wall_s: float
    cpu_s: float


def measured(package: Path, options: Sequence[str], bytecode: Path) -> Cost:
    """Run the command once; compiled modules are kept in `bytecode`.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(package),
            "PYTHONDONTWRITEBYTECODE": "",  # an installed package is compiled once, not at every start
            "PYTHONPYCACHEPREFIX": str(bytecode),
            "BLENDIN_HISTORY": f"{folder}/history.db",
        }
        before, started = os.times(), perf_counter()
        done = subprocess.run(
            [*COMMAND, *options],
            cwd=folder,  # its own directory would come before PYTHONPATH
            env=environment,
            stdout=output,
            stderr=output,
            check=False,
        )
        wall_s, after = perf_counter() - started, os.times()
        if done.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace"))
    user, system = (
        after.children_user - before.children_user,
        after.children_system - before.children_system,
    )
    return Cost(wall_s, user + system)


def measured_fresh(options: Sequence[str], bytecode: Path) -> Cost:
    """Run the command once without kept tables, and put those that were there back."""
    place = Store.default().vocabularies.directory
    aside = place.with_name(f"{place.name}.aside")
    place.rename(aside)
    try:
        return measured(HERE, options, bytecode)
    finally:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
        aside.rename(place)


def measured_in_turns(
    n_rounds: int, options: Sequence[str], against: Path | None, bytecode: Path
) -> list[dict[str, Cost]]:
    """Every variant once in each round, after a round that is not counted."""
    variants: dict[str, Callable[[], Cost]] = {
        "fresh": lambda: measured_fresh(options, bytecode),
        "kept": lambda: measured(HERE, options, bytecode),
    }
    if against:
        variants = {"against": lambda: measured(against.absolute(), options, bytecode), **variants}
    for variant in reversed(variants.values()):  # files come into memory, tables and bytecode are kept
        variant()
    return [{name: variant() for name, variant in variants.items()} for _ in range(n_rounds)]


def table(rounds: Sequence[Mapping[str, Cost]]) -> list[dict[str, str | float]]:
    """Medians of each variant, and of its ratios to the first one."""
    first = next(iter(rounds[0]))
    return [
        {
            "variant": name,
            "wall_s": round(median(each[name].wall_s for each in rounds), 3),
            "wall_ratio": round(median(each[name].wall_s / each[first].wall_s for each in rounds), 3),
            "cpu_s": round(median(each[name].cpu_s for each in rounds), 3),
            "cpu_ratio": round(median(each[name].cpu_s / each[first].cpu_s for each in rounds), 3),
        }
        for name in rounds[0]
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path, help="a directory with another blendin_local")
    parser.add_argument("--options", default="", help="more options of the command, such as '-t 1'")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as bytecode:
        rounds = measured_in_turns(given.rounds, given.options.split(), given.against, Path(bytecode))
    rows = table(rounds)
    if given.json:
        print(json.dumps(rows))
        return
    print(f"{given.rounds} rounds; ratios to {rows[0]['variant']}\n")
    print(f"{'':10}{'wall s':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['variant']:10}{row['wall_s']:8.2f}{row['wall_ratio']:8.2f}{row['cpu_s']:8.2f}{row['cpu_ratio']:8.2f}"
        )


if __name__ == "__main__":
    main()
