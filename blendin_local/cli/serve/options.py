"""The options of `blendin serve` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.serve.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_server = partial(typer.Option, rich_help_panel="Server")
_access = partial(typer.Option, rich_help_panel="Access")
_output = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class ServerOptions:
    """Where it listens, and how much it does at once."""

    host: Annotated[
        str,
        _server("--host", metavar="ADDRESS", help="Address to listen on; one that others reach needs a key."),
    ] = "127.0.0.1"
    port: Annotated[
        int, _server("--port", min=0, max=65535, metavar="N", help="Port to listen on; 0 takes a free one.")
    ] = 8080
    parallel: Annotated[
        int | None,
        _server(
            "--parallel",
            "-np",
            metavar="N",
            min=1,
            show_default="by memory and cores",
            help="Answers to make at once.",
        ),
    ] = None
    max_waiting: Annotated[
        int,
        _server(
            "--max-waiting",
            metavar="N",
            min=0,
            help="Requests that may wait; more are refused with status 503.",
        ),
    ] = 64
    grace: Annotated[
        float,
        _server(
            "--grace",
            metavar="SECONDS",
            min=0,
            max=3600,
            help="How long running answers may go on when the server is stopped.",
        ),
    ] = 5.0


@dataclass(frozen=True)
class AccessOptions:
    """Who may send requests."""

    api_key_file: Annotated[
        Path | None,
        _access(
            "--api-key-file",
            help="Read the key that requests must bring from this file; BLENDIN_API_KEY may hold it instead.",
        ),
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        _access(
            "--allowed-host",
            metavar="NAME",
            help="Also answer to this name, such as host.docker.internal; can be repeated.",
        ),
    ] = None
    allowed_origin: Annotated[
        list[str] | None,
        _access(
            "--allowed-origin",
            metavar="ORIGIN",
            help="Let pages of this origin in, such as http://localhost:3000; can be repeated.",
        ),
    ] = None


@dataclass(frozen=True)
class LogOptions:
    """What is written to stderr."""

    log_prompts: Annotated[
        bool, _output("--log-prompts", help="Print the last message of every request; by default none is.")
    ] = False
    verbose: Annotated[bool, _output("--verbose", "-v", help="Print a line for every request.")] = False
    quiet: Annotated[bool, _output("--quiet", "-q", help="Print errors only.")] = False
