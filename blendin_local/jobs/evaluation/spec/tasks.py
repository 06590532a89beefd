"""Who answers what, and how: the words of a run.

Here: `Entrant`, `Task`, `RunConfig`.
Not here: how they come about (`cli.eval.setup`), what is done with them (`run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.jobs.batch.progress import BatchOptions
from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item
from blendin_local.jobs.evaluation.spec.variants import Variant
from blendin_local.pair.resolve import ResolvedPair
from blendin_local.settings import SamplingSettings


@dataclass(frozen=True)
class Entrant:
    """Models that are loaded together, and what they run.

    Attributes:
        pair: Name of the pair in files and tables.
        resolved: What the names meant.
        paths: The files, by role.
        models: Their facts (file, size, sha256), by role.
        variants: What they run.
        likelihood_roles: Roles that score options by log-likelihood.
        stop: Stop strings of every method: those of the base's template.
    """

    pair: str
    resolved: ResolvedPair
    paths: Mapping[Role, Path]
    models: Mapping[str, Any]
    variants: tuple[Variant, ...]
    likelihood_roles: tuple[Role, ...] = ()
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A benchmark's questions as they are asked here."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    max_tokens: int


@dataclass(frozen=True)
class RunConfig:
    """What holds for every answer.

    Attributes:
        sampling: Greedy, unless the user wants otherwise.
        parallel: Rows at once; None chooses by memory and cores.
        options: Whether steps are kept, whether failed rows are asked again.
        top_logprobs: Candidates kept per step.
    """

    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    parallel: int | None = None
    options: BatchOptions = field(default_factory=BatchOptions)
    top_logprobs: int = 0
