"""Command lines from other tools, and ones that cannot be read: they work, or one line says what to type."""

from __future__ import annotations

import pytest
import typer

from blendin_local.cli.app import COMMANDS as PACKAGES
from blendin_local.cli.app import build_app
from blendin_local.cli.common.usage import ABSENT, ELSEWHERE, VERBS, foreign_option
from blendin_local.settings import AnswerSettings
from tests.cli_runner import blendin, one_line_error

COMMANDS = typer.main.get_command(build_app()).commands


def names_of(command):
    return {name for param in command.params for name in [*param.opts, *param.secondary_opts]}


def params(verb, *arguments):
    return COMMANDS[verb].make_context(verb, list(arguments)).params


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["-p", "hello"], "question", "hello"),
        (["--prompt", "hello"], "question", "hello"),
        (["--temperature", "0.7"], "temp", 0.7),
        (["-n", "-1"], "max_tokens", "-1"),
        (["--predict", "5"], "max_tokens", "5"),
        (["--n-predict", "5"], "max_tokens", "5"),
        (["-c", "2048"], "ctx_size", "2048"),
        (["-ngl", "all"], "n_gpu_layers", "all"),
        (["--gpu-layers", "9"], "n_gpu_layers", "9"),
        (["-t", "2"], "threads", "2"),
        (["-fa", "on"], "flash_attn", "on"),
        (["-sys", "Be brief."], "system", "Be brief."),
        (["--system-prompt", "Be brief."], "system", "Be brief."),
        (["--top-k", "40"], "top_k", 40),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_mean_the_same_work(arguments, name, value):
    """The names of llama-cli, ollama and mlx-lm for what exists here."""
    assert params("run", *arguments)[name] == value


@pytest.mark.parametrize("flag", ELSEWHERE)
def test_options_of_other_tools_say_what_to_type(flag):
    """Each is refused by the commands that lack it, and every option that its hint names exists."""
    of_run = {name for param in COMMANDS["run"].params for name in [*param.opts, *param.secondary_opts]}
    known = {
        name for c in COMMANDS.values() for param in c.params for name in [*param.opts, *param.secondary_opts]
    }
    if flag not in of_run:
        error = foreign_option([flag, "x"], COMMANDS["run"].params, "blendin run")
        assert error.message == f"blendin run has no option {flag}"
        assert "{" not in error.hint
    named = [word.strip(",;:") for word in ELSEWHERE[flag].split() if word.startswith("--")]
    assert set(named) <= {*known, "--show-completion", "--version"}


@pytest.mark.parametrize(
    "arguments", [["--stop", "-st"], ["--", "-hf"], ["--system=-m"], ["-sys", "-m", "hello"]], ids=str
)
def test_a_value_is_no_option(arguments):
    """What follows an option that takes a value, or two hyphens, is taken as it is."""
    assert foreign_option(arguments, COMMANDS["run"].params, "blendin run") is None


@pytest.mark.cli
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["run", "-hf", "user/repo:Q4_K_M", "hello"],
            ["no option -hf", "--base user/repo:Q4_K_M or --guide"],
        ),
        (["run", "-m", "a.gguf", "hello"], ["no option -m", "--base a.gguf or --guide a.gguf"]),
        (["run", "--model=a.gguf"], ["--base a.gguf"]),
        (["run", "-s", "3"], ["--seed", "--system"]),
        (["chat", "-cnv"], ["blendin chat"]),
        (["run", "--tempreture", "1"], ["did you mean --temperature?"]),
        (["run", "--limit", "3"], ["blendin batch"]),
        (["list"], ["there is no command 'list'", "did you mean ls?"]),
        (["shwo"], ["did you mean show?"]),
        (["Why is the sky blue?"], ["blendin run"]),
        (["bench", "--rounds", "x"], ["--rounds is 'x'", "a whole number"]),
        (["bench", "--rounds", "0"], ["at least 1"]),
        (["batch"], ["missing argument 'IN'"]),
        (["run", "--color", "blue"], ["--color", "auto"]),
        (["run", "--json", "--jsonl", "hello"], ["exclude each other"]),
        (["run", "-p", "hello", "again"], ["given twice"]),
        (["run", "--seed", "99999999999999999999", "hello", "--offline"], ["too large"]),
        (["run", "--ctx-size", "8", "hello"], ["must be at least 32"]),
        (["run", "--top-k-blend", "0", "hello"], ["between 1 and 100000"]),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_one_clear_line(arguments, said):
    """Exit code 2, what is wrong, and what to type; no box, no usage, no exponent."""
    result = blendin(*arguments)
    one_line_error(result, 2, *said)
    assert len(result[2].splitlines()) <= 2
    assert "e+" not in result[2]


@pytest.mark.parametrize("verb", [*VERBS.values()])
def test_the_verbs_that_are_meant_exist(verb):
    """Nobody is sent to a command that is not there, and no real command is taken for another tool's."""
    assert verb in {*COMMANDS, "--help", "--version"}
    assert not {*VERBS, *ABSENT} & set(COMMANDS)


def test_no_limit_is_a_value_of_max_tokens():
    """-1 and unlimited are None: an answer ends where its context is full."""
    [setting] = (each for each in _settings() if each.field == "max_tokens")
    assert setting.parse("-1") is None
    assert setting.parse("unlimited") is None
    assert setting.word_of(AnswerSettings(max_tokens=None).max_tokens) == "unlimited"


def _settings():
    from blendin_local.settings import settings_of

    return settings_of(AnswerSettings)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_call_builds_what_its_verb_needs(verb):
    """The verb has all its options, other packages of commands are not built, and hints still know them."""
    partial = typer.main.get_command(build_app(verb))

    assert names_of(partial.commands[verb]) == names_of(COMMANDS[verb])
    assert [set(partial.commands)] == [set(verbs) for verbs in PACKAGES.values() if verb in verbs]
    assert set(partial.every_command) == set(COMMANDS)


def test_every_verb_has_its_package():
    """The table of verbs is complete and in the order of the help; a word that is no verb builds all."""
    assert [verb for verbs in PACKAGES.values() for verb in verbs] == list(COMMANDS)
    assert list(typer.main.get_command(build_app("rnu")).commands) == list(COMMANDS)


def test_the_command_that_has_an_option_is_named():
    """An option in the wrong place is met with the command that it belongs to, whichever was called."""
    one_line_error(blendin("run", "hello", "--shard", "1/2"), 2, "blendin batch has it")
