"""What an evaluation is asked to do: the one argument of `run_eval`.

Here: `EvalSpec`, whose defaults are those of `blendin eval`.
Not here: what its words mean (`tasks`, `entrants`, `variants`), the record in the folder (`plan`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from blendin_local.pair.resolve import PairSpec
from blendin_local.settings import EVALUATION_SEED

METHODS = ("base", "guide", "nudging", "blendin")


@dataclass(frozen=True)
class EvalSpec:
    """Which models answer which questions by which methods, and where it is kept.

    Attributes:
        out: The folder of the evaluation. If it exists, the run resumes.
        pair: The models and their settings. The method is not set here but in `methods`.
        pairs: Pairs of models.toml to compare instead of `pair`, with the same settings.
        benchmarks: Names of benchmarks; empty for all.
        methods: Names of methods, with settings as in `nudging[threshold=0.3]`.
        sweeps: Variants of blendin: a setting and its values, as in `threshold=0.3,0.4,0.5`.
        aligned: An aligned version of the base model, run alone with its own chat template.
        temperature: Every method also answers at this temperature, beside its greedy answers. 0: greedily
            only, but for methods with a `temp` in brackets.
        min_p: If above 0, the base alone also answers at that temperature with this min-p, as a control.
        seeds: Number of answers of a sampled method to each question, each with its own seed.
        likelihood: Whether the base alone and the guide alone also score options by log-likelihood.
        checks: Files from `blendin check --json`, for figure 4 and the calibration of the models.
        limit: Number of questions per benchmark; None takes the 100 that are shipped.
        full: Whether to ask every question; needs `data`.
        data: A folder with the complete benchmarks; None takes the questions that are shipped.
        seed: Draws the questions, the order of options, and the bootstrap copies.
        max_tokens: Maximum tokens per answer, where that is less than the benchmark's limit.
        n_parallel: Number of answers generated at once; None chooses by memory and cores.
        judge_url: An OpenAI-compatible endpoint that judges answers. Answers are sent to it.
        judge_model: The model that the endpoint uses.
        score_only: Whether to score the answers in the folder and run no model.
        retry_errors: Whether questions that failed in an earlier run are asked again.
        with_steps: Whether the steps of each answer are kept.
    """

    out: str | Path
    pair: PairSpec = field(default_factory=PairSpec)
    pairs: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    methods: tuple[str, ...] = METHODS
    sweeps: tuple[str, ...] = ()
    aligned: str | None = None
    temperature: float = 0.0
    min_p: float = 0.0
    seeds: int = 3
    likelihood: bool = True
    checks: tuple[Path, ...] = ()
    limit: int | None = None
    full: bool = False
    data: Path | None = None
    seed: int = EVALUATION_SEED
    max_tokens: int | None = None
    n_parallel: int | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    score_only: bool = False
    retry_errors: bool = False
    with_steps: bool = False
