"""The answer of `blendin run` in the history: a conversation of one turn.

Here: `keep_answer`.
Not here: whether it is kept (`cli.common.history`), how it is written (`history.writer`).
"""

from __future__ import annotations

from rich.console import Console

from blendin_local.cli.chat.files import settings_to_json
from blendin_local.cli.chat.state import ChatSettings
from blendin_local.cli.common.history import open_writer
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.session import Session
from blendin_local.core.records import Completion, with_shortened_steps
from blendin_local.history.records import Context, Turn


def keep_answer(
    question: str, completion: Completion, options: SessionOptions, session: Session, err: Console
) -> None:
    """Write a question and its answer; trouble with the file is one notice.

    Args:
        question: The question; where there is none, the exact prompts take its place.
        completion: The answer, perhaps with every candidate: as many as `--top-logprobs` says are kept.
        options: Those of the command line.
        session: The open pair, and the settings of the answer.
        err: Where the notice goes.
    """
    resolved = session.resolved
    settings = ChatSettings(resolved.blend, resolved.sampling, resolved.answer)
    asked = question if question.strip() else "\n".join(resolved.spec.exact_prompts.values())
    turn = Turn(asked, completion.text, with_shortened_steps(completion, resolved.answer.top_logprobs))
    context = Context(resolved.system, settings_to_json(settings))
    open_writer("run", options, resolved, err).keep([turn], context)
