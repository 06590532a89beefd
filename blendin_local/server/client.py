"""An answer of a running `blendin serve`, as if it were made here.

Here: `RemoteAnswer`, which reads what `server.recorded` writes.
Not here: what is done with it (`cli.run`). Nothing here needs numpy or llama.cpp, so that it starts at once.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from blendin_local.core.prompts import Message
from blendin_local.core.record_json import completion_from_json, step_from_json
from blendin_local.core.records import Completion, Step
from blendin_local.errors import BlendinError, ContextFullError, ServiceError, UsageError

CONNECT_TIMEOUT_S = 10.0
SILENCE_S = 60.0  # the server says something twice a second
MAX_OBJECT_BYTES = 2**26


@dataclass(frozen=True)
class Server:
    """Where a server is.

    Attributes:
        url: `http://127.0.0.1:8080`, with or without `/v1`.
        key: Its key; empty for none.
    """

    url: str
    key: str = ""

    def get(self, path: str) -> Mapping[str, Any]:
        """Ask for a JSON object; errors as for `post`."""
        return self._object(self._send("GET", path, None))

    def post_for(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request whose reply is a JSON object; errors as for `post`."""
        return self._object(self.post(path, body))

    def _object(self, response: http.client.HTTPResponse) -> Mapping[str, Any]:
        try:
            with response:
                value: Mapping[str, Any] = json.loads(response.read(MAX_OBJECT_BYTES))
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServiceError(f"the reply of {self.url} cannot be read", "is it a blendin serve?") from error
        return value

    def post(self, path: str, body: Mapping[str, Any]) -> http.client.HTTPResponse:
        """Send a request.

        Raises:
            UsageError: The URL is none, or the server refuses the request.
            ServiceError: Nobody answers, or the server cannot take the request now.
        """
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> http.client.HTTPResponse:
        parts = urlsplit(self.url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
        if kind is None or not parts.hostname:
            raise UsageError(
                f"--server {self.url!r:.80} is no URL", "write one such as http://127.0.0.1:8080"
            )
        headers = {"content-type": "application/json", "connection": "close"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        try:
            connection = kind(parts.hostname, parts.port, timeout=CONNECT_TIMEOUT_S)
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, prefix + path, data, headers)
            if connection.sock is not None:
                connection.sock.settimeout(SILENCE_S)
            response: http.client.HTTPResponse = connection.getresponse()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServiceError(
                f"no server answers at {self.url}: {error}",
                "start one with blendin serve, or leave --server out",
            ) from error
        if response.status != http.client.OK:
            with response:
                raise _refusal(response, self.url)
        return response


@dataclass(frozen=True)
class Reading:
    """How far a model has read its prompt; as `decode.role_context.PromptReading`."""

    role: str
    n_read: int
    n_prompt: int


class RemoteAnswer:
    """One answer of a server, step by step; iterate over `shown` once, then read `completion`.

    Args:
        server: Where it is.
        body: The request, as `server.recorded` reads it.
        should_stop: Polled between lines; then the server ends the answer, which is kept as far as it got.

    Attributes:
        prompts: The rendered prompt of each role.
        signature: What decides which bytes the answer has.
        messages: The conversation that is answered.
        settings: All settings of the answer, as `exact_settings` writes them.
        opening: How the server's pair was opened: pair, models and options.
        should_stop: As above; it may be replaced.
        reading: How far the model is that is reading its prompt now; None while none is.

    Raises:
        BlendinError: The server refuses it, or cannot be reached.
    """

    def __init__(self, server: Server, body: Mapping[str, Any], should_stop: Callable[[], bool]) -> None:
        self._server = server
        self.should_stop = should_stop
        self._response = server.post("/v1/answers", body)
        self._completion: Completion | None = None
        try:
            start = self._read()
        except BaseException:
            self._response.close()
            raise
        self._id = str(start["id"])
        self.prompts: Mapping[str, str] = start["prompts"]
        self.signature: Mapping[str, Any] = start["signature"]
        self.messages: Sequence[Message] = [Message(m["role"], m["content"]) for m in start["messages"]]
        self.settings: Mapping[str, Any] = start["settings"]
        self.opening: Mapping[str, Any] = start["opening"]
        self.reading: Reading | None = None
        self._next: Mapping[str, Any] | None = None
        self._stopping = False

    def begin(self) -> None:
        """Wait until the server works on the answer: then the prompt fits into its context.

        Raises:
            BlendinError: It does not, or the connection broke.
        """
        try:
            while self._next is None:
                self._pass_on_stop()
                line = self._read()
                self._next = None if line["type"] == "waiting" else line
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up the answer; the server ends it."""
        self._response.close()

    def shown(self) -> Iterator[tuple[Step, str]]:
        """Steps with the text that may be shown.

        Raises:
            BlendinError: The answer failed, or the connection broke.
        """
        with self._response:
            yield from self._steps()

    def _steps(self) -> Iterator[tuple[Step, str]]:
        while self._completion is None:
            self._pass_on_stop()
            line, self._next = self._next or self._read(), None
            self.reading = None
            match line["type"]:
                case "reading":
                    self.reading = Reading(line["role"], line["n_read"], line["n_prompt"])
                case "step":
                    yield step_from_json(line["step"]), line["shown"]
                case "end":
                    self._completion = completion_from_json(line["completion"])

    def _pass_on_stop(self) -> None:
        if self.should_stop() and not self._stopping:
            self._stopping = True
            self._server.post(f"/v1/answers/{self._id}/cancel", {}).close()

    @property
    def completion(self) -> Completion:
        """The answer, once `shown` is exhausted."""
        assert self._completion is not None, "iterate over it first"
        return self._completion

    def _read(self) -> Mapping[str, Any]:
        try:
            line = self._response.readline()
            value: Mapping[str, Any] = json.loads(line)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServiceError(
                f"the connection to {self._server.url} broke in the middle of the answer", "try again"
            ) from error
        if value["type"] == "error":
            raise _as_error(value)
        return value


def _refusal(response: http.client.HTTPResponse, url: str) -> BlendinError:
    try:
        return _as_error(json.loads(response.read()))
    except (OSError, ValueError, KeyError, TypeError):
        return UsageError(f"{url} answers with status {response.status}", "is it a blendin serve?")


def _as_error(value: Mapping[str, Any]) -> BlendinError:
    """The server's error with the exit code that it has without a server."""
    fields = value["error"]
    if "n_ctx" in fields:
        return ContextFullError(n_prompt=fields["n_prompt_tokens"], n_ctx=fields["n_ctx"])
    kinds: list[type[BlendinError]] = [UsageError, ServiceError]
    kind = next((each for each in kinds if each.code == fields["code"]), None)
    if kind is None:
        kind = {"invalid_request_error": UsageError, "unavailable_error": ServiceError}.get(
            fields["type"], UsageError if fields["type"].endswith("_error") else BlendinError
        )
    return kind(f"the server says: {fields['message']}")
