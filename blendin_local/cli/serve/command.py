"""`blendin serve`: a pair for every client of OpenAI's API.

Here: the command.
Not here: its options (`cli.serve.options`, `cli.common.options`), what it does (`cli.serve.run`), HTTP
(`server`).
"""

from __future__ import annotations

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.verb import add_verb
from blendin_local.cli.serve.options import AccessOptions, LogOptions, ServerOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "serve",
        grouped(serve),
        Example("Serve the demo pair at http://127.0.0.1:8080", "blendin serve --pair demo"),
        Example(
            "Serve two files to this machine and to its containers",
            "blendin serve --base base.gguf --guide guide.gguf --allowed-host host.docker.internal",
        ),
        Example(
            "Serve a whole network, with a key",
            "blendin serve --host 0.0.0.0 --api-key-file key.txt --pair demo",
        ),
        Example(
            "Make one answer at a time, none of which continues an earlier one",
            "blendin serve --pair demo --reproducible",
        ),
    )


def serve(
    *,
    server: ServerOptions,
    access: AccessOptions,
    log: LogOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
) -> None:
    """Serve a pair to clients of OpenAI's API, with a page at / that shows which model chose each word.

    Settings of answers hold for requests that set none themselves.
    """
    from blendin_local.cli.serve.run import run  # noqa: PLC0415 - `--help` must not wait for it

    run(server, access, log, SessionOptions(models, runtime, blend, sampling, answer))
