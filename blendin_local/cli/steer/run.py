"""`blendin steer learn`: options to a spec, the job, then what was found, on the terminal or as JSON.

Not here: the options (`cli.steer.command`), the job (`jobs.steer.job`), how a result looks (`views.steer`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.progress import ProgressLine, show_progress
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.jobs.steer.job import NAMES, SteerProgress, SteerSpec, run_steer
from blendin_local.settings import layer_range
from blendin_local.views.steer import steer_view


def learn(
    contrast: Path, out: Path, layers: str | None, session: SessionOptions, *, as_json: bool, quiet: bool
) -> None:
    """Learn a vector and show what was found.

    Raises:
        UsageError: Options, prompts or settings are not right.
        KeyboardInterrupt: A signal stopped it.
    """
    consoles = open_consoles(models_file=session.models.models_file)
    err = consoles.err
    err.quiet = quiet
    steered = None if layers is None else layer_range(layers, "--layers")
    spec = SteerSpec(contrast, out, pair_spec(session), steered)
    with stop_on_interrupt(terminate=True) as interrupt, show_progress(err, progress_line) as on_progress:
        report = run_steer(
            spec,
            on_progress=on_progress,
            on_note=partial(print_note, err),
            should_stop=lambda: interrupt.requested,
            interaction=interaction(err),
        )
    if as_json:
        print_json(report.to_json())
    else:
        consoles.out.print(steer_view(report), soft_wrap=True)


def progress_line(now: SteerProgress) -> ProgressLine:
    """Whose states are read, and how many are."""
    whose = f"prompts read by the {NAMES[now.role]}"
    return ProgressLine(whose, f"{now.n_read} of {now.n_prompts}", now.n_read, now.n_prompts, whose)
