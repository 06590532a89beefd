"""`blendin run --server`: the answer of a running `blendin serve`.

Here: `answer_remotely`, and the options as a request.
Not here: the connection (`server.client`), where the answer goes (`cli.run.outputs`).
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from blendin_local.cli.common.options import OutputOptions, SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.cli.run.outputs import Outputs
from blendin_local.core.prompts import as_messages, messages_to_json
from blendin_local.errors import UsageError
from blendin_local.server.client import RemoteAnswer, Server
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings, settings_on

if TYPE_CHECKING:
    from blendin_local.cli.common.interrupt import Interrupt
    from blendin_local.cli.common.status import StatusLine
    from blendin_local.views.theme import Consoles

KEY_VARIABLE = "BLENDIN_API_KEY"
ALLOWED = frozenset({"pair", "models_file"})  # options of models that do not say how they are loaded


def answer_remotely(
    url: str,
    text: str,
    options: SessionOptions,
    output: OutputOptions,
    consoles: Consoles,
    *,
    status: StatusLine,
    interrupt: Interrupt,
) -> None:
    """Ask a server, and write the answer as if it were made here.

    Raises:
        UsageError: An option is the server's matter, or the server refuses the request.
        ServiceError: Nobody answers.
        KeyboardInterrupt: The user stopped it; what was answered has been written.
    """
    body = request_of(text, options, evidence=output.trace is not None)
    with Outputs.open(output, text, consoles) as outputs:
        server = Server(url, os.environ.get(KEY_VARIABLE, ""))
        remote = RemoteAnswer(server, body, lambda: interrupt.requested or outputs.closed)
        if output.verbose:
            for role, prompt in remote.prompts.items():
                outputs.console.out(f"--- prompt of the {role}:\n{prompt}\n---")
        outputs.begin(remote.prompts, remote.signature, remote.messages)
        status.show_reading(lambda: remote.reading)
        for step, shown in remote.shown():
            status.clear()
            outputs.step(step, shown)
        status.clear()
        outputs.finish(remote.completion)
        print_note(outputs.console, f"answered by {url}; not kept in the history")
    if interrupt.requested:
        raise KeyboardInterrupt


def request_of(text: str, options: SessionOptions, *, evidence: bool) -> dict[str, Any]:
    """The body of a request: settings that were given; the server has its own for the others.

    Raises:
        UsageError: An option says how models are loaded, or a setting cannot be sent.
    """
    refuse_options_of_models(options)
    body: dict[str, Any] = {
        "messages": messages_to_json(as_messages(text, options.answer.system_text() or "")),
        "settings": settings_as_sent(options),
        "evidence": evidence,
    }
    return body | ({"model": options.models.pair} if options.models.pair else {})


def refuse_options_of_models(options: SessionOptions) -> None:
    """Raise `UsageError` for options that only hold where models are loaded."""
    for group in (options.models, options.runtime):
        for each in fields(group):  # type: ignore[arg-type]
            if each.name not in ALLOWED and getattr(group, each.name) not in {None, False}:
                name = each.name.replace("_", "-")
                raise UsageError(f"--{name} is for models that are loaded here", "give it to blendin serve")


def settings_as_sent(options: SessionOptions) -> dict[str, Any]:
    """The settings that were given, under the names of rows."""
    sent: dict[str, Any] = {}
    for table, group in (
        (BlendSettings, options.blend),
        (SamplingSettings, options.sampling),
        (AnswerSettings, options.answer),
    ):
        names = {each.field: (name, each) for name, each in settings_on("row", table).items()}
        for field, value in group.settings().items():
            if field not in names:
                raise UsageError(f"--{field.replace('_', '-')} cannot be sent to a server", "leave it out")
            name, setting = names[field]
            plain = list(value) if isinstance(value, tuple) else value
            sent[name] = setting.word_of(value) if value is None else plain
    return sent
