"""`blendin replay`: what another setting would have done to a stored answer.

Here: the command.
Not here: deciding again (`jobs.replay`), how it looks (`views.replay`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import BlendOptions, ColorChoice
from blendin_local.cli.common.printing import print_json
from blendin_local.errors import UsageError

if TYPE_CHECKING:
    from blendin_local.jobs.replay.answer_file import StoredAnswers
    from blendin_local.jobs.replay.stored_answer import Recording

MOST_NAMES = 5


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("replay")(grouped(replay))


def replay(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE",
            help="A trace, the output of run --json, or answers of batch --steps.",
            show_default=False,
        ),
    ],
    *,
    only: Annotated[
        str | None, typer.Option("--id", help="Only this answer of a batch, with its step.")
    ] = None,
    blend: BlendOptions,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    color: Annotated[ColorChoice, typer.Option("--color", help="auto, on or off.")] = "auto",
) -> None:
    """Decide a stored answer again with other settings, without its models."""
    from blendin_local.jobs.replay.answer_file import read_recordings  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.jobs.replay.replayed_answer import replay as decide_again  # noqa: PLC0415
    from blendin_local.jobs.replay.report import ReplayReport  # noqa: PLC0415
    from blendin_local.views.replay import replay_view, replays_view  # noqa: PLC0415
    from blendin_local.views.theme import make_consoles  # noqa: PLC0415

    stored = read_recordings(trace)
    wanted = blend.settings()
    _require_method(wanted.get("method"))
    chosen = _chosen(trace, stored, only)
    replays = [decide_again(recording, replace(recording.blend, **wanted)) for recording in chosen]
    report = ReplayReport(trace.name, replays, stored.torn)
    consoles = make_consoles(color)
    if stored.torn:
        consoles.err.print(
            f"note: the last line of {trace} is cut off; it was left out", style="footer", soft_wrap=True
        )
    if as_json:
        print_json(report.to_json())
    else:
        consoles.out.print(replay_view(replays[0]) if len(replays) == 1 else replays_view(report))


def _require_method(name: str | None) -> None:
    from blendin_local.core.methods import METHODS  # noqa: PLC0415

    if name is not None and name not in METHODS:
        raise UsageError(f"there is no method {name!r}", f"choose one of {', '.join(METHODS)}")


def _chosen(path: Path, stored: StoredAnswers, only: str | None) -> list[Recording]:
    if only is None:
        return list(stored.recordings)
    chosen = [recording for recording in stored.recordings if recording.name == only]
    if not chosen:
        names = ", ".join(recording.name for recording in stored.recordings[:MOST_NAMES])
        raise UsageError(f"{path} holds no answer {only!r}", f"it begins with {names}")
    return chosen
