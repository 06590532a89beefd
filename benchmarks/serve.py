"""What HTTP costs on the demo pair: the server against the same work without one, as ratios in one run.

Run: python benchmarks/serve.py [--json] [--rounds N]

Three ratios, each the median over rounds in which both sides alternate:

- many: rows/s of 16 clients at once, against `Pair.answer_all` with 16 sequences, which is what
  `blendin batch --parallel 16` runs.
- one: tokens/s of one client that streams, against `Pair.stream`.
- turn: seconds to the first token of a second turn over HTTP, against a second turn of an open pair.

The models of the server and of the pair are loaded in the same process. While one side works the other waits.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

from blendin_local.core.prompts import Message
from blendin_local.pair.pair import Pair, Request
from blendin_local.pair.resolve import PairSpec, open_pair
from blendin_local.server.access import AccessPolicy
from blendin_local.server.application import make_application
from blendin_local.server.running import bind, serve
from blendin_local.server.service import ServeSpec, open_service
from blendin_local.settings import AnswerSettings

SUBJECTS = ("rain", "bread", "the moon", "a bicycle", "honey", "chess", "a river", "salt")
QUESTIONS = ("Why do people care about {}?", "Explain {} to a child.")
TEXTS = [question.format(subject) for subject in SUBJECTS for question in QUESTIONS]
CLIENTS = 16
N_TOKENS = 48
FIRST = "Tell me about the history of bread, from the first grain to the bakeries of today. " * 4
SECOND = "And what about cakes?"
SPEC = PairSpec(
    pair="demo",
    base_settings={"ctx_size": 1024},
    guide_settings={"ctx_size": 1024},
    answer={"loop_guard": False, "max_tokens": N_TOKENS},
    pull=True,
)
LIMITS = AnswerSettings(loop_guard=False, max_tokens=N_TOKENS)


class Client:
    """One client; each of its requests has a connection of its own.

    Args:
        port: Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, messages: Sequence[dict[str, str]], *, stream: bool) -> http.client.HTTPResponse:
        """Send a request; the caller reads the answer."""
        body = json.dumps({"messages": messages, "stream": stream})
        headers = {"content-type": "application/json"}
        headers["connection"] = "close"
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return response

    def whole(self, text: str) -> int:
        """One answer that is not streamed; how many tokens it has."""
        reply = json.load(self.ask([{"role": "user", "content": text}], stream=False))
        return int(reply["usage"]["completion_tokens"])

    def streamed(self, messages: Sequence[dict[str, str]]) -> tuple[float, int, str]:
        """One streamed answer: seconds to its first token, how many tokens it has, and its text."""
        began = perf_counter()
        first, parts = 0.0, []
        for line in self.ask(messages, stream=True):
            if not line.startswith(b"data: {"):
                continue
            content = json.loads(line[6:])["choices"][0]["delta"].get("content")
            if content:
                first = first or perf_counter() - began
                parts.append(content)
        return first, len(parts), "".join(parts)


def many_over_http(clients: Sequence[Client]) -> float:
    """Rows per second of clients that ask at once."""
    began = perf_counter()
    with ThreadPoolExecutor(CLIENTS) as executor:
        list(executor.map(Client.whole, clients, TEXTS))
    return len(TEXTS) / (perf_counter() - began)


def many_in_a_batch(pair: Pair) -> float:
    """Rows per second of the same questions in one call."""
    rows = [Request(str(i), [Message("user", text)], answer=LIMITS) for i, text in enumerate(TEXTS)]
    began = perf_counter()
    list(pair.answer_all(rows))
    return len(rows) / (perf_counter() - began)


def one_over_http(client: Client, text: str) -> float:
    """Tokens per second of one streamed answer."""
    began = perf_counter()
    _, n, _ = client.streamed([{"role": "user", "content": text}])
    return n / (perf_counter() - began)


def one_in_process(pair: Pair, text: str) -> float:
    """Tokens per second of the same without HTTP."""
    began = perf_counter()
    n = sum(bool(shown) for _, shown in pair.stream(text, answer=LIMITS).shown())
    return n / (perf_counter() - began)


def turn_over_http(client: Client, text: str) -> float:
    """Seconds to the first token of a second turn."""
    messages = [{"role": "user", "content": text}]
    _, _, answer = client.streamed(messages)
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": SECOND}]
    return client.streamed(messages)[0]


def turn_in_process(pair: Pair, text: str) -> float:
    """The same in an open pair, as a chat does it."""
    messages = [Message("user", text)]
    stream = pair.stream(messages, answer=LIMITS)
    for _ in stream.shown():
        pass
    messages += [Message("assistant", stream.completion.text), Message("user", SECOND)]
    began = perf_counter()
    for _, shown in pair.stream(messages, answer=LIMITS).shown():
        if shown:
            break
    return perf_counter() - began


@contextmanager
def served(n_parallel: int) -> Iterator[int]:
    """A server of the demo pair; its port."""
    stop, ready = threading.Event(), threading.Event()
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    with open_service(ServeSpec(SPEC, n_parallel)) as service:
        application = make_application(service, AccessPolicy(port=port))
        marks = {"should_stop": stop.is_set, "on_ready": ready.set}
        thread = threading.Thread(target=serve, args=(application, service.thread, bound), kwargs=marks)
        thread.start()
        ready.wait()
        try:
            yield port
        finally:
            stop.set()
            thread.join()


def measure(rounds: int) -> dict[str, Any]:
    """All figures, with a first round that is not counted."""
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float, counts: bool) -> None:
        if counts:
            figures.setdefault(name, []).append(value)

    with open_pair(SPEC, n_parallel=CLIENTS) as pair, served(CLIENTS) as port:
        clients = [Client(port) for _ in range(CLIENTS)]
        for i in range(rounds + 1):
            note("batch_rows_per_s", many_in_a_batch(pair), i > 0)
            note("http_rows_per_s", many_over_http(clients), i > 0)
            text = f"{TEXTS[i % len(TEXTS)]} Take {i} sentences."
            note("stream_tokens_per_s", one_in_process(pair, text), i > 0)
            note("http_tokens_per_s", one_over_http(clients[0], text), i > 0)
            note("chat_first_token_s", turn_in_process(pair, f"{i}. {FIRST}"), i > 0)
            note("http_first_token_s", turn_over_http(clients[0], f"{i}. {FIRST}"), i > 0)
    medians = {name: median(values) for name, values in figures.items()}

    def ratio(over: str, under: str) -> float:
        return median(a / b for a, b in zip(figures[over], figures[under], strict=True))

    ratios = {
        "many": ratio("http_rows_per_s", "batch_rows_per_s"),
        "one": ratio("http_tokens_per_s", "stream_tokens_per_s"),
        "turn": ratio("http_first_token_s", "chat_first_token_s"),
    }
    return {"medians": medians, "ratios": ratios, "rounds": rounds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result["medians"].items():
        print(f"{name:22} {value:8.3f}")
    for name, value in result["ratios"].items():
        print(f"ratio {name:16} {value:8.3f}")


if __name__ == "__main__":
    main()
