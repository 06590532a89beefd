"""A server on a bare socket: it answers with whatever bytes a test gives it, HTTP or not."""

import socket
import threading
from contextlib import contextmanager, suppress

MAX_SENT_BYTES = 2**28  # what an endless answer sends where nobody stops it


class RawServer:
    """Answers each request with `answer(head)`: pieces of bytes, after which the connection is closed.

    Attributes:
        url: Its address.
        sent: Bytes sent so far.
        requests: The first line of each request.
    """

    def __init__(self, answer):
        self.answer = answer
        self.sent, self.requests = 0, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            self.requests.append(head.split(b"\r\n")[0].decode("latin-1"))
            limit = self.sent + MAX_SENT_BYTES
            for piece in self.answer(head):
                connection.sendall(piece)
                self.sent += len(piece)
                if self.sent > limit:
                    return
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def stop(self):
        """Accept no more."""
        self._listener.close()


@contextmanager
def raw_server(answer):
    """A running server."""
    server = RawServer(answer)
    try:
        yield server
    finally:
        server.stop()


def head(status=200, *, reason="OK", version="HTTP/1.1", **headers):
    """The first lines of an answer; `Content_Length=3` becomes a header."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{version} {status} {reason}", *lines, "", ""]).encode("latin-1", "replace")


def endless(piece=bytes(2**16)):
    """Pieces without end."""
    while True:
        yield piece
