"""The shipped subsets, recreated from the complete data.

Here: `make_subsets`: 100 rows per benchmark, drawn by seed 609 within its strata, their fields unchanged.
Run it as `python -m tools.make_subsets DATA OUT`; it writes what the package ships.
Not here: how rows are drawn (`items.subset`). Of JustEval-Safe only the rows whose licence allows it are
drawn from.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.benchmarks.justeval_safe import JUSTEVAL_SAFE, SHIPPED_SOURCE
from blendin_local.jobs.scoring.data_files import DataRow
from blendin_local.jobs.scoring.items import Benchmark, Item, subset
from blendin_local.settings import EVALUATION_SEED as SEED

ROWS = 100


def make_subsets(data: Path, out: Path) -> list[Path]:
    """Write every benchmark's subset below `out`, from the complete sets below `data`."""
    return [_write(benchmark, chosen_rows(benchmark, data), out) for benchmark in BENCHMARKS.values()]


def chosen_rows(benchmark: Benchmark, data: Path) -> list[DataRow]:
    """The rows of a benchmark's subset, in the file's order."""
    read = benchmark.read(data)
    items = [item for _, item in read if isinstance(item, Item) and _may_ship(benchmark, item)]
    keys = {item.key for item in subset(items, ROWS, SEED)}
    return [row for row, item in read if item.key in keys]


def _may_ship(benchmark: Benchmark, item: Item) -> bool:
    return benchmark is not JUSTEVAL_SAFE or item.stratum == SHIPPED_SOURCE


def _write(benchmark: Benchmark, rows: list[DataRow], out: Path) -> Path:
    path = benchmark.file.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, list(rows[0].values), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.values for row in rows)
        else:
            file.writelines(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows)
    return path


if __name__ == "__main__":
    make_subsets(*map(Path, sys.argv[1:3]))
