"""Where an answer goes: the screen, JSON, a trace, an HTML page, a picture; each is a fold over its steps.

Here: the sinks, and `Outputs`, which feeds all that were asked for.
Not here: how things look (`views.answer`, `reports.answer_html`), the records (`core.records`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from rich.console import Console

from blendin_local.cli.common.failures import cannot_write
from blendin_local.cli.common.options import OutputOptions
from blendin_local.cli.common.printing import print_json
from blendin_local.cli.common.status import Reading, StatusLine
from blendin_local.core.prompts import Message, messages_to_json
from blendin_local.core.record_json import completion_to_json, step_to_json
from blendin_local.core.records import Completion, Step
from blendin_local.core.shortened import shortened, with_shortened_steps
from blendin_local.errors import UsageError, WriteError
from blendin_local.files import open_private, write_private
from blendin_local.views.form import has_form
from blendin_local.views.streams import close_stdout
from blendin_local.views.theme import Consoles
from blendin_local.views.visible import label

if TYPE_CHECKING:
    from blendin_local.views.answer_printer import AnswerPrinter

TRACE_VERSION = 2  # 1 kept neither whole lists of candidates nor how a character was finished


class GrowingAnswer(Protocol):
    """An answer while it grows, of a pair here or of a server."""

    def shown(self) -> Iterable[tuple[Step, str]]:
        """Steps with the text that may be shown."""
        ...

    @property
    def reading(self) -> Reading | None:
        """How far the prompt that is being read has been read."""
        ...


class Sink(Protocol):
    """One place an answer is written to."""

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """The answer starts."""
        ...

    def step(self, step: Step, shown: str) -> None:
        """A step, with the part of its text that is certainly answer."""
        ...

    def finish(self, completion: Completion) -> None:
        """The answer is complete, or was stopped."""
        ...


class Screen:
    """The growing answer on stdout, marked where that is a terminal, and a footer on stderr."""

    def __init__(self, consoles: Consoles) -> None:
        self._out, self._err = consoles.out, consoles.err
        self._is_data = False
        self._begun: AnswerPrinter | None = None

    @property
    def _printer(self) -> AnswerPrinter:
        if self._begun is None:
            from blendin_local.views.answer_printer import AnswerPrinter  # noqa: PLC0415 - models load meanwhile

            self._begun = AnswerPrinter(self._out, is_data=self._is_data)
        return self._begun

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """Nothing is shown before the answer, which may be data."""
        self._is_data = has_form(signature.get("answer", {}))

    def step(self, step: Step, shown: str) -> None:
        """Append the text."""
        self._printer.feed(step, shown)

    def flush(self) -> None:
        """Show what is held back of an answer that will not be finished."""
        if self._begun is not None:
            self._begun.flush()

    def finish(self, completion: Completion) -> None:
        """End the line and sum up."""
        from blendin_local.views.answer import footer  # noqa: PLC0415 - as above

        self._printer.finish()
        on_screen = self._err.is_terminal
        self._err.print(footer(completion, self._err.width if on_screen else 0), soft_wrap=not on_screen)
        for notice in completion.notices:
            self._err.print(label(f"note: {notice}"), style="footer", soft_wrap=not on_screen)


class JsonObject:
    """One object at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._messages: Sequence[Message] = ()

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """Remember the messages."""
        self._messages = messages

    def step(self, step: Step, shown: str) -> None:
        """Nothing yet."""

    def finish(self, completion: Completion) -> None:
        """Write it."""
        messages = {"messages": messages_to_json(self._messages)}
        _write_line(self._stream, messages | completion_to_json(completion))


class JsonLines:
    """A first line about the answer, a line per step, a last line without the steps.

    Args:
        stream: Where they go.
        whole: Whether steps have every candidate that a method could use.
    """

    def __init__(self, stream: TextIO, *, whole: bool = False) -> None:
        self._stream = stream
        self._whole = whole
        self._written = 0

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """Write the first line."""
        start = {"type": "start", "version": TRACE_VERSION, "whole_lists": self._whole}
        facts = {"prompts": dict(prompts), "signature": dict(signature)}
        _write_line(self._stream, {**start, "messages": messages_to_json(messages), **facts})

    def step(self, step: Step, shown: str) -> None:
        """Write the step's record."""
        del shown
        if step.i >= self._written:  # a step that a stop string cuts is shown in two parts
            _write_line(self._stream, step_to_json(step))
            self._written += 1

    def finish(self, completion: Completion) -> None:
        """Write the steps that a stop string cut off, and the last line."""
        for step in completion.steps[self._written :]:
            _write_line(self._stream, step_to_json(step))
        _write_line(self._stream, {"type": "end", **completion_to_json(completion, with_steps=False)})


class Page:
    """A file that is written when the answer is complete."""

    def __init__(
        self, path: Path, render: Callable[[Mapping[str, str], Completion, Sequence[Message]], str]
    ) -> None:
        self._path = path
        self._render = render
        self._prompts: Mapping[str, str] = {}
        self._messages: Sequence[Message] = ()

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """Remember prompts and messages."""
        del signature
        self._prompts, self._messages = prompts, messages

    def step(self, step: Step, shown: str) -> None:
        """Nothing yet."""

    def finish(self, completion: Completion) -> None:
        """Write the file."""
        write_private(self._path, self._render(self._prompts, completion, self._messages))


class Destination:
    """A sink, and whether it can still be written.

    Attributes:
        broken: Whether writing failed.
        failure: Why it failed; None if the reader closed the pipe.
    """

    def __init__(self, name: str | Path | None, sink: Sink) -> None:
        self.broken = False
        self.failure: WriteError | None = None
        self._name = name or ""
        self._sink = sink

    def send(self, event: str, *arguments: object) -> None:
        """Pass an event on, until that fails for the first time."""
        if self.broken:
            return
        try:
            getattr(self._sink, event)(*arguments)
        except BrokenPipeError:
            self.broken = True
        except OSError as error:
            self.broken = True
            self.failure = cannot_write(self._name, error)


class Outputs:
    """All sinks of one answer.

    If one fails (a full disk), the others still get the whole answer; the failure is raised at the end.

    Attributes:
        console: For everything that is not the answer.
    """

    def __init__(
        self, screen: Sink, console: Console, files: Sequence[Destination], trace: Destination | None
    ) -> None:
        self.console = console
        self._stdout = Destination("standard output", screen)
        self._files = files
        self._trace = trace
        self._kept = 0

    @property
    def closed(self) -> bool:
        """Whether stdout can no longer be written; the files still are."""
        return self._stdout.broken

    @classmethod
    @contextmanager
    def open(cls, options: OutputOptions, question: str, consoles: Consoles) -> Iterator[Outputs]:
        """Open every file first, so that a bad path is an error before the models load."""
        consoles.err.quiet = options.quiet
        with _opened(options.trace) as trace:
            files: list[Destination] = []
            for path, render in (
                (options.html, _html),
                (options.svg, lambda _, completion, __: _svg(question, completion)),
            ):
                if path is not None:
                    with _opened(path):
                        files.append(Destination(path, Page(path, render)))
            lines = None if trace is None else Destination(options.trace, JsonLines(trace, whole=True))
            screen = _stdout_sink(options, consoles)
            outputs = cls(screen, consoles.err, files, lines)
            try:
                yield outputs
            finally:
                if isinstance(screen, Screen):  # an error ended the answer: nothing that came may be lost
                    outputs._stdout.send("flush")

    def begin(
        self, prompts: Mapping[str, str], signature: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> None:
        """Begin every sink."""
        self._kept = signature["answer"]["top_logprobs"]
        self._send_to_trace("begin", prompts, signature, messages)
        self._send("begin", prompts, signature, messages)

    def step(self, step: Step, shown: str) -> None:
        """Pass a step to every sink; only the trace gets every candidate."""
        self._send_to_trace("step", step, shown)
        self._send("step", shortened(step, self._kept), shown)

    def steps(self, answer: GrowingAnswer, status: StatusLine) -> None:
        """Pass on every step as it comes; before the first, the line shows how far the prompt is read."""
        status.show_reading(lambda: answer.reading)
        for step, shown in answer.shown():
            status.clear()
            self.step(step, shown)
        status.clear()

    def finish(self, completion: Completion) -> None:
        """Finish every sink.

        Raises:
            WriteError: A sink could not be written; the others are complete.
        """
        self._send_to_trace("finish", completion)
        self._send("finish", with_shortened_steps(completion, self._kept))
        destinations = [self._stdout, *self._files, *([self._trace] if self._trace else [])]
        if failures := [each.failure for each in destinations if each.failure]:
            raise failures[0]

    def _send_to_trace(self, event: str, *arguments: object) -> None:
        if self._trace is not None:
            self._trace.send(event, *arguments)

    def _send(self, event: str, *arguments: object) -> None:
        if not self.closed:
            self._stdout.send(event, *arguments)
            if self.closed:
                close_stdout()
        for file in self._files:
            file.send(event, *arguments)


def _stdout_sink(options: OutputOptions, consoles: Consoles) -> Sink:
    if options.json:
        return JsonObject(sys.stdout)
    if options.jsonl:
        return JsonLines(sys.stdout)
    return Screen(consoles)


def _write_line(stream: TextIO, record: Mapping[str, Any]) -> None:
    print_json(record, stream)


def _html(prompts: Mapping[str, str], completion: Completion, messages: Sequence[Message]) -> str:
    from blendin_local.reports.answer_html import render_html  # noqa: PLC0415 - most answers need no page

    return render_html(prompts, completion, messages)


def _svg(question: str, completion: Completion) -> str:
    from blendin_local.reports.answer_svg import render_svg  # noqa: PLC0415 - nor a picture

    return render_svg(question, completion)


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    """A file opened for writing, None for no path."""
    if path is None:
        yield None
        return
    try:
        stream = open_private(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "check the path") from error
    try:
        yield stream
    finally:
        with suppress(OSError):  # every line was flushed, so a write error has been reported already
            stream.close()


def show_prompts(err: Console, prompts: Mapping[str, str]) -> None:
    """Print the rendered prompt of each model."""
    for role, prompt in prompts.items():
        err.out(f"--- prompt of the {role}:\n{prompt}\n---")
