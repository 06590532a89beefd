"""The options of `blendin eval` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.eval.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_what = partial(typer.Option, rich_help_panel="What is compared")
_items = partial(typer.Option, rich_help_panel="Questions")
_judge = partial(typer.Option, rich_help_panel="Judge")
_output = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class WhatOptions:
    """What is compared."""

    pairs: Annotated[
        str | None, _what("--pairs", help="Pairs of models.toml, with commas; or name --base and --guide.")
    ] = None
    benchmarks: Annotated[
        str | None, _what("--benchmarks", "-b", help="Benchmarks, with commas. (default: all)")
    ] = None
    methods: Annotated[
        str,
        _what("--methods", help="Methods, with commas; with settings as in nudging[threshold=0.3]."),
    ] = "base,guide,nudging,blendin"
    aligned: Annotated[
        str | None, _what("--aligned", help="An aligned model of the base, run alone with its own template.")
    ] = None
    sweep: Annotated[
        list[str] | None,
        _what(
            "--sweep",
            metavar="SETTING=A,B,...",
            help="Variants of blendin, such as threshold=0.3,0.5 or agreement-bonus=0,0.1.",
        ),
    ] = None
    check: Annotated[
        list[Path] | None,
        _what(
            "--check", metavar="FILE", help="A record of blendin check --json, for figure 4 and calibration."
        ),
    ] = None
    likelihood: Annotated[
        bool,
        _what("--likelihood/--no-likelihood", help="Read options by log-likelihood, base and guide alone."),
    ] = True


@dataclass(frozen=True)
class ItemOptions:
    """Which questions."""

    limit: Annotated[
        int | None, _items("--limit", min=1, help="So many of each benchmark. (default 100)")
    ] = None
    full: Annotated[bool, _items("--full", help="Every question there is; needs --data.")] = False
    data: Annotated[Path | None, _items("--data", help="A folder with the complete benchmarks.")] = None
    seed: Annotated[
        int, _items("--seed", min=0, help="Draws the subset, the options' order and the intervals.")
    ] = 609
    max_tokens: Annotated[
        int | None, _items("--max-tokens", "-n", min=1, help="Fewer steps at most than the benchmarks allow.")
    ] = None
    parallel: Annotated[
        int | None, _items("--parallel", "-np", min=1, help="Rows at once; by default by memory and cores.")
    ] = None


@dataclass(frozen=True)
class JudgeOptions:
    """Who judges, beside the rules."""

    judge: Annotated[
        str | None,
        _judge("--judge", metavar="URL", help="An OpenAI-compatible endpoint; answers are sent to it."),
    ] = None
    judge_model: Annotated[str | None, _judge("--judge-model", help="The name of its model.")] = None


@dataclass(frozen=True)
class ReportOptions:
    """What comes out."""

    score_only: Annotated[bool, _output("--score-only", help="Score what is kept; run no model.")] = False
    retry_errors: Annotated[bool, _output("--retry-errors", help="Ask questions that failed again.")] = False
    steps: Annotated[bool, _output("--steps", help="Keep the record of every step.")] = False
    json: Annotated[bool, _output("--json", help="The report as JSON on stdout instead of a table.")] = False
    quiet: Annotated[bool, _output("--quiet", "-q", help="No progress.")] = False
