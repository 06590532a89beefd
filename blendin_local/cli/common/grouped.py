"""Command options declared once, in dataclasses, and shared by commands.

Here: `grouped`, which lets a typer command take whole groups of options as one argument each.
Not here: the options themselves (`cli.common.options`).
Source: typer reads a command's `__signature__` and annotations; each field of a group becomes one option.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

NO_OPTION = "a field that no option sets"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Spread parameters annotated with a dataclass into one parameter per field.

    Field types are `Annotated[..., typer.Option(...)]`, field defaults are the options' defaults. The command
    receives the built dataclasses.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if inspect.isclass(hint) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _parameters_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def spread(**values: Any) -> None:  # noqa: ANN401 - options of any type
        built = {
            name: group(**{each: values.pop(each) for each in _options(group)})
            for name, group in groups.items()
        }
        command(**values, **built)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del spread.__wrapped__  # else the signature of `command` is seen
    return spread


def _parameters_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    defaults = {field.name: field.default for field in fields(group)}
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hints[name]
        )
        for name in _options(group)
    ]


def _options(group: type) -> list[str]:
    """The fields of a group that options set: those without `NO_OPTION`."""
    hints = get_type_hints(group, include_extras=True)
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return [field.name for field in fields(group) if NO_OPTION not in marks[field.name]]
