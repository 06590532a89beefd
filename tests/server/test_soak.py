"""Many clients that connect, stream, stall and vanish: nothing hangs, no place is lost, memory is flat."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import threading
import time
from collections import Counter

import psutil
import pytest

from tests.http_server import JSON

CHAT = "/v1/chat/completions"
CLIENTS = 64
WORDS = ["the", "hello", "world", "a", "hell", "or", "d"]
SECONDS = float(os.environ.get("BLENDIN_SOAK_SECONDS", "20"))
MAX_GROWTH = 40 * 2**20  # bytes, after the first third


class Client(threading.Thread):
    """One client that does something else each time."""

    def __init__(self, server, number, end, done):
        super().__init__(daemon=True)
        self.server, self.end, self.done = server, end, done
        self.random = random.Random(number)
        self.errors = []

    def run(self):
        while time.monotonic() < self.end:
            act = self.random.choice([self.stream, self.whole, self.vanish, self.stall, self.break_off])
            try:
                act()
                self.done[act.__name__] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                self.errors.append(f"{act.__name__}: {error!r}")

    def body(self, stream):
        words = self.random.choices(WORDS, k=self.random.randint(1, 60))
        message = {"role": "user", "content": " ".join(words)}
        n = self.random.choice([1, 1, 1, 2])
        return {"messages": [message], "stream": stream, "n": n, "max_tokens": self.random.randint(1, 60)}

    def connect(self, stream):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request("POST", CHAT, json.dumps(self.body(stream)), JSON)
        return connection

    def whole(self):
        connection = self.connect(False)
        response = connection.getresponse()
        assert response.status in {200, 503}
        assert json.load(response)
        connection.close()

    def stream(self):
        connection = self.connect(True)
        response = connection.getresponse()
        assert response.status in {200, 503}
        data = response.read()
        assert response.status == 503 or data.endswith(b"data: [DONE]\n\n")
        connection.close()

    def vanish(self):
        connection = self.connect(self.random.random() < 0.5)
        time.sleep(self.random.random() * 0.05)
        connection.close()

    def stall(self):
        connection = self.connect(True)
        response = connection.getresponse()
        if response.status == 200:
            response.read1(100)
            time.sleep(self.random.random() * 0.5)
        response.close()
        connection.close()

    def break_off(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as connection:
            head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            connection.sendall(f"{head}content-length: 500\r\n\r\n{{".encode()[: self.random.randint(1, 200)])
            time.sleep(self.random.random() * 0.05)


@pytest.mark.slow
def test_clients_that_come_and_go(start):
    """64 of them; `BLENDIN_SOAK_SECONDS` makes it longer."""
    server = start(4, max_waiting=32)
    done = Counter()
    began = time.monotonic()
    clients = [Client(server, i, began + SECONDS, done) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    process = psutil.Process()
    time.sleep(SECONDS / 3)
    early = process.memory_info().rss
    for client in clients:
        client.join(SECONDS + 40)
        assert not client.is_alive(), "a client hangs"
    assert [error for client in clients for error in client.errors] == []
    server.until(lambda: server.busy() == (0, 0), seconds=5)
    assert set(done) == {"stream", "whole", "vanish", "stall", "break_off"}
    assert server.chat()["usage"]["completion_tokens"] == 12
    assert server.metrics()["blendin_slots"] == 4
    growth = process.memory_info().rss - early
    assert growth < MAX_GROWTH, f"{dict(done)}, memory {early / 2**20:.0f} MiB, then {growth / 2**20:+.1f}"
