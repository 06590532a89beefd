"""What other settings would have done to stored answers: the replay as a function.

Here: `ReplaySpec` and `run_replay`, over the answers of a file.
Not here: one answer (`replayed_answer`), reading the file (`answer_file`), the command line (`cli.replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blendin_local.core.methods import METHODS
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.answer_file import answers_named, read_answers
from blendin_local.jobs.replay.replayed_answer import ReplayedAnswer, replay_answer
from blendin_local.jobs.replay.report import ReplayReport


@dataclass(frozen=True)
class ReplaySpec:
    """Which answers to decide again, and how.

    Attributes:
        file: A trace, the JSON of an answer, or the answers of a batch with their steps.
        blend: Fields of `BlendSettings` that replace those each answer was recorded with.
        answer_id: Only this answer of a batch; None for all.
    """

    file: str | Path
    blend: Mapping[str, Any] = field(default_factory=dict)
    answer_id: str | None = None


@dataclass(frozen=True)
class ReplayProgress:
    """How many answers are decided again, of how many."""

    done: int
    total: int


def run_replay(
    spec: ReplaySpec,
    *,
    on_progress: Callable[[ReplayProgress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ReplayReport:
    """Decide stored answers again with other settings, without their models.

    Args:
        spec: Which answers, and how.
        on_progress: Called after each answer.
        on_note: Called with each notice for the user, a sentence, such as a line that was left out.
        should_stop: Polled between answers. A stopped replay returns those it has, with `stopped` True.

    Raises:
        UsageError: The file cannot be read, a setting is wrong, or an answer cannot be decided with it.
    """
    method = spec.blend.get("method")
    if method is not None and method not in METHODS:
        raise UsageError(f"there is no method {method!r}", f"choose one of {', '.join(METHODS)}")
    path = Path(spec.file)
    file = read_answers(path)
    chosen = answers_named(path, file, spec.answer_id)
    if file.truncated:
        on_note(f"note: the last line of {path} is cut off; it was left out")
    replayed: list[ReplayedAnswer] = []
    for stored in chosen:
        if should_stop():
            break
        replayed.append(replay_answer(stored, replace(stored.blend, **spec.blend)))
        on_progress(ReplayProgress(len(replayed), len(chosen)))
    return ReplayReport(path.name, replayed, file.truncated, stopped=len(replayed) < len(chosen))
