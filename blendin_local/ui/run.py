"""`blendin run`: one answer to stdout.

Here: the command, and where a prompt comes from.
Not here: options (`ui.options`), how an answer looks (`ui.views`), what is written to files (`ui.outputs`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.errors import UsageError
from blendin_local.ui.grouped import grouped
from blendin_local.ui.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    OutputOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    decode,
    read_text,
)

STDIN = "-"


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("run")(grouped(run))


def run(
    prompt: Annotated[str | None, typer.Argument(help="The question; - or a pipe reads stdin.")] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the question from a file.")] = None,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Answer one question."""
    from blendin_local.ui.interrupt import stop_on_interrupt  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.ui.outputs import Outputs  # noqa: PLC0415
    from blendin_local.ui.session import open_session  # noqa: PLC0415

    text = read_prompt(prompt, file)
    if not text.strip() and not (models.base_prompt_file or models.guide_prompt_file):
        raise UsageError("the prompt is empty", 'give a question: blendin run "Why is the sky blue?"')
    options = SessionOptions(models, runtime, blend, sampling, answer)
    with stop_on_interrupt() as interrupt, Outputs.open(output, text) as outputs:
        with open_session(options, outputs.console, lambda: interrupt.requested) as session:
            stream = session.ask(text, lambda: interrupt.requested or outputs.closed)
            outputs.begin(session.prompts(text), stream.signature)
            for step, shown in stream.shown():
                outputs.step(step, shown)
            outputs.finish(stream.completion)
        if interrupt.requested:
            raise KeyboardInterrupt


def read_prompt(argument: str | None, file: Path | None) -> str:
    """Piped input, then the file, then the argument, parted by blank lines.

    Raises:
        UsageError: Something is not UTF-8 or cannot be read.
    """
    piped = sys.stdin is not None and not sys.stdin.isatty()
    wanted = argument == STDIN or (piped and argument is None and file is None) or piped
    parts = [
        decode(sys.stdin.buffer.read(), "standard input") if wanted else None,
        read_text(file),
        None if argument == STDIN else argument,
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part and part.strip())
