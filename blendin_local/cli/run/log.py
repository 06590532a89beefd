"""The answer of `blendin run` in the history: a conversation of one turn.

Here: `keep_answer`, and `keep_remote_answer` for one of a server.
Not here: whether it is kept (`cli.common.history`), how it is written (`history.writer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from blendin_local.cli.chat.files import settings_to_json
from blendin_local.cli.chat.state import ChatSettings
from blendin_local.cli.common.history import open_writer, opening_of
from blendin_local.cli.common.options import SessionOptions
from blendin_local.core.records import Completion
from blendin_local.core.shortened import with_shortened_steps
from blendin_local.history.records import Context, Opening, Turn
from blendin_local.server.client import RemoteAnswer
from blendin_local.server.exact_settings import exact_from_json

if TYPE_CHECKING:
    from blendin_local.cli.common.session import Session


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
    _keep(asked, completion, settings, resolved.system, opening=opening_of("run", options, resolved), err=err)


def keep_remote_answer(question: str, remote: RemoteAnswer, err: Console) -> None:
    """Write a question and the answer of a server.

    Args:
        question: The question.
        remote: The answer, which is complete.
        err: Where a notice about trouble with the file goes.
    """
    settings = ChatSettings(*exact_from_json(remote.settings))
    system = next((message.text for message in remote.messages if message.speaker == "system"), "")
    opening = remote_opening("run", remote.opening)
    _keep(question, remote.completion, settings, system, opening=opening, err=err)


def remote_opening(command: str, opening: Mapping[str, Any]) -> Opening:
    """How a conversation is opened with a server, which says what it has loaded."""
    return Opening(command, opening["pair"], opening["models"], opening["options"])


def _keep(
    question: str,
    completion: Completion,
    settings: ChatSettings,
    system: str,
    *,
    opening: Opening,
    err: Console,
) -> None:
    turn = Turn(question, completion.text, with_shortened_steps(completion, settings.answer.top_logprobs))
    open_writer(opening, err).keep([turn], Context(system, settings_to_json(settings)))
