"""What `blendin serve` does: options to a policy and a pair, and a server until a signal ends it.

Here: `run`.
Not here: the command (`cli.serve.command`), HTTP (`server`).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.console import Console

from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.load_options import load_options
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.common.session import interaction, pair_spec
from blendin_local.cli.common.status import status_line
from blendin_local.cli.common.values import read_text
from blendin_local.cli.serve.options import AccessOptions, LogOptions, ServerOptions
from blendin_local.errors import UsageError
from blendin_local.jobs.preparation import suppress_stop
from blendin_local.server.access import AccessPolicy, host_name, is_loopback
from blendin_local.server.announcement import announced
from blendin_local.server.application import make_application
from blendin_local.server.pair_facts import announcement_of
from blendin_local.server.running import bind, serve, url_of
from blendin_local.server.service import ServeSpec, Service, open_service

KEY_VARIABLE = "BLENDIN_API_KEY"


def run(server: ServerOptions, access: AccessOptions, log: LogOptions, session: SessionOptions) -> None:
    """Serve a pair until a signal comes.

    Raises:
        UsageError: An option is wrong, the port is taken, or others could reach the server without a key.
        typer.Exit: A signal ended it.
    """
    err = open_consoles(models_file=session.models.models_file).err
    err.quiet = log.quiet
    key = read_key(access.api_key_file)
    spec = ServeSpec(pair_spec(session), server.parallel, server.max_waiting, load_options(session))
    with bind(server.host, server.port) as bound, stop_on_interrupt(terminate=True) as interrupt:
        policy = _policy(server.host, bound, key, access)
        with (
            suppress_stop(lambda: interrupt.requested),
            status_line(err) as status,
            open_service(
                spec,
                interaction=interaction(err),
                on_note=partial(print_note, err),
                on_load=status.show_loading,
                should_stop=lambda: interrupt.requested,
            ) as service,
        ):
            status.clear()
            _log_requests(log)
            with ExitStack() as until_end:
                serve(
                    make_application(service, policy, _prompt_log(err, log)),
                    service.thread,
                    bound,
                    grace_s=server.grace,
                    should_stop=lambda: interrupt.requested,
                    on_ready=lambda: _ready(until_end, err, service, bound, needs_key=bool(key)),
                    log_requests=log.verbose,
                )
        raise typer.Exit(interrupt.exit_code)


def _policy(host: str, bound: socket.socket, key: str, access: AccessOptions) -> AccessPolicy:
    """Who may send requests; what counts is the address that the socket really has."""
    address, port = bound.getsockname()[:2]
    hosts = tuple(name.lower() for name in access.allowed_host or ())
    origins = tuple(_origin(text) for text in access.allowed_origin or ())
    policy = AccessPolicy(address, port, key, hosts, origins)
    if not policy.is_local and not key:
        raise UsageError(
            f"others can reach --host {host}, and there is no key",
            f"give one with --api-key-file, or in {KEY_VARIABLE}",
        )
    return policy


def read_key(path: Path | None) -> str:
    """The key that requests must bring, from a file or the environment; empty for none.

    Raises:
        UsageError: The file cannot be read, or holds no key that a header can carry.
    """
    if path is None and not os.environ.get(KEY_VARIABLE):
        return ""
    key = (read_text(path) or "").strip() if path is not None else os.environ[KEY_VARIABLE].strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        where = str(path) if path is not None else KEY_VARIABLE
        raise UsageError(f"{where} holds no key", "a key is one word of letters, digits and signs")
    return key


def _origin(text: str) -> str:
    """An origin as browsers send it.

    Raises:
        UsageError: It is a wildcard, or no origin.
    """
    scheme, separator, rest = text.rstrip("/").partition("://")
    if not separator or not scheme or not rest or "*" in text or "/" in rest:
        raise UsageError(
            f"--allowed-origin {text!r:.80} is no origin", "write one such as http://localhost:3000"
        )
    return f"{scheme}://{rest}".lower()


def _ready(
    until_end: ExitStack, err: Console, service: Service, bound: socket.socket, *, needs_key: bool
) -> None:
    """Say so to the user, and to other commands as long as the server runs."""
    url = url_of(bound)
    announcement = announcement_of(service, url, needs_key=needs_key)
    if announcement is not None and is_loopback(host_name(urlsplit(url).netloc)):
        until_end.enter_context(announced(announcement))
    _say_ready(err, service, url)


def _say_ready(err: Console, service: Service, url: str) -> None:
    n = service.thread.load.slots
    at_once = f"{n} answers" if n > 1 else "one answer"
    print_note(err, f"serving {service.resolved.describe()} at {url} ({at_once} at once); Ctrl-C ends it")


def _prompt_log(err: Console, log: LogOptions) -> Callable[[str], None]:
    return partial(print_note, err) if log.log_prompts else lambda _: None


def _log_requests(log: LogOptions) -> None:
    """Uvicorn's log of requests to stderr; without `--verbose` only what goes wrong within the server."""
    level = logging.INFO if log.verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")
