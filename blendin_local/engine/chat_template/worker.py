"""The child process in which chat templates are compiled and rendered.

Here: the Jinja environment that chat templates are written for, and the child's side of
`engine.chat_template.template`.
Not here: limits of time and memory (`bounded_process`), what a prompt is made of
(`engine.chat_template.template`).
Source: Transformers' `apply_chat_template`, whose environment templates expect: a sandbox without changes to
what it is given, blocks trimmed, `break` and `continue`, `tojson` without HTML escapes, `{% generation %}`,
`raise_exception`, `strftime_now`. Imports Jinja and the standard library only, so that it starts quickly.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from blendin_local.bounded_process import serve

MAX_REASON_CHARS = 300  # characters of a template's own error that are shown


class TooLongError(Exception):
    """The template wrote more than it may."""


class GenerationBlock(Extension):
    """`{% generation %}`, which marks what a model is trained on: for a prompt, its content."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block as a call of `_body`."""
        line = next(parser.stream).lineno
        content = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], content).set_lineno(line)

    def _body(self, caller: Macro) -> str:
        return caller()


def environment() -> ImmutableSandboxedEnvironment:
    """A fresh environment for untrusted templates."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, GenerationBlock]
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = raise_exception
    return made


def to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Sequence[str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter `tojson` of chat templates."""
    parts = None if separators is None else (str(separators[0]), str(separators[1]))
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=parts, sort_keys=sort_keys)


def raise_exception(message: object) -> None:
    """How a template refuses a conversation."""
    raise ValueError(str(message)[:MAX_REASON_CHARS])


@lru_cache(maxsize=4)
def compiled(source: str) -> Template:
    """The template, compiled."""
    return environment().from_string(source)


def render(asked: Mapping[str, Any], messages: Sequence[Mapping[str, str]]) -> str:
    """One conversation as the template writes it; equal requests give equal texts."""
    random.seed(0)  # Jinja's filter `random`
    today = datetime.fromisoformat(asked["date"])
    stream = compiled(asked["source"]).generate(
        messages=messages, strftime_now=today.strftime, **asked["variables"]
    )
    parts, size = [], 0
    for part in stream:
        parts.append(part)
        size += len(part)
        if size > asked["max_chars"]:
            raise TooLongError(f"it writes more than {asked['max_chars']:,} characters")
    return "".join(parts)


def reason(error: BaseException) -> str:
    """What went wrong, in one line that a terminal can show."""
    if isinstance(error, RecursionError):
        return "it nests too deep"
    text = str(error)[:MAX_REASON_CHARS]
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line or type(error).__name__


def answer(request: bytes) -> bytes:
    """Render conversations: a list of `{"text"}` or `{"error"}`; the first that fails is the last."""
    if not request:
        return b"ready"
    asked = json.loads(request)
    bound_cpu(asked["seconds"])
    results: list[dict[str, Any]] = []
    try:
        for messages in asked["conversations"]:
            results.append({"text": render(asked, messages)})
    except MemoryError:
        results = [{"error": "it takes too much memory", "exhausted": True}]
    except Exception as error:  # noqa: BLE001 - a template may raise anything
        results.append({"error": reason(error)})
    return json.dumps(results, ensure_ascii=False).encode("utf-8", "surrogatepass")


def bound_cpu(seconds: float) -> None:
    """Have the system end this process if it never returns, even if its parent has ended."""
    try:
        import resource  # noqa: PLC0415 - Windows has none

        _, hard_limit = resource.getrlimit(resource.RLIMIT_CPU)
        limit = int(time.process_time() + seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard_limit))
    except (ImportError, OSError, ValueError):
        return


if __name__ == "__main__":
    serve(answer)
