"""The words that a shell offers for a stored answer: ids, steps, candidates.

Here: one function per kind of word, as `cli.common.completion` has them; it reads the file that the
line names.
Not here: steps and candidates as they are understood (`cli.common.named_steps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from blendin_local.cli.common.completion import Words, quiet
from blendin_local.paths import expand_user, is_file

if TYPE_CHECKING:
    from blendin_local.core.records import Step
    from blendin_local.jobs.replay.stored_answer import StoredAnswer

MAX_BYTES = 2**24  # of a file that is read while a person waits for words


@quiet
def answer_ids(ctx: typer.Context, incomplete: str) -> Words:
    """The ids of the answers."""
    return [(stored.name, "") for stored in _answers(ctx) if stored.name.startswith(incomplete)]


@quiet
def steps(ctx: typer.Context, incomplete: str) -> Words:
    """The numbers of the steps, with their texts."""
    from blendin_local.views.visible import visible  # noqa: PLC0415 - `--help` must not wait for it

    numbered = [(str(i), visible(step.bytes)) for i, step in enumerate(_steps(ctx))]
    return [each for each in numbered if each[0].startswith(incomplete)]


@quiet
def candidates(ctx: typer.Context, incomplete: str) -> Words:
    """The numbers of the candidates of the step that the line names, with their texts."""
    from blendin_local.views.answer_tables import numbered_candidates  # noqa: PLC0415
    from blendin_local.views.visible import visible  # noqa: PLC0415

    known = numbered_candidates(_steps(ctx)[int(ctx.params["fork"])])
    numbered = [(str(i), visible(each.bytes)) for i, each in enumerate(known, 1)]
    return [each for each in numbered if each[0].startswith(incomplete)]


def _answers(ctx: typer.Context) -> Sequence[StoredAnswer]:
    from blendin_local.jobs.replay.answer_file import read_answers  # noqa: PLC0415

    words = [ctx.params.get("file"), *ctx.args]  # before an option without its value no argument is taken
    path = next(path for word in words if word and is_file(path := expand_user(word)))
    return read_answers(path).answers if path.stat().st_size <= MAX_BYTES else ()


def _steps(ctx: typer.Context) -> Sequence[Step]:
    """The steps of the one answer that the line names."""
    name = ctx.params.get("only")
    [stored] = [each for each in _answers(ctx) if name in {None, each.name}]
    return stored.decisions
