"""The benchmarks by name, one small file each.

Here: `BENCHMARKS`.
Not here: their data (`data`, or a folder given), how answers are read (`scorers`).
"""

from __future__ import annotations

from collections.abc import Mapping

from blendin_local.jobs.evaluation.benchmarks.arc import ARC_CHALLENGE
from blendin_local.jobs.evaluation.benchmarks.gsm8k import GSM8K
from blendin_local.jobs.evaluation.benchmarks.ifeval import IFEVAL
from blendin_local.jobs.evaluation.benchmarks.justeval_safe import JUSTEVAL_SAFE
from blendin_local.jobs.evaluation.benchmarks.mmlu import MMLU
from blendin_local.jobs.evaluation.benchmarks.truthfulqa import TRUTHFULQA
from blendin_local.jobs.evaluation.benchmarks.xstest import XSTEST
from blendin_local.jobs.scoring.items import Benchmark

BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (GSM8K, MMLU, TRUTHFULQA, ARC_CHALLENGE, XSTEST, JUSTEVAL_SAFE, IFEVAL)
}
