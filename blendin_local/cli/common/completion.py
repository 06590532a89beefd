"""The words that a shell offers when Tab is pressed: models, pairs, methods, benchmarks, values of settings.

Here: one function per kind of value, as typer's `autocompletion` takes it.
Not here: how words reach a shell (`cli.common.shells`), which option takes which (`cli.*.options`),
completion in a chat (`cli.chat.completion`).
Nothing here asks a question, uses the network or raises: where the words cannot be found, there are none, and
the shell offers files.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from blendin_local.settings import METHOD_NAMES, Setting

if TYPE_CHECKING:
    from blendin_local.models.names import KnownNames

Words = list[tuple[str, str]]  # each with a few words about it, which zsh and fish show beside it
Completer = Callable[[typer.Context, str], Words]
MAX_ABOUT = 60  # characters about a word


def quiet(completer: Completer) -> Completer:
    """The same, but without words where it fails: an error would be printed into the line being typed."""

    @functools.wraps(completer)
    def safe(ctx: typer.Context, incomplete: str) -> Words:
        try:
            return [(word, brief(about)) for word, about in completer(ctx, incomplete)]
        except Exception:  # noqa: BLE001 - a broken models.toml, a folder that cannot be read
            return []

    return safe


def brief(text: str) -> str:
    """The beginning of a text, on one line; typer would take square brackets for markup."""
    line = " ".join(text.split()).partition(". ")[0].translate(str.maketrans("[]", "()"))
    return line if len(line) <= MAX_ABOUT else line[: MAX_ABOUT - 3].rsplit(" ", 1)[0] + "..."


@quiet
def models(ctx: typer.Context, incomplete: str) -> Words:
    """Models by name, those in the cache, and files."""
    return _with_files(_about(_names(ctx).models, "model"), incomplete)


@quiet
def references(ctx: typer.Context, incomplete: str) -> Words:
    """Models and pairs by name, those in the cache, and files."""
    names = _names(ctx)
    return _with_files([*_about(names.pairs, "pair"), *_about(names.models, "model")], incomplete)


@quiet
def pairs(ctx: typer.Context, incomplete: str) -> Words:
    """Names of pairs."""
    return _starting(_about(_names(ctx).pairs), incomplete)


@quiet
def templates(ctx: typer.Context, incomplete: str) -> Words:
    """Names of templates for the base, and `chat`, which is its own."""
    return _starting(_about([*_names(ctx).templates, "chat"]), incomplete)


@quiet
def pair_list(ctx: typer.Context, incomplete: str) -> Words:
    """Names of pairs, separated by commas."""
    return _listed(_names(ctx).pairs, incomplete)


@quiet
def method_list(ctx: typer.Context, incomplete: str) -> Words:
    """Names of methods, separated by commas."""
    return _listed(METHOD_NAMES, incomplete)


@quiet
def benchmark_list(ctx: typer.Context, incomplete: str) -> Words:
    """Names of benchmarks, separated by commas."""
    return _listed(_benchmarks(), incomplete)


@quiet
def benchmarks(ctx: typer.Context, incomplete: str) -> Words:
    """Names of benchmarks; files, where none begins like that."""
    return _starting(_about(_benchmarks()), incomplete)


@quiet
def purposes(ctx: typer.Context, incomplete: str) -> Words:
    """What the program has prompts of its own for."""
    from blendin_local.jobs.probe.prompts import PURPOSES  # noqa: PLC0415 - asked for by Tab only

    return _starting(((name, benchmark.about) for name, benchmark in PURPOSES.items()), incomplete)


def words_of(setting: Setting) -> Completer | None:
    """What completes the values of a setting; None if it has no words, or may name a file."""
    known = setting.all_words
    if not known or setting.kind == "text":
        return None

    @quiet
    def words(ctx: typer.Context, incomplete: str) -> Words:
        return _starting(_about(known), incomplete)

    return words


def _names(ctx: typer.Context) -> KnownNames:
    from blendin_local.models.names import known_names  # noqa: PLC0415 - `--help` must not wait for it

    explicit = ctx.params.get("models_file") or ctx.params.get("models")
    return known_names(Path(explicit) if explicit else None)


def _about(words: Iterable[str], about: str = "") -> Words:
    return [(word, about) for word in words]


def _benchmarks() -> Iterable[str]:
    from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS  # noqa: PLC0415

    return BENCHMARKS


def _starting(words: Iterable[tuple[str, str]], incomplete: str) -> Words:
    return [each for each in words if each[0].startswith(incomplete)]


def _listed(words: Iterable[str], incomplete: str) -> Words:
    """Words for the last entry of a comma-separated list, each after the entries before it."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return _about(f"{before}{comma}{word}" for word in words if word.startswith(last) and word not in taken)


def _with_files(names: Iterable[tuple[str, str]], incomplete: str) -> Words:
    """Names, and the model files and folders of the working directory.

    Shells put a space after a word that is the only one, which a folder must not have. Where a folder is the
    only one, and where a path was begun, there are no words: then the shell completes the path itself.
    """
    found = _starting(names, incomplete)
    if incomplete.startswith((".", "~")) or "/" in incomplete:
        return found
    with os.scandir() as entries:
        visible = [each for each in entries if not each.name.startswith(".")]
    folders = [(f"{each.name}/", "folder") for each in visible if each.is_dir()]
    files = [(each.name, "file") for each in visible if each.name.endswith(".gguf") and not each.is_dir()]
    found += _starting(sorted([*files, *folders]), incomplete)
    return [] if len(found) == 1 and found[0][0].endswith("/") else found
