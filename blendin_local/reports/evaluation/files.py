"""The report of an evaluation as files: JSON, Markdown, a page and a picture.

Here: `write_reports`, and `report_json`, the object of report.json.
Not here: what was measured (`jobs.evaluation.score.report`), each form (the modules beside this one).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blendin_local.jobs.evaluation.folder import Folder, write_text
from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.reports.evaluation.markdown import report_markdown
from blendin_local.reports.evaluation.page import report_html
from blendin_local.reports.evaluation.plots import score_plot
from blendin_local.reports.paper.paper_tables import paper_tables


def report_json(report: Report) -> dict[str, Any]:
    """The object of report.json: everything measured, and under `displays` the paper's tables, filled."""
    measured = report.to_json()
    times = measured.pop("times")
    shown = json.loads(json.dumps([asdict(table) for table in paper_tables(report.plan, report.cells)]))
    return {**measured, "displays": shown, "times": times}


def write_reports(folder: str | Path, report: Report) -> dict[str, Path]:
    """Write report.html, report.md, report.svg and report.json, replacing those of an earlier run.

    Args:
        folder: The folder of the evaluation.
        report: What `run_eval` returned, or `build_report` read from the folder.

    Returns:
        The files by kind: `html`, `md`, `svg`, `json`.

    Raises:
        WriteError: The disk refuses.
    """
    forms = {
        "html": report_html(report),
        "md": report_markdown(report),
        "svg": score_plot(report),
        "json": json.dumps(report_json(report), ensure_ascii=False, indent=1) + "\n",
    }
    files = {ending: Folder(Path(folder)).report(ending) for ending in forms}
    for ending, text in forms.items():
        write_text(files[ending], text)
    return files
