"""`blendin run`: one answer to stdout.

Here: the command, and where a prompt comes from.
Not here: options (`cli.common.options`), how an answer looks (`views.answer`), what is written to files
(`cli.run.outputs`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    SHOWN_CANDIDATES,
    AnswerOptions,
    BlendOptions,
    HistoryOptions,
    ModelOptions,
    OutputOptions,
    RemoteOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.cli.common.values import read_text, without_surrogates
from blendin_local.cli.common.verb import add_verb
from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8

if TYPE_CHECKING:
    from rich.console import Console

    from blendin_local.cli.common.interrupt import Interrupt
    from blendin_local.cli.common.status import StatusLine
    from blendin_local.views.theme import Consoles

STDIN = "-"
NEEDED_AT_END = (
    "blendin_local.views.answer_printer",
    "blendin_local.cli.run.log",
    "sqlite3",
)  # imported while the weights are read


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "run",
        grouped(run),
        Example("Ask a question of the demo pair", 'blendin run "Why is the sky blue?" --pair demo'),
        Example(
            "Pair two files, and keep a page that shows who chose each word",
            'blendin run "Plan a week in Rome" --base base.gguf --guide guide.gguf --html answer.html',
        ),
        Example(
            "Put a question before piped text", 'git diff | blendin run "Explain this change:" --pair demo'
        ),
        Example(
            "Ask a running blendin serve, which answers at once",
            'blendin run "Why is the sky blue?" --server http://127.0.0.1:8080',
        ),
        Example(
            "Ask the guide more often, and sample",
            'blendin run "Tell me a story" --threshold 0.6 --temp 0.8 --seed 7',
        ),
    )


def run(
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="The question. Piped text is put before it; - stands for the piped text alone.",
        ),
    ] = None,
    *,
    question: Annotated[
        str | None, typer.Option("--prompt", "-p", metavar="TEXT", help="The question, as an option.")
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Put the text of this file before the question; can be repeated.",
        ),
    ] = None,
    remote: RemoteOptions,
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
    from blendin_local.cli.common.interrupt import stop_on_interrupt  # noqa: PLC0415 - `--help` must not wait
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415
    from blendin_local.cli.common.status import starting  # noqa: PLC0415

    if prompt is not None and question is not None:
        raise UsageError("the question is given twice", f"leave out --prompt, or {prompt!r:.40}")
    text = read_prompt(question if prompt is None else prompt, file or ())
    if not text.strip() and not (models.base_prompt_file or models.guide_prompt_file):
        raise UsageError("the prompt is empty", 'give a question: blendin run "Why is the sky blue?"')
    if output.html is not None:
        answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    consoles = open_consoles(terminal, models.models_file)
    consoles.err.quiet = output.quiet
    with starting(consoles.err) as status, stop_on_interrupt() as interrupt:
        from blendin_local.cli.common.history import keeps_history  # noqa: PLC0415
        from blendin_local.cli.run.remote import answered_remotely  # noqa: PLC0415

        keeps = keeps_history(history, models.models_file)
        if answered_remotely(
            remote, text, options, output, consoles, keeps=keeps, status=status, interrupt=interrupt
        ):
            return
        answer_question(text, options, output, consoles, keeps=keeps, status=status, interrupt=interrupt)


def answer_question(
    text: str,
    options: SessionOptions,
    output: OutputOptions,
    consoles: Consoles,
    *,
    keeps: bool,
    status: StatusLine,
    interrupt: Interrupt,
) -> None:
    """Open the pair and answer; the status line goes when the first word comes.

    Raises:
        KeyboardInterrupt: The user stopped it; what was answered has been written.
    """
    from blendin_local.cli.common.session import open_session  # noqa: PLC0415 - these import numpy and llama.cpp
    from blendin_local.cli.run.outputs import Outputs, show_prompts  # noqa: PLC0415

    with Outputs.open(output, text, consoles) as outputs:
        if output.verbose:
            show_log(outputs.console)
        with open_session(
            options, status, lambda: interrupt.requested, needed_later=NEEDED_AT_END
        ) as session:
            session = session.keeping_evidence() if output.trace else session  # noqa: PLW2901
            if output.verbose:
                show_prompts(outputs.console, session.prompts(text, lambda: interrupt.requested))
            stream = session.ask(text, lambda: interrupt.requested or outputs.closed)
            outputs.begin(session.prompts(text), stream.signature, session.messages(text))
            outputs.steps(stream, status)
            if keeps:
                from blendin_local.cli.run.log import keep_answer  # noqa: PLC0415 - imported by now

                keep_answer(text, stream.completion, options, session, outputs.console)
            outputs.finish(stream.completion)
        if interrupt.requested:
            raise KeyboardInterrupt


def show_log(err: Console) -> None:
    """Print llama.cpp's own log to stderr."""
    from blendin_local.engine.library import library  # noqa: PLC0415

    library().listen(lambda line: err.out(line, end=""))


def read_prompt(argument: str | None, files: Sequence[Path]) -> str:
    """Piped input, then the files, then the argument, separated by blank lines.

    Raises:
        UsageError: Something is not UTF-8 or cannot be read.
    """
    from_stdin = argument == STDIN or (sys.stdin is not None and not sys.stdin.isatty())
    parts = [
        decode_utf8(sys.stdin.buffer.read(), "standard input") if from_stdin else None,
        *(read_text(file) for file in files),
        None if argument in {None, STDIN} else without_surrogates(argument, "the question"),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part and part.strip())
