"""`blendin run`: one answer to stdout.

Here: the command, and where a prompt comes from.
Not here: options (`cli.common.options`), how an answer looks (`views.answer`), what is written to files
(`cli.run.outputs`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import (
    SHOWN_CANDIDATES,
    AnswerOptions,
    BlendOptions,
    HistoryOptions,
    ModelOptions,
    OutputOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.cli.common.values import read_text, without_surrogates
from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8

if TYPE_CHECKING:
    from rich.console import Console

STDIN = "-"


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("run")(grouped(run))


def run(
    prompt: Annotated[
        str | None, typer.Argument(help="The question; - reads it from stdin, and so does a pipe.")
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the question from a file.")] = None,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    output: OutputOptions,
    terminal: TerminalOptions,
    history: HistoryOptions,
) -> None:
    """Answer one question."""
    from blendin_local.cli.common.history import keeps_history  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.common.interrupt import stop_on_interrupt  # noqa: PLC0415
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415
    from blendin_local.cli.common.session import open_session  # noqa: PLC0415
    from blendin_local.cli.run.log import keep_answer  # noqa: PLC0415
    from blendin_local.cli.run.outputs import Outputs  # noqa: PLC0415

    text = read_prompt(prompt, file)
    if not text.strip() and not (models.base_prompt_file or models.guide_prompt_file):
        raise UsageError("the prompt is empty", 'give a question: blendin run "Why is the sky blue?"')
    if output.html is not None:
        answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    consoles = open_consoles(terminal, models.models_file)
    keeps = keeps_history(history, models.models_file)
    with stop_on_interrupt() as interrupt, Outputs.open(output, text, consoles) as outputs:
        if output.verbose:
            show_log(outputs.console)
        with open_session(options, outputs.console, lambda: interrupt.requested) as session:
            session = session.keeping_evidence() if output.trace else session  # noqa: PLW2901
            if output.verbose:
                show_prompts(outputs.console, session.prompts(text, lambda: interrupt.requested))
            stream = session.ask(text, lambda: interrupt.requested or outputs.closed)
            outputs.begin(session.prompts(text), stream.signature)
            for step, shown in stream.shown():
                outputs.step(step, shown)
            if keeps:
                keep_answer(text, stream.completion, options, session, outputs.console)
            outputs.finish(stream.completion)
        if interrupt.requested:
            raise KeyboardInterrupt


def show_log(err: Console) -> None:
    """Print llama.cpp's own log to stderr."""
    from blendin_local.engine.library import library  # noqa: PLC0415

    library().listen(lambda line: err.out(line, end=""))


def show_prompts(err: Console, prompts: Mapping[str, str]) -> None:
    """Print the rendered prompt of each model."""
    for role, prompt in prompts.items():
        err.out(f"--- prompt of the {role}:\n{prompt}\n---")


def read_prompt(argument: str | None, file: Path | None) -> str:
    """Piped input, then the file, then the argument, separated by blank lines.

    Raises:
        UsageError: Something is not UTF-8 or cannot be read.
    """
    from_stdin = argument == STDIN or (sys.stdin is not None and not sys.stdin.isatty())
    parts = [
        decode_utf8(sys.stdin.buffer.read(), "standard input") if from_stdin else None,
        read_text(file),
        None if argument in {None, STDIN} else without_surrogates(argument, "the question"),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part and part.strip())
