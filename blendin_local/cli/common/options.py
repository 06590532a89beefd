"""The options that commands share, and what they mean as settings.

Here: groups of options as dataclasses. Those of settings are made from the table of settings, which gives the
type, flags, help, default and environment variable of each.
Not here: defaults (`settings`), values of a pair in models.toml (`pair.resolve`).
An option left out is None, so that the pair's own value, then the default, can step in.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

import typer

from blendin_local.cli.common import completion
from blendin_local.cli.common.grouped import NO_OPTION
from blendin_local.cli.common.values import read_text, without_surrogates
from blendin_local.core.roles import GUIDES
from blendin_local.errors import UsageError
from blendin_local.grammar.source import written_text
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    HistorySettings,
    ModelSettings,
    SamplingSettings,
    Setting,
    TerminalSettings,
    settings_on,
)

_models = partial(typer.Option, rich_help_panel="Models")
_model = partial(_models, metavar="REF", autocompletion=completion.models)
_answer = partial(typer.Option, rich_help_panel="Answer")
_output = partial(typer.Option, rich_help_panel="Output")
_server = partial(typer.Option, rich_help_panel="Server")
SHOWN_CANDIDATES = 10  # of each distribution, where a person looks at single steps
ROLES = ("base", "guide")  # which have options of their own for some settings of models

GUIDE_VARIABLE = "BLENDIN_GUIDE"
ColorChoice = Literal["auto", "on", "off"]
Group = TypeVar("Group", bound="SettingOptions")


class SettingOptions:
    """A group with an option for every setting of a class; see `options_of`.

    Attributes:
        table: The settings class.
    """

    table: ClassVar[type]

    if TYPE_CHECKING:  # the options are made from the table, so type checkers cannot see them

        def __init__(self, **options: Any) -> None: ...  # noqa: ANN401

        def __getattr__(self, option: str) -> Any: ...  # noqa: ANN401

    def settings(self) -> dict[str, Any]:
        """The fields of the settings class that were given.

        Raises:
            UsageError: A value is not of the setting's kind.
        """
        return self._fields(settings_on("cli", self.table).values())

    def having(self, **options: Any) -> Self:  # noqa: ANN401 - a value per option
        """The same with these values."""
        return type(self)(
            **{each.name: getattr(self, each.name) for each in fields(cast("Any", self))} | options
        )

    def with_default(self, **options: Any) -> Self:  # noqa: ANN401 - a value per option
        """The same with these values for options that were not given."""
        return self.having(**{name: value for name, value in options.items() if getattr(self, name) is None})

    def only(self, names: Collection[str]) -> Self:
        """The same with only the options of these names, the others as if they were not given."""
        group: Any = self
        return self.having(**{each.name: None for each in fields(group) if each.name not in names})

    def _fields(self, settings: Iterable[Setting], role: str = "") -> dict[str, Any]:
        given: dict[str, Any] = {}
        for each in settings:
            flag = each.flags[0]
            value = getattr(self, option_name(each, role))
            if value not in (None, []):
                given[each.field] = _value(each, value, f"--{role}-{flag[2:]}" if role else flag)
        return given


def option_name(setting: Setting, role: str = "") -> str:
    """The Python name of a setting's option: `n_gpu_layers`, `guide_n_gpu_layers`."""
    name = setting.name.replace("-", "_")
    return f"{role}_{name}" if role else name


def _value(setting: Setting, value: Any, flag: str) -> Any:  # noqa: ANN401 - a value per option
    if setting.kind == "numbers":
        return setting.parse(" ".join(map(str, value)), flag)
    if setting.kind == "texts":
        return tuple(without_surrogates(text, flag) for text in value)
    if setting.kind == "text":
        typed = setting.parse(without_surrogates(value, flag), flag)
        return typed and written_text(setting, typed, flag)
    return setting.parse(value, flag) if isinstance(value, str) else value


def options_of(table: type, panel: str) -> Callable[[type[Group]], type[Group]]:
    """Give a group an option for every setting of a class.

    Args:
        table: The settings class.
        panel: The heading under which help shows them.
    """

    def fill(group: type[Group]) -> type[Group]:
        declared = inspect.get_annotations(group)
        made: dict[str, Any] = {}
        for each in settings_on("cli", table).values():
            made[option_name(each)] = _option(each, each.flags, panel, each.help_text, each.env)
        for each in settings_on("cli", table).values():
            for role in ROLES if each.role_flags else ():
                flags = tuple(f"--{role}-{flag.lstrip('-')}" for flag in each.flags if len(flag) > 2)
                about = f"{each.flags[0]} of the {role} alone. (default as {each.flags[0]})"
                made[option_name(each, role)] = _option(each, flags, panel, about)
        for name in made:
            setattr(group, name, None)
        group.__annotations__ = made | declared
        group.table = table
        return dataclass(frozen=True)(group)

    return fill


def _option(setting: Setting, flags: tuple[str, ...], panel: str, help_text: str, env: str = "") -> Any:  # noqa: ANN401 - an annotation
    kinds: dict[str, Any] = {"number": float, "count": int, "switch": bool}
    kind = str if setting.words else kinds.get(setting.kind, str)
    kind = list[str] if setting.kind in {"texts", "numbers"} else kind
    if setting.kind == "switch":
        flags = (f"{flags[0]}/--no-{flags[0][2:]}", *flags[1:])
    option = typer.Option(
        *flags,
        envvar=env or None,
        help=help_text,
        rich_help_panel=panel,
        metavar=None if kind is bool else _metavar(setting),
        autocompletion=None if kind is bool else completion.words_of(setting),
    )
    return Annotated[kind | None, option]


def _metavar(setting: Setting) -> str:
    """What help shows in the place of a value: `N|auto`, `bytes|prefix`, `TEXT`."""
    kinds = {"number": "N", "count": "N", "numbers": "N", "texts": "TEXT", "name": "NAME"}
    words = setting.choices or (() if setting.kind == "texts" else setting.shown_words)
    kind = setting.text.metavar if setting.text else setting.metavar or kinds.get(setting.kind, "")
    return "|".join([*([] if setting.choices else [kind]), *words])


@dataclass(frozen=True)
class ModelOptions:
    """Which models, and how they are prompted. A field named as one of `PairSpec` becomes that field."""

    base: Annotated[
        str | None,
        _model("--base", envvar="BLENDIN_BASE", help="Base model: a file, a name or user/repo[:QUANT]."),
    ] = None
    guide: Annotated[
        list[str] | None,
        _model(
            "--guide",
            envvar=GUIDE_VARIABLE,
            help="Guide model: a file, a name or user/repo[:QUANT]. Given several times, at most "
            f"{len(GUIDES)}, these guides speak as one.",
        ),
    ] = None
    """As typer reads it a list; then the first of them, and the others are in the next two fields."""
    guide2: Annotated[str | None, NO_OPTION] = None
    guide3: Annotated[str | None, NO_OPTION] = None
    untuned: Annotated[
        str | None,
        _model(
            "--untuned", "--anti", help="For proxy, gated-proxy and --search: the guide before it was tuned."
        ),
    ] = None
    pair: Annotated[
        str | None,
        _models(
            "--pair",
            envvar="BLENDIN_PAIR",
            metavar="NAME",
            autocompletion=completion.pairs,
            help="A pair of models.toml, such as demo.",
        ),
    ] = None
    models_file: Annotated[
        Path | None, _models("--models", metavar="FILE", help="Read this models.toml before the others.")
    ] = None
    pull: Annotated[bool, _models("--pull", help="Download missing models without asking.")] = False
    offline: Annotated[bool, _models("--offline", help="Never use the network.")] = False
    base_template: Annotated[
        str | None,
        _models(
            metavar="NAME",
            autocompletion=completion.templates,
            show_default="that of the base in models.toml, else qa",
            help="Plain-text template for the base's prompt, by its name in models.toml; chat is the chat "
            "template in the base's own file.",
        ),
    ] = None
    base_prompt_file: Annotated[
        Path | None, _models(help="Use the text of this file as the base's prompt, without a template.")
    ] = None
    guide_prompt_file: Annotated[
        Path | None, _models(help="Use the text of this file as the guide's prompt, without a template.")
    ] = None
    guide_chat_template_file: Annotated[
        Path | None, _models(help="Use this Jinja chat template instead of the one in the guide's file.")
    ] = None
    thinking: Annotated[
        bool | None,
        _models(
            "--think/--no-think", show_default="off", help="Let a reasoning guide think before it answers."
        ),
    ] = None
    date: Annotated[
        str | None,
        _models(
            "--date", metavar="YYYY-MM-DD", show_default="today", help="The date that chat templates see."
        ),
    ] = None

    def __post_init__(self) -> None:
        if not isinstance(self.guide, list):
            return
        variable = os.environ.get(GUIDE_VARIABLE, "")  # one reference, which typer cuts at its spaces
        guides = [variable] if self.guide and self.guide == variable.split() else self.guide
        if len(guides) > len(GUIDES):
            raise UsageError(f"{len(guides)} guides are named", f"name at most {len(GUIDES)}")
        for name, reference in zip_longest(GUIDES, guides):
            object.__setattr__(self, name, reference)


@options_of(ModelSettings, "Runtime")
class RuntimeOptions(SettingOptions):
    """How llama.cpp runs the models; `--base-...` and `--guide-...` win over the option for both."""

    def settings_for(self, role: str) -> dict[str, Any]:
        """The fields of `ModelSettings` that were given for a role."""
        every = settings_on("cli", self.table).values()
        return self._fields(every) | self._fields((each for each in every if each.role_flags), role)


@options_of(BlendSettings, "Blend")
class BlendOptions(SettingOptions):
    """How two distributions become one choice."""


@options_of(SamplingSettings, "Sampling")
class SamplingOptions(SettingOptions):
    """How one candidate is picked."""


@options_of(AnswerSettings, "Answer")
class AnswerOptions(SettingOptions):
    """When an answer ends, and the system text."""

    system: Annotated[
        str | None, _answer("--system", "--system-prompt", "-sys", help="Instructions for both models.")
    ] = None
    system_file: Annotated[
        Path | None,
        _answer("--system-file", "--system-prompt-file", "-sysf", help="Read the instructions from a file."),
    ] = None

    def system_text(self) -> str | None:
        """The system text, from the option or its file; None if neither was given."""
        if self.system is not None:
            return without_surrogates(self.system, "--system")
        return read_text(self.system_file)


@options_of(TerminalSettings, "Screen")
class TerminalOptions(SettingOptions):
    """How a person's terminal shows an answer."""

    color: Annotated[
        ColorChoice,
        typer.Option(
            "--color",
            rich_help_panel="Screen",
            help="Use colour: auto is on a terminal only, on is in a pipe too.",
        ),
    ] = "auto"


@dataclass(frozen=True)
class OutputOptions:
    """What is shown and what is written."""

    json: Annotated[bool, _output("--json", help="Print one JSON object instead of text.")] = False
    jsonl: Annotated[bool, _output("--jsonl", help="Print one JSON line per step instead of text.")] = False
    trace: Annotated[
        Path | None, _output("--trace", help="Write a record of every step to this file (JSON Lines).")
    ] = None
    html: Annotated[
        Path | None,
        _output("--html", help="Write the marked answer with its candidates to this HTML file."),
    ] = None
    svg: Annotated[
        Path | None,
        _output("--svg", help="Write a picture of the marked answer to this SVG file."),
    ] = None
    quiet: Annotated[bool, _output("--quiet", "-q", help="Print nothing but the answer.")] = False
    verbose: Annotated[
        bool, _output("--verbose", "-v", help="Also print llama.cpp's log and both prompts.")
    ] = False

    def __post_init__(self) -> None:
        if self.json and self.jsonl:
            raise UsageError(
                "--json and --jsonl exclude each other", "--json for the whole answer, --jsonl for its steps"
            )


@dataclass(frozen=True)
class RemoteOptions:
    """Whether a running server answers."""

    server: Annotated[
        str | None,
        _server(
            "--server",
            metavar="URL",
            envvar="BLENDIN_SERVER",
            show_default="one of this machine with the same pair, if it runs",
            help="Let a running blendin serve answer. Settings that are not given are the server's.",
        ),
    ] = None
    no_server: Annotated[
        bool,
        _server(
            "--no-server",
            help="Load the models here. BLENDIN_NO_SERVER=1 looks for no server, but uses one that is named.",
        ),
    ] = False


@options_of(HistorySettings, "Output")
class HistoryOptions(SettingOptions):
    """What is kept in the history."""


@dataclass(frozen=True)
class SessionOptions:
    """Everything a session is opened with."""

    models: ModelOptions
    runtime: RuntimeOptions
    blend: BlendOptions
    sampling: SamplingOptions
    answer: AnswerOptions
