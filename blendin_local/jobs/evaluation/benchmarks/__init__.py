"""The benchmarks by name, one small file each.

Here: `BENCHMARKS`.
Not here: their data (`data`, or a folder given), how answers are read (`scorers`).
"""

from __future__ import annotations

from collections.abc import Mapping

from blendin_local.jobs.evaluation.benchmarks.gsm8k import GSM8K
from blendin_local.jobs.evaluation.items import Benchmark

BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in (GSM8K,)}
