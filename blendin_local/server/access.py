"""Who may send requests, and how large they may be.

Here: `AccessPolicy`, and `Access`, the outermost layer of the application, which refuses a request before any
of its body is read.
Not here: what a request asks for (`server.bodies`).

A server that listens on this machine can be reached by every page that a browser shows. Three things keep
such pages out. A page whose host name was made to point here (DNS rebinding) sends that name as `Host`, which
is not allowed. A page of another origin sends `Origin`, which is not allowed either. And it can send JSON
only after a preflight request, which is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from blendin_local.core.prompts import quoted
from blendin_local.server.failures import HttpError, failure
from blendin_local.server.page import PAGES

MAX_BODY_BYTES = 8 * 2**20
BODY_TIMEOUT_S = 30.0
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({*PAGES, "/health", "/v1/health", "/v1/identity"})
"""Paths that need no key: they tell nothing of conversations."""


@dataclass(frozen=True)
class AccessPolicy:
    """Who may send requests.

    Attributes:
        host: The address that the server is bound to.
        port: Its port.
        key: The key that requests must bring; empty for none.
        allowed_hosts: More names by which the server may be called.
        allowed_origins: More origins whose pages may call it.
        max_body_bytes: The largest body of a request.
        body_timeout_s: How long a part of a body may take.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    key: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = MAX_BODY_BYTES
    body_timeout_s: float = BODY_TIMEOUT_S

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def check_host(self, host: str | None) -> None:
        """Refuse a name that is not ours; a server that others may reach is called by many names."""
        name = host_name(host or "")
        if self.is_local and not (is_loopback(name) or name in self.allowed_hosts):
            raise HttpError(
                403,
                f"this server is not called {quoted(host or '')}",
                f"to allow it: blendin serve --allowed-host {name or 'NAME'}",
                code="host_not_allowed",
            )

    def check_origin(self, origin: str | None, host: str | None) -> None:
        """Refuse pages of other origins."""
        if origin is None or origin in self.allowed_origins:
            return
        parts = urlsplit(origin)
        if parts.scheme in {"http", "https"} and parts.netloc and parts.netloc == (host or ""):
            return
        raise HttpError(
            403,
            f"pages of {quoted(origin)} may not use this server",
            f"to allow it: blendin serve --allowed-origin {origin}",
            code="origin_not_allowed",
        )

    def check_key(self, headers: Headers) -> None:
        """Refuse a request without the key, in constant time."""
        if not self.key:
            return
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise HttpError(
                401,
                "the API key is wrong" if given else "this server needs an API key",
                "send it as Authorization: Bearer KEY",
                code="invalid_api_key",
            )


def is_loopback(name: str) -> bool:
    """Whether a name or an address always means this machine."""
    name = name.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets; empty if it is no such header."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


class Access:
    """An application around another one that lets through what the policy allows.

    Args:
        application: The application.
        policy: Who may send requests.
    """

    def __init__(self, application: Application, policy: AccessPolicy) -> None:
        self._application = application
        self._policy = policy

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        answer: Application | Response
        try:
            self._policy.check_host(headers.get("host"))
            self._policy.check_origin(origin, headers.get("host"))
        except HttpError as error:
            await refusal(error)(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and origin is not None:
            await Response(status_code=204, headers=cors(origin, preflight=True))(scope, receive, send)
            return
        limited = BodyLimit(receive, self._policy.max_body_bytes, self._policy.body_timeout_s)
        try:
            if scope["path"] not in OPEN_PATHS:
                self._policy.check_key(headers)
            self._check_body(scope["method"], headers)
            answer = self._application
        except HttpError as error:
            answer = refusal(error)
        await answer(scope, limited.receive, _with_cors(send, origin))

    def _check_body(self, method: str, headers: Headers) -> None:
        if method not in {"POST", "PUT", "PATCH"}:
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(
                415, f"the content type is {quoted(kind)}", "send application/json", code="not_json"
            )
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > self._policy.max_body_bytes:
            raise too_large(self._policy.max_body_bytes)


class BodyLimit:
    """Reads a body and stops where it grows beyond a limit, whatever its header promised, or does not come.

    Args:
        receive: Where it comes from.
        max_bytes: The limit.
        timeout_s: How long to wait for each part.
    """

    def __init__(self, receive: Receive, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._whole = False

    async def receive(self) -> Message:
        """The next part, or the end of the connection.

        Raises:
            HttpError: The part is one too many, or did not come in time.
        """
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._timeout_s)
        except TimeoutError:
            raise HttpError(
                408, "the body did not come in time", "send it at once", code="slow_body"
            ) from None
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise too_large(self._max_bytes)
        return message


def refusal(error: HttpError) -> Response:
    """The reply to a request that is refused."""
    failed = failure(error)
    return JSONResponse(failed.body, failed.status, failed.headers)


def too_large(max_bytes: int) -> HttpError:
    """The error for a body that is too large."""
    return HttpError(413, f"the body is larger than {max_bytes:,} bytes", "send less text", code="too_large")


def cors(origin: str, *, preflight: bool = False) -> dict[str, str]:
    """The headers that tell a browser that pages of this origin may read the answer; never with cookies."""
    headers = {"access-control-allow-origin": origin, "vary": "Origin"}
    if preflight:
        headers |= {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "authorization, content-type, x-api-key",
            "access-control-max-age": "600",
        }
    return headers


def _with_cors(send: Send, origin: str | None) -> Send:
    if origin is None:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(name.encode(), value.encode()) for name, value in cors(origin).items()]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sending
