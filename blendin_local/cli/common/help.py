"""The help of a command, laid out for the width of the terminal.

Here: `help_page`. Names stand in a left column with their text beside it; below 64 columns the text stands
under them. Texts are printed as they are written: nothing in them is markup.
Not here: the texts (beside each option), which command has which (`cli.common.verb`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

MAX_WIDTH = 100  # longer lines are hard to read
NARROW = 64  # columns; below it there is no room for two columns
COLUMN = 30  # where the text begins, beside names that are shorter
TYPES = {"<str>": "TEXT", "<list[str]>": "TEXT", "<path>": "FILE", "<list[path]>": "FILE"} | dict.fromkeys(
    ("<int>", "<float>"), "N"
)


@dataclass(frozen=True)
class Example:
    """A command that works as it stands.

    Attributes:
        about: What it does, in a few words.
        command: What to type.
    """

    about: str
    command: str


def help_page(command: Any, ctx: Any, examples: Sequence[Example], width: int) -> Iterator[Text]:  # noqa: ANN401 - typer's own
    """The lines of a command's help.

    Args:
        command: A typer command or group.
        ctx: Its context.
        examples: Shown at the end.
        width: Columns of the terminal.
    """
    width = min(width, MAX_WIDTH)
    shown = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    yield from _wrapped(usage(command, ctx, arguments), width, style="bold")
    yield Text()
    for paragraph in (command.help or "").split("\n\n"):
        yield from _wrapped(" ".join(paragraph.split()), width)
    yield from _section(
        "Arguments", ((argument_name(each), parameter_text(each)) for each in arguments), width
    )
    for panel, options in _by_panel(param for param in shown if param not in arguments).items():
        yield from _section(
            panel, ((option_names(each, ctx), parameter_text(each)) for each in options), width
        )
    verbs = [(name, verb) for name, verb in getattr(command, "commands", {}).items() if not verb.hidden]
    yield from _section("Commands", ((name, " ".join(verb.help.split())) for name, verb in verbs), width)
    yield from _examples(examples)


def usage(command: Any, ctx: Any, arguments: Iterable[Any]) -> str:  # noqa: ANN401 - typer's own
    """`Usage: blendin run [OPTIONS] [PROMPT]`."""
    words = [
        name if each.required or name.startswith("[") else f"[{name}]"
        for each in arguments
        for name in [argument_name(each)]
    ]
    more = ["COMMAND", "[ARGUMENTS]"] if getattr(command, "commands", None) else []
    return " ".join([f"Usage: {ctx.command_path}", "[OPTIONS]", *words, *more])


def argument_name(argument: Any) -> str:  # noqa: ANN401 - typer's own
    """`PROMPT`, `REF...`."""
    return str(argument.metavar or argument.name.upper())


def option_names(option: Any, ctx: Any) -> str:  # noqa: ANN401 - typer's own
    """`-n, --max-tokens N`: all its names, short ones first, and what its value is."""
    names = sorted([*option.opts, *option.secondary_opts], key=lambda name: name.startswith("--"))
    shown = "" if option.is_flag else option.display_type_rich(ctx) or ""
    return f"{', '.join(names)} {TYPES.get(shown, shown.strip('<>'))}".rstrip()


def parameter_text(param: Any) -> str:  # noqa: ANN401 - typer's own
    """Its help with the default, whether it is required, and the environment variable that sets it."""
    facts = [param.help or ""]
    if isinstance(param.show_default, str):
        facts.append(f"(default {param.show_default})")
    elif param.show_default and param.default not in (None, False, (), []):
        facts.append(f"(default {'on' if param.default is True else param.default})")
    if param.required:
        facts.append("(required)")
    if param.envvar:
        facts.append(f"[env: {param.envvar}]")
    return " ".join(filter(None, facts))


def _by_panel(options: Iterable[Any]) -> dict[str, list[Any]]:
    """Options by heading, those without one under `Options`, which comes first."""
    panels: dict[str, list[Any]] = {"Options": []}
    for each in options:
        panels.setdefault(each.rich_help_panel or "Options", []).append(each)
    return panels


def _section(heading: str, entries: Iterable[tuple[str, str]], width: int) -> Iterator[Text]:
    entries = list(entries)
    if entries:
        yield Text()
        yield Text(heading, style="bold underline")
    for names, text in entries:
        yield from _entry(names, text, width)


def _entry(names: str, text: str, width: int) -> Iterator[Text]:
    column = 6 if width < NARROW else COLUMN
    left = textwrap.wrap(names, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    right = textwrap.wrap(text, width - column, break_on_hyphens=False)
    if width >= NARROW and len(left) == 1 and len(left[0]) <= column - 2:
        first = Text(left[0].ljust(column), style="bold")
        yield first.append(Text("".join(right[:1]), style="not bold"))
        right = right[1:]
    else:
        yield from (Text(line, style="bold") for line in left)
    yield from (Text(" " * column + line) for line in right)


def _examples(examples: Sequence[Example]) -> Iterator[Text]:
    """Commands are not wrapped, so that they can be copied."""
    if examples:
        yield Text()
        yield Text("Examples", style="bold underline")
    for each in examples:
        yield Text(f"  {each.about}:")
        yield Text(f"    {each.command}", style="bold")


def _wrapped(text: str, width: int, style: str = "") -> Iterator[Text]:
    yield from (
        Text(line, style=style)
        for line in textwrap.wrap(text, width, break_on_hyphens=False, subsequent_indent="")
    )
