"""The command `blendin`: its verbs, and the one border where errors become a line and an exit code.

Here: the typer application and `main`.
Not here: what the verbs do (`cli.run.command`, `cli.chat.command`, `cli.manage.command`); heavy imports wait
until a verb needs them.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from blendin_local._version import __version__
from blendin_local.cli.batch import command as batch
from blendin_local.cli.bench import command as bench
from blendin_local.cli.chat import command as talk
from blendin_local.cli.check import command as check
from blendin_local.cli.common.failures import as_error, cannot_write
from blendin_local.cli.common.printing import print_data, print_error, print_json
from blendin_local.cli.eval import command as evaluate
from blendin_local.cli.manage import command as manage
from blendin_local.cli.replay import command as replay
from blendin_local.cli.run import command as run
from blendin_local.cli.tune import command as tune
from blendin_local.errors import BlendinError
from blendin_local.views.streams import STDOUT, close_stdout, forgive_encodings, open_missing

INTERRUPTED = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        print_data(f"blendin {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """The application with all its verbs."""
    app = typer.Typer(
        name="blendin",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def _blendin(
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """A small aligned guide model steers a larger base model, on your own machine."""
        del version

    for verb in (run, talk, batch, check, tune, replay, evaluate, bench, manage):
        verb.register(app)
    return app


def main() -> None:
    """Run the command line; every failure a user can meet ends as one line here."""
    open_missing()
    forgive_encodings()
    try:
        code = _carry_out()
    except KeyboardInterrupt as stop:
        _tell_stop(stop)
        code = INTERRUPTED
    except BrokenPipeError:
        close_stdout()
        code = 0
    except Exception as error:
        if os.environ.get("BLENDIN_DEBUG") and not isinstance(error, BlendinError):
            raise
        code = _report(_named(error))
    sys.exit(code)


def _tell_stop(error: BaseException | None) -> None:
    """What the user stopped, where nothing on the screen says so; typer turns Ctrl-C into an exit code."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    if error is not None and str(error):
        print_error(str(error))


def _carry_out() -> int | str | None:
    """The exit status that the command asks for; what it wrote is out when this returns."""
    try:
        build_app()(prog_name="blendin")
    except SystemExit as leaving:
        _tell_stop(leaving)
        sys.stdout.flush()
        return leaving.code
    return 0


def _named(error: Exception) -> BlendinError:
    """The error with its next step; a write that failed on no file that has a name failed on stdout."""
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
