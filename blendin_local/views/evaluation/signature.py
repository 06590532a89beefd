"""What the numbers of a report depend on, in words: files, hashes, settings, seed, versions.

Here: `signature_table`.
Not here: the record itself (`jobs.evaluation.spec.plan`), other grids (`views.evaluation.tables`).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.jobs.evaluation.spec.variants import TEMPERATURE
from blendin_local.views.evaluation.tables import ReportTable


def signature_table(report: Report) -> ReportTable:
    """What every number above depends on."""
    plan, rows = report.plan, []
    for pair, facts in plan.pairs.items():
        for role, model in facts["models"].items():
            size = f"{model['weights'] / 1e6:,.0f} million weights, {model['quantization']}"
            rows.append((f"{pair} · {role}", model["file"], size, model["sha256"][:16]))
    for facts in plan.benchmarks.values():
        what = f"{facts['items']} items, at most {facts['max_tokens']} tokens"
        rows.append((facts["title"], f"{facts['source']} ({facts['licence']})", what, facts["sha256"][:16]))
    return ReportTable(
        "Models and questions", ("", "file or source", "size", "sha256"), tuple(rows), _protocol(report)
    )


def _protocol(report: Report) -> tuple[str, ...]:
    """Settings and versions in sentences."""
    plan = report.plan
    settings = ", ".join(f"{name} {value}" for name, value in plan.protocol.items())
    versions = ", ".join(f"{name} {value}" for name, value in plan.versions.items())
    lines = [f"protocol: {settings}", f"versions: {versions}"]
    sampled = {cell.variant: cell.seeds for cell in report.cells if TEMPERATURE in cell.settings}
    if sampled:
        seeds = ", ".join(f"{name} with {n} seeds" for name, n in sampled.items())
        lines.append(f"sampled: {seeds}; the score of a question is the mean over its answers")
    for pair, machine in report.machine.items():
        threads = ", ".join(f"{role} {n}" for role, n in machine.get("threads", {}).items())
        lines.append(f"{pair}: {machine.get('n_parallel', '?')} rows at once, threads {threads}")
    for facts in plan.benchmarks.values():
        lines += [f"{facts['title']}: {n} rows left out: {why}" for why, n in facts["left_out"].items()]
    return tuple(lines)
