"""Answers on their way to a client: collected into one reply, or streamed as they grow.

Here: `collect`, `stream`, and the frames of server-sent events.
Not here: what is in a frame (`server.replies`), how answers are made (`server.service`).
Source: the HTML standard, section 9.2, "Server-sent events"; OpenAI's `data: [DONE]`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from blendin_local.errors import BlendinError, UnforeseenError
from blendin_local.server.failures import failure
from blendin_local.server.replies import Choice, Reply
from blendin_local.server.service import Answer, Event, Finished, Progress, Shown

DONE = b"data: [DONE]\n\n"
PING_S = 15.0  # some clients give up on a stream that is silent for long


class Chunks(Protocol):
    """How the parts of one kind of streamed reply look."""

    def start(self, choice: Choice) -> Sequence[dict[str, Any]]:
        """What is sent before the answer begins."""
        ...

    def part(self, choice: Choice, shown: Shown) -> dict[str, Any]:
        """New text; `choice` does not have it yet."""
        ...

    def end(self, choice: Choice) -> dict[str, Any]:
        """Why the answer ended."""
        ...

    def usage(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """What it took."""
        ...


class ChatChunks:
    """Parts of a chat completion."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def start(self, choice: Choice) -> Sequence[dict[str, Any]]:
        """The role."""
        return [self._reply.chat_start(choice.index)]

    def part(self, choice: Choice, shown: Shown) -> dict[str, Any]:
        """A delta."""
        return self._reply.chat_chunk(choice.index, [shown])

    def end(self, choice: Choice) -> dict[str, Any]:
        """An empty delta with the reason."""
        return self._reply.chat_chunk(choice.index, [], choice.completion)

    def usage(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """A chunk without choices."""
        return self._reply.usage_chunk("chat.completion.chunk", choices)


class TextChunks:
    """Parts of a completion of a text."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def start(self, choice: Choice) -> Sequence[dict[str, Any]]:
        """Nothing."""
        del choice
        return []

    def part(self, choice: Choice, shown: Shown) -> dict[str, Any]:
        """New text."""
        return self._reply.text_chunk(choice.index, [shown], offset=len(choice.text))

    def end(self, choice: Choice) -> dict[str, Any]:
        """No text, and the reason."""
        return self._reply.text_chunk(choice.index, [], choice.completion, len(choice.text))

    def usage(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """A chunk without choices."""
        return self._reply.usage_chunk("text_completion", choices)


async def collect(answers: Sequence[Answer]) -> list[Choice]:
    """Wait for all answers. If this task is cancelled, or one fails, all are cancelled.

    Raises:
        BlendinError: One of them failed.
    """
    choices = [Choice(i) for i in range(len(answers))]
    try:
        await asyncio.gather(*map(_fill, choices, answers))
    finally:
        for answer in answers:
            answer.cancel()
    return choices


async def _fill(choice: Choice, answer: Answer) -> None:
    async for event in answer.events():
        note(choice, event)


def note(choice: Choice, event: Event) -> None:
    """Add what an event brings to an answer."""
    if isinstance(event, Shown):
        choice.shown.append(event)
    elif isinstance(event, Finished):
        choice.completion = event.completion


async def stream(
    answers: Sequence[Answer],
    chunks: Chunks,
    *,
    include_usage: bool,
    on_end: Callable[[Sequence[Choice]], None] = lambda _: None,
) -> AsyncIterator[bytes]:
    """The frames of a streamed reply. If this generator is closed, all answers are cancelled.

    Args:
        answers: The answers, handed over.
        chunks: How the parts look.
        include_usage: Whether a chunk with the usage comes last.
        on_end: Called with the complete answers.
    """
    choices = [Choice(i) for i in range(len(answers))]
    merged = Merged(answers)
    try:
        for choice in choices:
            for chunk in chunks.start(choice):
                yield frame(chunk)
        async for index, event in merged.events():
            for data in _frames(chunks, choices[index], event):
                yield data
        on_end(choices)
        if include_usage:
            yield frame(chunks.usage(choices))
        yield DONE
    except BlendinError as error:
        yield frame(failure(error).body)
    finally:
        merged.close()


def _frames(chunks: Chunks, choice: Choice, event: Event | None) -> list[bytes]:
    if event is None:
        return [comment("ping")]
    if isinstance(event, Progress):
        return [comment(f"prompt {event.role} {event.n_read}/{event.n_prompt}")]
    part = frame(chunks.part(choice, event)) if isinstance(event, Shown) else b""
    note(choice, event)
    return [part] if part else [frame(chunks.end(choice))]


class Merged:
    """The events of several answers as they come.

    Args:
        answers: The answers.
        ping_s: Seconds of silence after which it says that there is nothing.
    """

    def __init__(self, answers: Sequence[Answer], ping_s: float = PING_S) -> None:
        self._answers = answers
        self._ping_s = ping_s
        self._queue: asyncio.Queue[tuple[int, Event | BlendinError | None]] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._pass_on(i)) for i in range(len(answers))]

    async def _pass_on(self, i: int) -> None:
        try:
            async for event in self._answers[i].events():
                self._queue.put_nowait((i, event))
        except BlendinError as error:
            self._queue.put_nowait((i, error))
        except Exception as error:  # noqa: BLE001 - the client must not wait for ever
            self._queue.put_nowait((i, UnforeseenError(error, "please report it")))

    async def events(self) -> AsyncIterator[tuple[int, Event | None]]:
        """Each event with the number of its answer; None where nothing has come for a while."""
        left = len(self._answers)
        while left:
            try:
                i, event = await asyncio.wait_for(self._queue.get(), self._ping_s)
            except TimeoutError:
                yield 0, None
                continue
            if isinstance(event, BlendinError):
                raise event
            left -= isinstance(event, Finished)
            yield i, event

    def close(self) -> None:
        """Cancel what is not finished."""
        for answer, task in zip(self._answers, self._tasks, strict=True):
            answer.cancel()
            task.cancel()


def frame(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """One event."""
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def comment(text: str) -> bytes:
    """A line that clients skip: it shows that something happens, and keeps the connection open."""
    return f": {text}\n\n".encode()
