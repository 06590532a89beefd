"""A small server that speaks as much of the hub's protocol as a download needs, and misbehaves on demand."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class FakeHub:
    """What the server has and does; change it while it runs."""

    files: dict = field(default_factory=dict)  # "user/repo" -> {name: bytes}
    refuse: tuple | None = None  # (status, headers) of every answer
    cut_after: int | None = None  # bytes of an answer after which the connection breaks
    ignore_range: bool = False
    redirect: bool = False
    lie: bytes | None = None  # sent instead of a file's bytes
    etag_suffix: str = ""
    card: dict = field(default_factory=dict)  # what else the description of a repository has
    requests: list = field(default_factory=list)  # (method, path, range, authorization)
    sent: int = 0
    url: str = ""

    def etag(self, content):
        return hashlib.sha256(content).hexdigest() + self.etag_suffix

    def find(self, path):
        """The file behind `/user/repo/resolve/revision/name`."""
        head, _, tail = path.partition("/resolve/")
        return self.files.get(head.lstrip("/"), {}).get(tail.partition("/")[2])


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        path = unquote(self.path.partition("?")[0])
        self.hub.requests.append(
            (self.command, path, self.headers.get("Range"), self.headers.get("Authorization"))
        )
        if self.hub.refuse:
            return self.reply(*self.hub.refuse)
        if path.startswith("/api/models/"):
            return self.listing(path.removeprefix("/api/models/").partition("/revision/")[0])
        content = self.hub.find(path.removeprefix("/cdn"))
        if content is None:
            return self.reply(404, {"X-Error-Code": "EntryNotFound"})
        if body and self.hub.redirect and not path.startswith("/cdn"):
            return self.reply(302, {"Location": f"{self.hub.url}/cdn{path}"})
        return self.file(content, body=body)

    def listing(self, repo):
        if repo not in self.hub.files:
            return self.reply(404, {"X-Error-Code": "RepoNotFound"})
        siblings = [{"rfilename": name} for name in self.hub.files[repo]]
        text = json.dumps({"id": repo, "siblings": siblings, **self.hub.card}).encode()
        return self.reply(200, {"Content-Type": "application/json"}, text)

    def file(self, content, *, body):
        start, status = 0, 200
        headers = {"X-Repo-Commit": "0" * 40, "X-Linked-Etag": f'"{self.hub.etag(content)}"'}
        headers |= {"X-Linked-Size": str(len(content)), "ETag": f'"{self.hub.etag(content)}"'}
        asked = self.headers.get("Range")
        if body and asked and not self.hub.ignore_range:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        data = (self.hub.lie or content)[start:]
        if not body:
            return self.reply(status, headers, content, send=False)
        return self.reply(status, headers, data)

    def reply(self, status, headers, data=b"", *, send=True):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD" or not send:
            return
        cut = self.hub.cut_after
        if cut is not None and len(data) > cut:
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.hub.sent += cut
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(data)
        self.hub.sent += len(data)


def start_hub():
    """A running hub and the way to stop it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = FakeHub(url=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    return server.hub, stop
