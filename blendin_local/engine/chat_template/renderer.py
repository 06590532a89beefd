"""The running of chat templates in a child process that is kept for the next ones.

Here: `Renderer`, bounds and their failures; `renderer`, the one of this process.
Not here: what the child does (`engine.chat_template.worker`), what a prompt is made of
(`engine.chat_template.template`).
Source: a template is a program from an untrusted file. Jinja's sandbox denies it files and processes, but it
can still use time and memory, in C code that cannot be interrupted from within the same process.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from blendin_local.bounded_process import (
    BoundedProcess,
    BoundedProcessError,
    ProcessMemoryError,
    ProcessTimeoutError,
)
from blendin_local.errors import PairError

MODULE = "blendin_local.engine.chat_template.worker"
MEMORY = 448 * 2**20  # bytes; Python and Jinja take 20 MB of it
TIME_LIMIT_S = 4.0  # of one prompt
START_S = 60.0  # on a machine that is very busy
MAX_SOURCE_CHARS = 1_000_000  # the longest template in use has about 30,000
MAX_PROMPT_CHARS = 4_000_000


class TemplateRaisedError(Exception):
    """The template refused the conversation, or is no template."""


@dataclass(frozen=True)
class Rendering:
    """What a template is rendered with besides the messages.

    Attributes:
        source: The template text.
        date: In ISO form.
        variables: What else it may ask for.
    """

    source: str
    date: str
    variables: Mapping[str, Any]


class Renderer:
    """A child process for templates, started when first needed and restarted after it was killed."""

    def __init__(self) -> None:
        self._child: BoundedProcess | None = None
        self._ready = False
        self._lock = Lock()

    def start(self) -> None:
        """Start the process without waiting for it; failures are reported when it is needed."""
        with self._lock:
            if self._child is None:
                try:
                    self._child, self._ready = BoundedProcess(MODULE, MEMORY), False
                except OSError:
                    return

    def render(
        self,
        rendering: Rendering,
        conversations: Sequence[Sequence[Mapping[str, str]]],
        seconds: float,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[str]:
        """Each conversation as the template writes it.

        Raises:
            TemplateRaisedError: The template raised; with its own words.
            PairError: It ran too long, took too much memory or ended the child.
            KeyboardInterrupt: `should_stop` became true.
        """
        if len(rendering.source) > MAX_SOURCE_CHARS:
            raise unusable(f"it has {len(rendering.source):,} characters, more than {MAX_SOURCE_CHARS:,}")
        request = json.dumps(
            {
                "source": rendering.source,
                "date": rendering.date,
                "variables": dict(rendering.variables),
                "conversations": [list(map(dict, messages)) for messages in conversations],
                "max_chars": MAX_PROMPT_CHARS,
                "seconds": seconds,
            }
        ).encode()
        with self._lock:
            results = self._ask(request, seconds, should_stop)
        error = next((result["error"] for result in results if "error" in result), None)
        if error is not None:
            raise TemplateRaisedError(error)
        return [str(result["text"]) for result in results]

    def _ask(self, request: bytes, seconds: float, should_stop: Callable[[], bool]) -> list[dict[str, Any]]:
        """The child's results; a child that was ended, or has no memory left, is not asked again."""
        keep = False
        try:
            child = self._child = self._child or BoundedProcess(MODULE, MEMORY)
            if not self._ready:
                child.ask(b"", START_S, should_stop)
                self._ready = True
            results: list[dict[str, Any]] = json.loads(
                child.ask(request, seconds, should_stop).decode("utf-8", "surrogatepass")
            )
            if any("exhausted" in result for result in results):
                raise unusable(results[-1]["error"])
            keep = True
        except ProcessTimeoutError as error:
            raise unusable(f"it does not end within {TIME_LIMIT_S:g} s") from error
        except ProcessMemoryError as error:
            raise unusable("it takes too much memory") from error
        except (BoundedProcessError, OSError, ValueError) as error:
            raise unusable(f"the process that renders it failed: {error}") from error
        finally:
            if not keep:
                self._end()
        return results

    def _end(self) -> None:
        child, self._child, self._ready = self._child, None, False
        if child is not None:
            child.close()

    def close(self) -> None:
        """End the child; the next rendering begins another."""
        with self._lock:
            self._end()


@cache
def renderer() -> Renderer:
    """The renderer of this process."""
    made = Renderer()
    atexit.register(made.close)
    return made


def unusable(reason: str) -> PairError:
    """The error for a template that cannot be used."""
    return PairError(
        f"the guide's chat template cannot be used: {reason}",
        "give another with --guide-chat-template-file, or an exact prompt with --guide-prompt-file",
    )
