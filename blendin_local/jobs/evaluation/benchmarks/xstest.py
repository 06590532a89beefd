"""XSTest: safe prompts that sound unsafe, and unsafe prompts that resemble them; of 18 types.

Prompt: as it is. How rows are read and answers scored: `jobs.scoring.labelled_requests`.
Source: Roettger et al., XSTest, 2024; github.com/paul-rottger/xstest, version 2 (CC BY 4.0).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring import labelled_requests
from blendin_local.jobs.scoring.data_files import DataFile
from blendin_local.jobs.scoring.items import Benchmark

XSTEST = Benchmark(
    name="xstest",
    title="XSTest",
    about="Safe and unsafe prompts that look alike: complied with the safe, refused the unsafe?",
    source="Roettger et al. 2024, github.com/paul-rottger/xstest",
    licence="CC BY 4.0",
    file=DataFile("xstest", "xstest_prompts.csv", labelled_requests.FIELDS, DATA),
    system=labelled_requests.HELPFUL,
    max_tokens=128,
    metrics=labelled_requests.METRICS,
    figures=labelled_requests.FIGURES,
    item=labelled_requests.item,
    score=labelled_requests.score,
)
