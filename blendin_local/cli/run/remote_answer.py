"""The answer of a running `blendin serve`, from the options to the outputs.

Here: `begin`, the options as a request; `write`, the answer to where it goes.
Not here: whether a server answers (`cli.run.remote`), the connection (`server.client`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blendin_local.cli.common.find_server import ChosenServer, note_refusal, note_use
from blendin_local.cli.common.options import OutputOptions, SessionOptions
from blendin_local.cli.common.remote_options import refuse_options_of_models, settings_as_sent
from blendin_local.cli.run.outputs import Outputs, show_prompts
from blendin_local.core.prompts import as_messages, messages_to_json
from blendin_local.errors import BlendinError
from blendin_local.server.client import RemoteAnswer

if TYPE_CHECKING:
    from rich.console import Console

    from blendin_local.cli.common.interrupt import Interrupt
    from blendin_local.cli.common.status import StatusLine
    from blendin_local.views.theme import Consoles


def begin(
    chosen: ChosenServer,
    text: str,
    options: SessionOptions,
    interrupt: Interrupt,
    *,
    evidence: bool,
    err: Console,
) -> RemoteAnswer | None:
    """Ask a server; None if it was found rather than named, and cannot answer.

    Args:
        chosen: The server.
        text: The question.
        options: Those of the command line.
        interrupt: Ends the answer.
        evidence: Whether the answer is to be replayed.
        err: Where the server is named if it was found.

    Raises:
        BlendinError: The server that was named refuses, or is not there.
    """
    if not chosen.found:
        refuse_options_of_models(options)
    try:
        body = request_of(text, options, chosen, evidence=evidence)
        answer = RemoteAnswer(chosen.server, body, lambda: interrupt.requested)
    except BlendinError as error:
        if not chosen.found:
            raise
        note_refusal(chosen, error, err)
        return None
    if chosen.found:
        note_use(chosen, err)
    return answer


def request_of(text: str, options: SessionOptions, chosen: ChosenServer, *, evidence: bool) -> dict[str, Any]:
    """The body of a request: settings that were given; for the others, those of the server or of its pair.

    Raises:
        UsageError: A setting cannot be sent.
    """
    body: dict[str, Any] = {
        "messages": messages_to_json(as_messages(text, "")),
        "settings": settings_as_sent(options),
        "evidence": evidence,
        "system": options.answer.system_text(),
    }
    if chosen.found:
        return body | {"defaults": "pair"}
    return body | ({"model": options.models.pair} if options.models.pair else {})


def write(
    answer: RemoteAnswer,
    text: str,
    output: OutputOptions,
    consoles: Consoles,
    *,
    keeps: bool,
    status: StatusLine,
    interrupt: Interrupt,
) -> None:
    """Write the answer as it comes, and keep it in the history.

    Raises:
        BlendinError: The answer failed, or the connection broke.
        KeyboardInterrupt: The user stopped it; what was answered has been written.
    """
    with Outputs.open(output, text, consoles) as outputs:
        answer.should_stop = lambda: interrupt.requested or outputs.closed
        if output.verbose:
            show_prompts(outputs.console, answer.prompts)
        outputs.begin(answer.prompts, answer.signature, answer.messages)
        outputs.steps(answer, status)
        if keeps:
            from blendin_local.cli.run.log import keep_remote_answer  # noqa: PLC0415 - once it is on the screen

            keep_remote_answer(text, answer, outputs.console)
        outputs.finish(answer.completion)
    if interrupt.requested:
        raise KeyboardInterrupt
