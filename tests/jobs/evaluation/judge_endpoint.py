"""A chat-completions endpoint on this machine that replies what a test wants, for the judge."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Endpoint:
    """A server that replies what `reply` says to a prompt: a text, a status, or bytes that are no JSON."""

    reply: dict[str, str | int | bytes]
    url: str = ""
    prompts: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, prompt: str) -> str | int | bytes:
        self.prompts.append(prompt)
        return self.reply.get(prompt.partition("|")[0], "Yes.")


@contextmanager
def serving(endpoint: Endpoint):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.keys.append(self.headers.get("Authorization"))
            endpoint.paths.append(self.path)
            said = endpoint.answer(body["messages"][0]["content"])
            self.send_response(said if isinstance(said, int) else 200)
            self.end_headers()
            if isinstance(said, str):
                said = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.wfile.write(said if isinstance(said, bytes) else b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # seconds until it sees its end
    thread.start()
    try:
        endpoint.url = f"http://127.0.0.1:{server.server_port}"
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
