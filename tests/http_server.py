"""A server on toy models, on a real socket of this machine; how tests talk to it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blendin_local.pair.resolve import PairSpec
from blendin_local.server.access import AccessPolicy
from blendin_local.server.application import make_application
from blendin_local.server.running import bind, serve, url_of
from blendin_local.server.service import ServeSpec, Service, open_service

JSON = {"content-type": "application/json"}
MODELS = """
[models.toy-base]
path = "{base}"

[models.toy-guide]
path = "{guide}"

[pairs.toy]
base = "toy-base"
guide = "toy-guide"
threshold = 0.15
"""


def toy_spec(
    base: Path, guide: Path, *, n_ctx: int = 1024, reproducible: bool = False, **fields: Any
) -> PairSpec:
    """The pair `toy` of two model files, with answers of 12 tokens that may repeat themselves."""
    models_file = base.with_name("models.toml")
    models_file.write_text(MODELS.format(base=base, guide=guide))
    model = {"ctx_size": n_ctx, "threads": 1, "kv_type": "f32", "flash_attention": "off"}
    model["reproducible"] = reproducible
    answer = {"loop_guard": False, "max_tokens": 12, **fields.pop("answer", {})}
    return PairSpec(
        pair="toy",
        models_file=models_file,
        base_settings=model,
        guide_settings=model,
        answer=answer,
        **fields,
    )


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def error(self) -> dict[str, Any]:
        """The error, in the form of OpenAI's."""
        error = self.json["error"]
        assert set(error) - {"n_prompt_tokens", "n_ctx"} == {"message", "type", "param", "code"}
        return error


@dataclass
class RunningServer:
    """A server that answers.

    Attributes:
        service: The pair behind it.
        port: Where it listens.
        prompts: What it was told to log.
        pause_s: Seconds to wait before every round of evaluations.
        connections: Those that were opened by hand; they are closed at the end.
    """

    service: Service
    port: int
    url: str
    stop: Callable[[], None]
    prompts: list[str] = field(default_factory=list)
    pause_s: float = 0.0
    connections: list[socket.socket] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = ({} if body is None else JSON) | (headers or {})
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.request("POST", path, body, headers)

    def chat(self, question: str = "the hello world", **fields: Any) -> Any:
        """A chat completion that succeeds; `messages` replace the question."""
        body = {"messages": [{"role": "user", "content": question}], **fields}
        reply = self.post("/v1/chat/completions", body)
        assert reply.status == 200, reply.data
        return reply.json

    def text(self, prompt: Any = "the hello world", **fields: Any) -> Any:
        reply = self.post("/v1/completions", {"prompt": prompt, **fields})
        assert reply.status == 200, reply.data
        return reply.json

    def events(self, path: str, body: Any) -> list[str]:
        """The blocks of a stream: comments and data."""
        reply = self.post(path, {"stream": True, **body})
        assert reply.status == 200, reply.data
        assert reply.headers["content-type"].startswith("text/event-stream")
        blocks = reply.data.decode().split("\n\n")
        assert blocks.pop() == ""
        return blocks

    def chunks(self, path: str, body: Any) -> list[Any]:
        """The objects of a stream that ends as it should."""
        data = [block.removeprefix("data: ") for block in self.events(path, body) if block[:1] != ":"]
        assert data.pop() == "[DONE]"
        return [json.loads(each) for each in data]

    def metrics(self) -> dict[str, float]:
        lines = self.get("/metrics").data.decode().splitlines()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }

    def busy(self) -> tuple[float, float]:
        """How many answers are made, and how many requests wait."""
        load = self.service.thread.load
        return load.active, load.waiting

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for something to be true."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.005)

    def open_request(self, path: str, body: Any, **headers: str) -> socket.socket:
        """A connection on which a request was sent and nothing read."""
        data = json.dumps(body).encode()
        head = {"host": f"127.0.0.1:{self.port}", "content-length": len(data), **JSON, **headers}
        return self.raw(
            f"POST {path} HTTP/1.1\r\n".encode()
            + "".join(f"{name}: {value}\r\n" for name, value in head.items()).encode()
            + b"\r\n"
            + data
        )

    def raw(self, data: bytes) -> socket.socket:
        """A connection on which these bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.connections.append(connection)
        connection.sendall(data)
        return connection


@contextmanager
def running_server(
    spec: PairSpec,
    n_parallel: int = 1,
    *,
    max_waiting: int = 64,
    grace_s: float = 5.0,
    **policy: Any,
) -> Iterator[RunningServer]:
    """Serve a pair within the block."""
    stop, ready = threading.Event(), threading.Event()
    bound = bind("127.0.0.1", 0)
    with open_service(ServeSpec(spec, n_parallel, max_waiting)) as service:
        port = bound.getsockname()[1]
        server = RunningServer(service, port, url_of(bound), stop.set)
        _slow_down(server)
        application = make_application(service, AccessPolicy(port=port, **policy), server.prompts.append)
        thread = threading.Thread(
            target=serve,
            args=(application, service.thread, bound),
            kwargs={"grace_s": grace_s, "should_stop": stop.is_set, "on_ready": ready.set},
        )
        thread.start()
        assert ready.wait(10)
        try:
            yield server
        finally:
            server.pause_s = 0.0
            for connection in server.connections:
                connection.close()
            stop.set()
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"


def _slow_down(server: RunningServer) -> None:
    """Let the rounds of the scheduler wait as long as the server says."""
    scheduler = server.service.thread._scheduler
    step = scheduler.step

    def slow_step(should_stop: Callable[[], bool]) -> None:
        time.sleep(server.pause_s)
        step(should_stop)

    scheduler.step = slow_step  # type: ignore[method-assign]


def received(connection: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    data = b""
    while part := connection.recv(65536):
        data += part
    return data
