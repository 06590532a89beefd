"""Answering a shell that asks for the words of a completion: what bash, zsh and fish need beyond typer.

Here: `complete`, which runs the application for a shell that asks; words that contain = or :.
Not here: the words (`cli.common.completion`), the scripts that shells run (typer).
Source: typer's scripts set `_BLENDIN_COMPLETE` to `complete_bash`, `complete_zsh` or `complete_fish`, and the
line typed so far in COMP_WORDS and COMP_CWORD (bash) or in `_TYPER_COMPLETE_ARGS`.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, MutableMapping
from contextlib import redirect_stderr, redirect_stdout

from blendin_local.cli.common.printing import print_data

ASKED = "_BLENDIN_COMPLETE"
LINE = "_TYPER_COMPLETE_ARGS"
BREAKS = ("=", ":")  # where bash splits words
Exit = int | str | None


def complete(run: Callable[[], Exit], env: MutableMapping[str, str]) -> Exit:
    """Run the application for a shell; nothing but words is ever printed into the line being typed.

    Args:
        run: Runs it; returns the exit status.
        env: The environment that the application reads.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in the shell ends this process without a word
    try:
        before = _rejoin_words(env) if env[ASKED] == "complete_bash" else _option_begun(env.get(LINE, ""))
        with redirect_stdout(io.StringIO()) as answer, redirect_stderr(io.StringIO()):
            code = run()
    except Exception:  # noqa: BLE001 - without words the shell offers files
        return 1
    print_data(_adapted(answer.getvalue(), env[ASKED], before), end="")
    return code


def _adapted(answer: str, asked: str, before: str) -> str:
    """Typer's answer for the part of the word that the shell replaces.

    Args:
        answer: What typer prints.
        asked: The shell and what it asks for.
        before: How the word begins: `--method=`, which typer leaves out, or `ollama:`, which bash keeps.
    """
    if not before or not answer.strip():
        return answer
    lines = answer.splitlines(keepends=True)
    match asked:
        case "complete_bash":
            return "".join(line.removeprefix(before) for line in lines)
        case "complete_fish":
            return "".join(before + line for line in lines)
        case "complete_zsh":
            return f"compset -P '*='; {answer}"
    return answer


def _option_begun(line: str) -> str:
    """`--method=` where the last word of a line is an option with a value."""
    word = line.rpartition(" ")[2]
    return "".join(word.partition("=")[:2]) if word.startswith("-") and "=" in word else ""


def _rejoin_words(env: MutableMapping[str, str]) -> str:
    """Put `--method=nud` and `ollama:lla` together, which bash has split.

    Returns:
        What bash keeps of the last word before the part that it replaces: `ollama:`.
    """
    words, cursor = env.get("COMP_WORDS", "").split("\n"), int(env.get("COMP_CWORD", "0"))
    joined: list[str] = []
    before = ""
    for word in [*words, *[""] * (cursor + 1 - len(words))][: cursor + 1]:
        sticks = word in BREAKS or before in BREAKS
        if sticks and joined and (":" in {word, before} or joined[-1].startswith("-")):
            joined[-1] += word
        else:
            joined.append(word)
        before = word
    env["COMP_WORDS"], env["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
    value = joined[-1].partition("=")[2] if joined[-1].startswith("-") else joined[-1]
    return "".join(value.rpartition(":")[:2])
