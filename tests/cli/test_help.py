"""The help of every command: complete, readable at every width, with examples that work."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest
import typer
from typer.testing import CliRunner

from blendin_local.cli.app import EXAMPLES, build_app
from blendin_local.cli.common.help import MAX_WIDTH
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.models.registry import load_registry

APP = build_app()
VERBS = typer.main.get_command(APP).commands
WIDTHS = (40, 80, 200)


@cache
def help_of(verb, width=80):
    arguments = [verb, "--help"] if verb else ["--help"]
    result = CliRunner().invoke(APP, arguments, env={"COLUMNS": str(width)}, prog_name="blendin")
    assert result.exit_code == 0, result.output
    return result.output


def words(text):
    return " ".join(text.split())


def options():
    return [
        pytest.param(verb, param, id=f"{verb}-{param.name}")
        for verb, command in VERBS.items()
        for param in command.params
        if not getattr(param, "hidden", False)
    ]


@pytest.mark.parametrize(("verb", "param"), options())
def test_every_option_has_help_that_is_shown_whole(verb, param):
    """A sentence of its own for every option and argument; rendering loses none of it, brackets included."""
    assert param.help
    assert words(param.help) in words(help_of(verb))


@pytest.mark.parametrize(("verb", "param"), options())
def test_every_default_is_shown(verb, param):
    """In one form everywhere: `default` and the value, in parentheses at the end of the text."""
    named = re.compile(rf".*{re.escape(param.opts[0])}\b")
    entry = next(filter(named.match, _entries(help_of(verb, 300))), "")
    value = param.default
    if (
        param.param_type_name == "option"
        and param.opts[0].startswith("--")
        and value not in (None, False, "")
    ):
        assert f"(default {'on' if value is True else value})" in entry
    assert not re.search(r"[Dd]efault:|\[default", entry)
    for facts in re.findall(r"\(([^()]*default [^()]*)\)", entry):
        assert re.search(r"(^|; )default \S", facts)


def _entries(page):
    """The entries of a page that is so wide that each begins a line."""
    return [words(entry) for entry in re.split(r"\n  (?=\S)", page)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_keeps_within_the_terminal(verb, width):
    """No line is wider than the terminal or than is easy to read, but for examples, which can be copied."""
    lines = help_of(verb, width).splitlines()
    examples = lines.index("Examples") if "Examples" in lines else len(lines)
    assert [line for line in lines[:examples] if len(line) > min(width, MAX_WIDTH)] == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_words_stand_at_every_width(verb):
    """A narrow terminal loses nothing."""
    assert len({words(help_of(verb, width)) for width in WIDTHS}) == 1


def test_brackets_are_not_taken_for_markup():
    """The example in the help of `--methods` has its brackets."""
    assert "nudging[threshold=0.3]" in help_of("eval")
    assert "user/repo[:QUANT]" in help_of("run")


def examples():
    every = [("", each) for each in EXAMPLES]
    every += [(verb, each) for verb, command in VERBS.items() for each in command.examples]
    return [pytest.param(verb, each.command, id=each.command) for verb, each in every]


@pytest.mark.parametrize(("verb", "command"), examples())
def test_every_example_can_be_typed(verb, command):
    """The real parser reads it, and the pairs and benchmarks that it names exist."""
    program, name, *arguments = shlex.split(command.rpartition("| ")[2])
    assert program == "blendin"
    if "--help" in arguments:
        assert help_of(name)
        return
    params = VERBS[name].make_context(name, arguments).params
    registry = load_registry(env={})
    pairs = [*filter(None, [params.get("pair")]), *(params.get("pairs") or "").split(",")]
    assert set(filter(None, pairs)) <= set(registry.pairs)
    assert set(filter(None, (params.get("benchmarks") or "").split(","))) <= set(BENCHMARKS)
    assert words(command) in words(help_of(verb, 200))


@pytest.mark.parametrize("verb", [verb for verb, command in VERBS.items() if not command.hidden])
def test_every_command_ends_with_examples(verb):
    """At least two, and one of them is of the command itself."""
    page = help_of(verb, 200).partition("Examples\n")[2].splitlines()
    commands = [line.strip() for line in page if line.startswith("    ")]
    assert len(commands) >= 2
    assert any(f"blendin {verb}" in command for command in commands)
