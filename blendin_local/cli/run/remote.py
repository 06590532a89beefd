"""`blendin run` with a server: whether one answers.

Here: `answered_remotely`.
Not here: which server (`cli.common.find_server`), the answer (`cli.run.remote_answer`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blendin_local.cli.common.find_server import choose_server
from blendin_local.cli.common.options import OutputOptions, RemoteOptions, SessionOptions

if TYPE_CHECKING:
    from blendin_local.cli.common.interrupt import Interrupt
    from blendin_local.cli.common.status import StatusLine
    from blendin_local.views.theme import Consoles


def answered_remotely(
    remote: RemoteOptions,
    text: str,
    options: SessionOptions,
    output: OutputOptions,
    consoles: Consoles,
    *,
    keeps: bool,
    status: StatusLine,
    interrupt: Interrupt,
) -> bool:
    """Let a server answer, and write the answer as if it were made here.

    Returns:
        Whether one did. One that was found, not named, is left alone if it cannot do what is asked.

    Raises:
        UsageError: An option is the server's matter, or the server refuses the request.
        ServiceError: Nobody answers at the URL that was given.
        KeyboardInterrupt: The user stopped it; what was answered has been written.
    """
    if output.verbose and not remote.server:
        return False  # the log of llama.cpp is here only if the models are
    chosen = choose_server(remote, options)
    if chosen is None:
        return False
    from blendin_local.cli.run.remote_answer import begin, write  # noqa: PLC0415 - not without a server

    answer = begin(chosen, text, options, interrupt, evidence=output.trace is not None, err=consoles.err)
    if answer is None:
        return False
    write(answer, text, output, consoles, keeps=keeps, status=status, interrupt=interrupt)
    return True
