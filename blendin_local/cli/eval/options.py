"""The options of `blendin eval` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.eval.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common import completion
from blendin_local.settings import EVALUATION_SEED

_what = partial(typer.Option, rich_help_panel="What is compared")
_items = partial(typer.Option, rich_help_panel="Questions")
_judge = partial(typer.Option, rich_help_panel="Judge")
_output = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class WhatOptions:
    """What is compared."""

    pairs: Annotated[
        str | None,
        _what(
            "--pairs",
            metavar="A,B,...",
            autocompletion=completion.pair_list,
            help="Pairs of models.toml, comma-separated. One pair can also be given by --base and --guide.",
        ),
    ] = None
    benchmarks: Annotated[
        str | None,
        _what(
            "--benchmarks",
            "--tasks",
            "-b",
            metavar="A,B,...",
            show_default="all",
            autocompletion=completion.benchmark_list,
            help="Benchmarks, comma-separated.",
        ),
    ] = None
    methods: Annotated[
        str,
        _what(
            "--methods",
            metavar="A,B,...",
            autocompletion=completion.method_list,
            help="Methods, comma-separated, with settings as in nudging[threshold=0.3].",
        ),
    ] = "base,guide,nudging,blendin"
    aligned: Annotated[
        str | None,
        _what(
            "--aligned",
            metavar="REF",
            autocompletion=completion.models,
            help="An aligned version of the base model, run alone with its own chat template.",
        ),
    ] = None
    sweep: Annotated[
        list[str] | None,
        _what(
            "--sweep",
            metavar="SETTING=A,B,...",
            help="Also run blendin with each of these values, as in threshold=0.3,0.5 (repeatable).",
        ),
    ] = None
    temp: Annotated[
        float | None,
        _what(
            "--temp",
            "--temperature",
            metavar="T",
            show_default="greedy only",
            help="Also sample every method at this temperature.",
        ),
    ] = None
    min_p: Annotated[
        float | None,
        _what(
            "--min-p",
            metavar="P",
            show_default="off",
            help="With --temp: also sample the base with this min-p, as a control.",
        ),
    ] = None
    seeds: Annotated[
        int,
        _what(
            "--seeds",
            min=1,
            metavar="N",
            help="Answers of a sampled method to each question, each with its own seed.",
        ),
    ] = 3
    check: Annotated[
        list[Path] | None,
        _what(
            "--check",
            metavar="FILE",
            help="Output of blendin check --json, for figure 4 and the calibration plot (repeatable).",
        ),
    ] = None
    likelihood: Annotated[
        bool,
        _what(
            "--likelihood/--no-likelihood",
            help="Also score multiple-choice options by log-likelihood, base and guide alone.",
        ),
    ] = True


@dataclass(frozen=True)
class ItemOptions:
    """Which questions, and how they are answered."""

    limit: Annotated[
        int | None, _items("--limit", min=1, show_default="100", help="Number of questions per benchmark.")
    ] = None
    full: Annotated[bool, _items("--full", help="Ask every question; needs --data.")] = False
    data: Annotated[
        Path | None, _items("--data", metavar="DIR", help="Folder with the complete benchmarks.")
    ] = None
    seed: Annotated[
        int,
        _items(
            "--seed", min=0, help="Seed for the questions drawn, the order of options, and the bootstrap."
        ),
    ] = EVALUATION_SEED
    max_tokens: Annotated[
        int | None,
        _items(
            "--max-tokens",
            "-n",
            min=1,
            show_default="the benchmark's limit",
            help="Maximum tokens per answer, where that is less than the benchmark's limit.",
        ),
    ] = None
    parallel: Annotated[
        int | None,
        _items(
            "--parallel", "-np", min=1, show_default="by memory and cores", help="Answers generated at once."
        ),
    ] = None


@dataclass(frozen=True)
class JudgeOptions:
    """A model that judges answers beside the rules."""

    judge: Annotated[
        str | None,
        _judge(
            "--judge",
            metavar="URL",
            help="OpenAI-compatible endpoint that also judges the answers. It receives them.",
        ),
    ] = None
    judge_model: Annotated[
        str | None, _judge("--judge-model", metavar="NAME", help="Model to use at that endpoint.")
    ] = None


@dataclass(frozen=True)
class EvalReportOptions:
    """What is run, kept and shown."""

    score_only: Annotated[
        bool, _output("--score-only", help="Score the answers in the folder; run no model.")
    ] = False
    retry_errors: Annotated[bool, _output("--retry-errors", help="Ask failed questions again.")] = False
    steps: Annotated[bool, _output("--steps", help="Keep every step of each answer.")] = False
    json: Annotated[bool, _output("--json", help="Print the report as JSON instead of tables.")] = False
    quiet: Annotated[bool, _output("--quiet", "-q", help="Hide progress and notes.")] = False
