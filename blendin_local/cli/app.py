"""The command `blendin`: its verbs, and the one border where errors become a line and an exit code.

Here: the typer application and `main`.
Not here: the verbs (`cli.*.command`). Their modules declare options only, and import what does the work when
the verb runs, so that `blendin --help` needs no numpy and no llama.cpp.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from blendin_local._version import __version__
from blendin_local.cli.common import shells
from blendin_local.cli.common.failures import as_error, cannot_write
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.printing import print_data, print_error, print_json
from blendin_local.cli.common.verb import Verbs, with_examples
from blendin_local.errors import BlendinError
from blendin_local.views.streams import STDOUT, close_stdout, forgive_encodings, open_missing

INTERRUPTED = 130
NEW_OBJECTS = 50_000  # before Python looks for unused cycles: importing makes many objects and hardly a cycle
EXAMPLES = (
    Example(
        "Ask the demo pair, downloading it first (351 MB)", 'blendin run "Why is the sky blue?" --pair demo'
    ),
    Example("Talk to two models of your own", "blendin chat --base base.gguf --guide guide.gguf"),
    Example("Find out whether a pair is worth using", "blendin check --pair demo"),
    Example("See the options of a command, with examples", "blendin run --help"),
)
COMMANDS: Mapping[str, Sequence[str]] = {
    "run": ("run",),
    "chat": ("chat",),
    "serve": ("serve",),
    "batch": ("batch",),
    "check": ("check", "diagnose"),
    "tune": ("tune",),
    "steer": ("steer",),
    "logs": ("logs",),
    "replay": ("replay",),
    "eval": ("eval",),
    "bench": ("bench",),
    "manage": ("pull", "ls", "show", "rm", "doctor"),
}
"""The packages of commands and their verbs, in the order of `blendin --help`."""


def _show_version(requested: bool) -> None:
    if requested:
        print_data(f"blendin {__version__}")
        raise typer.Exit


def build_app(verb: str = "") -> typer.Typer:
    """The application with all its verbs, or with those of one package, which takes half the time.

    Args:
        verb: One that is called; all are built where there is no such verb.
    """
    needed = [package for package, verbs in COMMANDS.items() if verb in verbs]
    kind = with_examples(Verbs, *EXAMPLES)
    if needed:
        kind.build_all = staticmethod(lambda: typer.main.get_command(build_app()))
    app = typer.Typer(
        name="blendin",
        cls=kind,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def _blendin(
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
            ),
        ] = False,
    ) -> None:
        """Steer a large base model with a small aligned guide model, on your own machine."""
        del version

    for package in needed or COMMANDS:
        importlib.import_module(f"blendin_local.cli.{package}.command").register(app)
    return app


def main() -> None:
    """Run the command line; every error ends here as one line and an exit code."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
    open_missing()
    forgive_encodings()
    if shells.ASKED in os.environ:
        sys.exit(shells.complete(_run_app, os.environ))
    try:
        code = _run_app()
    except KeyboardInterrupt as stop:
        _print_stop(stop)
        code = INTERRUPTED
    except BrokenPipeError:
        close_stdout()
        code = 0
    except Exception as error:
        if os.environ.get("BLENDIN_DEBUG") and not isinstance(error, BlendinError):
            raise
        code = _report(_as_blendin_error(error))
    gc.freeze()  # the system takes back what is left: Python would look through all of it for unused cycles
    sys.exit(code)


def _print_stop(error: BaseException | None) -> None:
    """Print what was interrupted, if an error in the chain names it; typer turns Ctrl-C into an exit."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    if error is not None and str(error):
        print_error(str(error))


def _run_app() -> int | str | None:
    """Run the command and return its exit status; stdout is flushed."""
    try:
        build_app("" if shells.ASKED in os.environ else "".join(sys.argv[1:2]))(prog_name="blendin")
    except SystemExit as stop:
        _print_stop(stop)
        sys.stdout.flush()
        return stop.code
    return 0


def _as_blendin_error(error: Exception) -> BlendinError:
    """The error with its next step; a failed write without a file name was one to stdout."""
    try:
        sys.stdout.flush()
    except OSError:
        close_stdout()
        if isinstance(error, OSError) and error.filename is None:
            return cannot_write(STDOUT, error)
    return as_error(error)


def _report(error: BlendinError) -> int:
    print_error(error.message, error.hint)
    if {"--json", "--jsonl"} & set(sys.argv):
        with suppress(OSError):
            print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    return error.exit_code
