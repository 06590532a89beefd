"""A command line that cannot be read: what is wrong with it, and what to type instead.

Here: the options of llama.cpp, ollama and llm that have another name here, the verbs that people try, and
errors of typer as errors of this program.
Not here: options that mean the same as there; those are names of our options (`settings.table`,
`cli.common.options`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from blendin_local.errors import UsageError

CHAT = "blendin chat is the conversation, blendin run answers one question"
SAMPLERS = "candidates are chosen with --temp, --top-k, --top-p, --min-p and --seed"
ROLE = "a model needs a role: --base {value} or --guide {value}"
QUIET = "blendin run --quiet prints nothing but the answer"
CHUNKS = "--ubatch-size N sets how many tokens of a prompt are evaluated at once"

_ELSEWHERE: Mapping[tuple[str, ...], str] = {
    ("-m", "--model"): ROLE,
    ("-hf", "-hfr", "--hf-repo"): ROLE,
    ("-hff", "--hf-file"): "give the whole reference: --base hf://USER/REPO/FILE.gguf, or --guide",
    ("-mu", "--model-url"): "download the file first, then name it with --base or --guide",
    ("-md", "--model-draft", "--spec-draft-model", "-hfd", "-hfrd", "--hf-repo-draft", "--draft-model"): (
        "the second model is the guide: --guide {value}"
    ),
    ("-s",): "-s is the seed in llama-cli and the system text in llm: type --seed N or --system TEXT",
    ("-i", "--interactive", "-if", "--interactive-first", "-cnv", "--conversation"): CHAT,
    ("-st", "--single-turn", "-no-cnv", "--no-conversation"): CHAT,
    ("-p", "--prompt"): 'blendin run "the question" answers a question',
    ("-f", "--file"): "blendin run -f FILE reads the question from a file",
    ("-o", "--option", "--options"): "each setting is an option of its own, such as --temp 0.7 or --seed 1",
    ("--output", "--output-file"): "redirect the answer: blendin run ... > FILE",
    ("--format",): "--json-schema FILE makes the answer JSON; --json prints any answer with its record",
    ("--schema",): "--json-schema FILE makes the answer JSON that matches a schema",
    ("-r", "--reverse-prompt"): "--stop TEXT ends an answer before that text",
    (
        "-e",
        "--escape",
        "--no-escape",
    ): "a question is taken as it is typed; -f FILE reads one with several lines",
    ("--chat-template", "--jinja", "--template"): (
        "the guide's own chat template is used; --guide-chat-template-file FILE replaces it, "
        "--base-template NAME chooses the base's plain text"
    ),
    ("--chat-template-file",): "--guide-chat-template-file FILE replaces the guide's chat template",
    ("--reasoning", "--enable-thinking"): "--think lets a reasoning guide think, --no-think does not",
    ("-tb", "--threads-batch"): "--threads N is for prompts and answers alike",
    ("-b", "--batch-size"): CHUNKS,
    (
        "-ctk",
        "--cache-type-k",
        "-ctv",
        "--cache-type-v",
    ): "--kv-type TYPE sets the format of both keys and values",
    ("-np", "--parallel"): "blendin batch answers several prompts at once",
    ("--mlock",): "there is nothing to set: the weights stay in memory while there is room",
    ("--max-kv-size", "--num-ctx", "--n-ctx"): "--ctx-size N sets the context size",
    ("--num-predict", "--max-new-tokens"): "--max-tokens N sets the largest number of tokens",
    ("--num-gpu",): "--n-gpu-layers N sets the number of layers on the GPU",
    (
        "--typical",
        "--typical-p",
        "--mirostat",
        "--xtc-probability",
        "--top-nsigma",
        "--dynatemp-range",
    ): SAMPLERS,
    ("--samplers", "--sampler-seq", "--sampling-seq"): SAMPLERS,
    ("--no-display-prompt", "--simple-io", "--no-perf", "--show-timings", "--no-show-timings"): QUIET,
    ("--nowordwrap", "--no-stream"): QUIET,
    ("-lv", "--log-verbosity", "--log-disable", "--log-file"): "blendin run --verbose prints llama.cpp's log",
    ("-cl", "--cache-list"): "blendin ls lists the models on this machine",
    ("--completion-bash",): "blendin --show-completion prints the completion of your shell",
    ("--version",): "blendin --version",
}
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {flag: hint for flags, hint in _ELSEWHERE.items() for flag in flags}
)
"""Options of other tools, each with what to type here."""

VERBS: Mapping[str, str] = MappingProxyType(
    {"help": "--help", "version": "--version"}
    | dict.fromkeys(("list", "models", "cache"), "ls")
    | dict.fromkeys(("remove", "delete", "del", "uninstall"), "rm")
    | dict.fromkeys(("info", "inspect", "describe", "cat"), "show")
    | dict.fromkeys(("ask", "prompt", "generate", "complete", "query", "cli"), "run")
    | dict.fromkeys(("download", "get", "fetch", "install", "add"), "pull")
    | dict.fromkeys(("talk", "repl", "shell", "interactive"), "chat")
    | dict.fromkeys(("evaluate", "benchmarks", "lm-eval"), "eval")
    | dict.fromkeys(("benchmark", "speed", "perf"), "bench")
    | dict.fromkeys(("env", "status", "debug"), "doctor")
    | dict.fromkeys(("search", "sweep", "optimize"), "tune")
    | dict.fromkeys(("trace", "view"), "replay")
)
"""Verbs that people try, each with the one that is meant."""
ABSENT: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("ps", "stop", "kill"), "nothing runs in the background")
    | dict.fromkeys(
        ("create", "cp", "copy", "alias"), "pairs and names of models are written into models.toml"
    )
    | dict.fromkeys(("push", "login", "signin"), "models are never uploaded")
    | dict.fromkeys(("update", "upgrade"), "update it as it was installed: pip install -U blendin-local")
)
"""Verbs of other tools that have no like here, each with the reason."""
EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "int_parsing": "a whole number",
        "float_parsing": "a number",
        "greater_than_equal": "a number that is at least {ge}",
    }
)
"""What is to be given instead of a value, by what pydantic calls the problem with it."""


def foreign_option(arguments: Sequence[str], params: Iterable[Any], path: str) -> UsageError | None:
    """The error for the first option that is another tool's, None if there is none.

    They are found before the command line is read: `-hf` would be read as `-h -f`, and `-cnv` as `-c nv`.

    Args:
        arguments: Those after the verb.
        params: The verb's options and arguments.
        path: What was typed so far: `blendin run`.
    """
    flags = {
        name: param.is_flag for param in params if param.param_type_name == "option" for name in _names(param)
    }
    rest = list(arguments)
    while rest and rest[0] != "--":
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in flags:
            if not flags[name] and not equals:
                rest = rest[1:]
        elif name in ELSEWHERE:
            given = value or next((word for word in rest[:1] if not word.startswith("-")), "REF")
            return UsageError(f"{path} has no option {name}", ELSEWHERE[name].replace("{value}", given))
    return None


def _names(param: Any) -> list[str]:  # noqa: ANN401 - typer's own
    return [*param.opts, *param.secondary_opts]


def unknown_verb(name: str, verbs: Iterable[str]) -> UsageError:
    """The error for a verb that there is not, with the one that is meant."""
    known = list(verbs)
    if " " in name.strip():
        return UsageError("there is no verb before the question", 'blendin run "the question" answers one')
    if name in VERBS:
        hint = f"blendin {VERBS[name]}" if VERBS[name].startswith("-") else f"did you mean {VERBS[name]}?"
    elif name in ABSENT:
        hint = ABSENT[name]
    else:
        near = [
            *difflib.get_close_matches(name, known, 2, 0.6),
            *difflib.get_close_matches(name, VERBS, 1, 0.8),
        ]
        meant = dict.fromkeys(VERBS.get(verb, verb) for verb in near)
        hint = f"did you mean {' or '.join(meant)}?" if meant else f"there are {', '.join(known)}"
    return UsageError(f"there is no command {name!r}", hint)


def in_our_words(error: Any) -> UsageError:  # noqa: ANN401 - typer's errors have no public class
    """An error of typer as one of ours, with the next step."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "blendin"
    name = getattr(error, "option_name", None)
    if name is not None and ctx is not None and hasattr(error, "possibilities"):
        return UsageError(f"{path} has no option {name}", _near_options(name, ctx, path))
    invalid = _invalid_number(error)
    if invalid is not None:
        return invalid
    sentence = error.format_message().strip().removesuffix(".").replace("Value error, ", "")
    return UsageError(sentence[:1].lower() + sentence[1:], f"{path} --help lists the options and arguments")


def _invalid_number(error: Any) -> UsageError | None:  # noqa: ANN401 - typer's own
    """The error for a value that is no number, None for another error."""
    param, problems = getattr(error, "param", None), getattr(error.__cause__, "errors", None)
    if param is None or problems is None:
        return None
    [problem, *_] = problems()
    expected = EXPECTED.get(problem["type"])
    if expected is None:
        return None
    hint = f"give {expected.format(**problem.get('ctx', {}))}"
    return UsageError(f"{param.opts[0]} is {problem['input']!r:.60}", hint)


def _near_options(name: str, ctx: Any, path: str) -> str:  # noqa: ANN401 - typer's own
    known = [
        each
        for param in ctx.command.get_params(ctx)
        if param.param_type_name == "option" and not param.hidden
        for each in _names(param)
    ]
    near = difflib.get_close_matches(name, known, 2, 0.7)
    if near:
        return f"did you mean {' or '.join(near)}?"
    others = [
        verb
        for verb, command in getattr(ctx.find_root().command, "every_command", {}).items()
        if not command.hidden and any(name in _names(param) for param in command.params)
    ]
    has = (
        f"blendin {' and blendin '.join(others[:2])} {'has' if len(others) == 1 else 'have'} it; "
        if others
        else ""
    )
    return f"{has}{path} --help lists its options"
