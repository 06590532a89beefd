"""`blendin bench`: options to a spec, the job, then tables, JSON, or a comparison with an earlier run.

Not here: the options (`cli.bench.command`), the measurements (`jobs.bench`), the tables (`views.bench`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from blendin_local.cli.common.interrupt import ordinary_interrupts
from blendin_local.cli.common.options import SessionOptions, TerminalOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.jobs.bench.compare import compare, mismatches, read_record
from blendin_local.jobs.bench.job import BenchProgress, BenchSpec, run_bench
from blendin_local.jobs.bench.report import BenchReport, Workload
from blendin_local.views.bench import bench_view, comparison_view


def bench_pair(
    session: SessionOptions,
    rounds: int,
    compare_with: Path | None,
    terminal: TerminalOptions,
    *,
    as_json: bool,
) -> None:
    """Measure a pair and show what was measured.

    Args:
        session: The pair and its settings.
        rounds: Trials of everything.
        compare_with: The JSON of an earlier benchmark.
        terminal: Theme and colour.
        as_json: Whether JSON goes to stdout, and the tables to stderr.

    Raises:
        UsageError: An option is wrong, or the earlier benchmark cannot be read.
        KeyboardInterrupt: The user stopped it.
    """
    consoles = open_consoles(terminal, session.models.models_file)
    old = read_record(compare_with) if compare_with else None
    report = _measure(BenchSpec(pair_spec(session), Workload(rounds=rounds)), consoles.err)
    if as_json:
        print_json(report.to_json())
    _show(report, consoles.err if as_json else consoles.out, old)


def _measure(spec: BenchSpec, err: Console) -> BenchReport:
    status = err.status(Text("measuring"), spinner_style="footer")

    def on_progress(now: BenchProgress) -> None:
        status.update(Text(f"measuring: {now}"))
        status.start()  # not before, so that a question about downloads can be read

    with ordinary_interrupts():
        try:
            report = run_bench(
                spec,
                on_progress=on_progress,
                on_note=partial(print_note, err),
                interaction=interaction(err),
            )
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("the benchmark was stopped by you") from stop
        finally:
            status.stop()
    assert report is not None, "nothing but Ctrl-C stops it here"
    return report


def _show(report: BenchReport, console: Console, old: Mapping[str, Any] | None) -> None:
    console.print(bench_view(report))
    if old is not None:
        new = json.loads(json.dumps(report.to_json()))
        console.print()
        console.print(comparison_view(compare(old, new), mismatches(old, new)))
