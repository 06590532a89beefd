"""The command `blendin`: its verbs, and the one border where errors become a line and an exit code.

Here: the typer application and `main`.
Not here: what the verbs do (`ui.run`, `ui.talk`, `ui.manage`); heavy imports wait until a verb needs them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from blendin_local._version import __version__
from blendin_local.errors import BlendinError
from blendin_local.ui import batch, bench, check, manage, replay, run, talk, tune
from blendin_local.ui import eval as evaluate
from blendin_local.ui.streams import close_stdout, open_missing

INTERRUPTED = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"blendin {__version__}")
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
    try:
        build_app()(prog_name="blendin")
    except BlendinError as error:
        _report(error.message, error.hint, error.code)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        _tell_stop(leaving)
        raise
    except KeyboardInterrupt as stop:
        _tell_stop(stop)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        close_stdout()
    except Exception as error:
        if os.environ.get("BLENDIN_DEBUG"):
            raise
        _report(
            f"this is a bug: {type(error).__name__}: {error}",
            "set BLENDIN_DEBUG=1 to see where, and please report it",
            "bug",
        )
        sys.exit(1)


def _tell_stop(error: BaseException | None) -> None:
    """What the user stopped, where nothing on the screen says so; typer turns Ctrl-C into an exit code."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    if error is not None and str(error):
        sys.stderr.write(f"blendin: {error}\n")


def _report(message: str, hint: str, code: str) -> None:
    sys.stderr.write(f"blendin: {message}\n" + (f"  {hint}\n" if hint else ""))
    if {"--json", "--jsonl"} & set(sys.argv):
        sys.stdout.write(json.dumps({"error": {"code": code, "message": message, "hint": hint}}) + "\n")
