"""A package index with one wheel that it sends slowly."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = 10
PAUSE_SECONDS = 0.1


def start_slow_index(wheel):
    """The address of the index, and the way to stop it."""

    class Handler(BaseHTTPRequestHandler):
        """One request: the list of links, or the wheel in pieces."""

        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            if not self.path.endswith(".whl"):
                return self.reply("text/html", [f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()])
            data = wheel.read_bytes()
            step = -(-len(data) // PIECES)
            return self.reply("application/zip", [data[i : i + step] for i in range(0, len(data), step)])

        def reply(self, kind, pieces):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(sum(map(len, pieces))))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(PAUSE_SECONDS if len(pieces) > 1 else 0)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    return f"http://127.0.0.1:{server.server_port}/simple/", stop
