"""The HTTP server: a socket, uvicorn around the application, and an orderly end.

Here: `bind`, `serve`.
Not here: the routes (`server.application`), the pair (`server.service`).

One process owns the models, so there is one worker. The socket is bound before the models are loaded, so that
a port that is taken is known at once; it is listened on only when requests can be answered.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from blendin_local.decode.inference_thread import InferenceThread
from blendin_local.errors import UsageError
from blendin_local.server.access import Application

GRACE_S = 5.0
LAST_WORDS_S = 2  # for replies to be sent once their answers have ended
KEEP_ALIVE_S = 30  # clients keep idle connections for some seconds


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, not listened on yet.

    Raises:
        UsageError: There is no such address, or the port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "?", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address of this machine", "try 127.0.0.1") from error
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _cannot_bind(host, port, error) from error
    return bound


def _cannot_bind(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is taken by another program", "choose another one with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"--host {host!r} is no address of this machine", "try 127.0.0.1")
    return UsageError(f"port {port} cannot be used: {error.strerror}", "choose another one with --port")


def url_of(bound: socket.socket) -> str:
    """How clients on this machine reach it."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    application: Application,
    thread: InferenceThread,
    bound: socket.socket,
    *,
    grace_s: float = GRACE_S,
    should_stop: Callable[[], bool] = lambda: False,
    on_ready: Callable[[], None] = lambda: None,
    log_requests: bool = False,
) -> None:
    """Answer requests until `should_stop` is true.

    Args:
        application: The routes.
        thread: Runs the models; it is closed at the end.
        bound: The socket; it is closed at the end.
        grace_s: Seconds that running answers get to finish. Then they end as they are, as `cancelled`.
        should_stop: Polled ten times a second.
        on_ready: Called once requests are answered.
        log_requests: Whether method, path and status of every request are logged, for uvicorn's loggers.

    Raises:
        UsageError: Another program listens on the port by now.
    """
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="info" if log_requests else "warning",
        access_log=log_requests,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s) + LAST_WORDS_S,
    )
    try:
        bound.listen()  # bound is not enough: another server may have been quicker
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot_bind(host, port, error) from error
    _Server(config, thread, grace_s, should_stop, on_ready).run([bound])


class _Server(uvicorn.Server):
    """Uvicorn with our way to stop: signals are the caller's matter, and answers get time to finish."""

    def __init__(
        self,
        config: uvicorn.Config,
        thread: InferenceThread,
        grace_s: float,
        should_stop: Callable[[], bool],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._thread = thread
        self._grace_s = grace_s
        self._should_stop = should_stop
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop."""
        return await super().on_tick(counter) or self._should_stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, let answers finish or end them, and send what is left."""
        ending = threading.Thread(target=self._thread.close, args=(self._grace_s,), daemon=True)
        ending.start()
        await super().shutdown(sockets)
