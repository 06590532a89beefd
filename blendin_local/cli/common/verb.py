"""What every command of `blendin` does alike: help, completion, and errors in the words of this program.

Here: `add_verb`, the classes of a command and of the whole, on typer's.
Not here: the layout of help (`cli.common.help`), what errors say (`cli.common.usage`), options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from typer.core import TyperCommand, TyperGroup

from blendin_local.cli.common.completion import brief
from blendin_local.cli.common.help import Example, help_page
from blendin_local.cli.common.usage import foreign_option, in_our_words, unknown_verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

NO_ARGUMENTS = "NoArgsIsHelpError"  # typer prints the help itself
USAGE = 2  # exit code of a command line that cannot be read


Shown = TypeVar("Shown", bound="Verb | Verbs")


class Verb(TyperCommand):
    """A command with its examples.

    Attributes:
        examples: Commands that work as they stand, for the end of the help.
    """

    examples: Sequence[Example] = ()

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own
        """Write the help."""
        _write_help(self, ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own
        """Read the arguments; options of other tools are errors that say what to type."""
        if not ctx.resilient_parsing:
            foreign = foreign_option(args, self.get_params(ctx), ctx.command_path)
            if foreign is not None:
                raise foreign
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ANN401 - typer's own
        """Names of options, each with a few words."""
        return _with_brief_help(super().shell_complete(ctx, incomplete))


class Verbs(TyperGroup):
    """All commands, or those that one call needs.

    Attributes:
        examples: Commands that work as they stand, for the end of the help.
        build_all: Builds the group of all commands where this one lacks some.
    """

    examples: Sequence[Example] = ()
    build_all: Callable[[], Any] | None = None

    @property
    def every_command(self) -> Mapping[str, Any]:
        """All commands there are."""
        commands: Mapping[str, Any] = self.commands if self.build_all is None else self.build_all().commands
        return commands

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own
        """Write the help."""
        _write_help(self, ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ANN401 - typer's own
        """Names of commands and options, each with a few words."""
        return _with_brief_help(super().shell_complete(ctx, incomplete))

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - typer's own
        """Read the options before the verb."""
        with _our_errors():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own
        """Read the verb and its arguments, and carry it out."""
        with _our_errors():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's own
        """The verb that is named; one that there is not is an error with the near ones."""
        if (
            not ctx.resilient_parsing
            and args
            and not args[0].startswith("-")
            and args[0] not in self.commands
        ):
            raise unknown_verb(args[0], (name for name, verb in self.commands.items() if not verb.hidden))
        return super().resolve_command(ctx, args)


def add_verb(
    app: typer.Typer,
    name: str,
    command: Callable[..., None],
    *examples: Example,
    hidden: bool = False,
) -> None:
    """Add a command to the application.

    Args:
        app: The application.
        name: What is typed for it.
        command: What it does; its docstring is the help.
        examples: Commands that work as they stand, for the end of the help.
        hidden: Whether the list of commands leaves it out.
    """
    app.command(name, cls=with_examples(Verb, *examples), hidden=hidden)(command)


def with_examples(kind: type[Shown], *examples: Example) -> type[Shown]:
    """A class of commands whose help ends with these examples."""
    return cast("type[Shown]", type(kind.__name__, (kind,), {"examples": examples}))


def _write_help(command: Verb | Verbs, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own
    from blendin_local.views.theme import make_console  # noqa: PLC0415 - only help needs it

    console = make_console(sys.stdout)
    with console.capture() as page:
        for line in help_page(command, ctx, command.examples, console.width):
            console.print(line, soft_wrap=True)
    formatter.write(page.get())


def _with_brief_help(items: list[Any]) -> list[Any]:
    """Completion items with short help: typer breaks longer ones into lines, which fish takes for words."""
    for item in items:
        item.help = brief(item.help or "")
    return items


@contextmanager
def _our_errors() -> Iterator[None]:
    """Raise errors of typer about the command line as ours."""
    try:
        yield
    except Exception as error:
        unreadable = getattr(error, "exit_code", None) == USAGE and hasattr(error, "format_message")
        if not unreadable or type(error).__name__ == NO_ARGUMENTS:
            raise
        raise in_our_words(error) from error
