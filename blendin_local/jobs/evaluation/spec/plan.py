"""What an evaluation compares, on what and with which models: the record that its folder begins with.

Here: `EvalPlan`, kept as `plan.json`; a later run into the same folder adds to it and contradicts nothing.
Not here: how it is made (`planning`), how it is run (`run`), what came of it (`score.report`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from blendin_local.core.methods import METHODS
from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.folder import Folder, write_text
from blendin_local.jobs.evaluation.spec.variants import ALIGNED, TEMPERATURE, new_names
from blendin_local.jobs.scoring.items import Benchmark

VERSION = 1
Names = tuple[str, str, str]
CHECK = "check"  # what `blendin check` found out about a pair
FREE = frozenset({CHECK, "figures", "title", "about", "source", "licence", "in_paper"})
"""Facts that no answer depends on. They may change in a later run, and the later ones count."""


@dataclass(frozen=True)
class EvalPlan:
    """What is compared.

    Attributes:
        protocol: What holds for every answer: seed, subset, limits, sampling.
        pairs: Name of each pair to its models by role (file, size, sha256, weights, format) and prompts.
        benchmarks: Name of each benchmark to its facts and the hash of its questions.
        variants: Name of each variant to its method and settings; each seed of a sampled method is a variant,
            and has the method's name as `seed_of`.
        cells: `PAIR, BENCHMARK, VARIANT` of every file of answers.
        likelihoods: `PAIR, BENCHMARK, ROLE` of every file of log-likelihoods; `readings` in JSON.
        versions: Of the program and of the packages its numbers depend on.
    """

    protocol: Mapping[str, Any]
    pairs: Mapping[str, Mapping[str, Any]]
    benchmarks: Mapping[str, Mapping[str, Any]]
    variants: Mapping[str, Mapping[str, Any]]
    cells: tuple[Names, ...]
    likelihoods: tuple[Names, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> dict[str, Mapping[str, Any]]:
        """The methods as tables call them, with their facts: the seeds of a sampled method are one."""
        return {facts.get("seed_of", name): facts for name, facts in self.variants.items()}

    def cells_by_method(self) -> dict[Names, tuple[Names, ...]]:
        """`PAIR, BENCHMARK, METHOD` to the cells of its seeds; a greedy method has one."""
        found: dict[Names, tuple[Names, ...]] = {}
        for pair, benchmark, variant in self.cells:
            method = pair, benchmark, self.variants[variant].get("seed_of", variant)
            found[method] = (*found.get(method, ()), (pair, benchmark, variant))
        return found

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        value: dict[str, Any] = json.loads(json.dumps({"version": VERSION, **asdict(self)}))
        return {"readings" if name == "likelihoods" else name: found for name, found in value.items()}

    def sorted(self) -> EvalPlan:
        """The same with its cells in the order of pairs, benchmarks and methods, however runs added them."""
        pairs, benchmarks = list(self.pairs), list(self.benchmarks)
        variants = sorted(self.variants, key=self._rank)

        def by_variant(cell: Names) -> tuple[int, int, int]:
            return pairs.index(cell[0]), benchmarks.index(cell[1]), variants.index(cell[2])

        def by_role(cell: Names) -> tuple[int, int, str]:
            return pairs.index(cell[0]), benchmarks.index(cell[1]), cell[2]

        return EvalPlan(
            protocol=self.protocol,
            pairs=self.pairs,
            benchmarks=self.benchmarks,
            variants={name: self.variants[name] for name in variants},
            cells=tuple(sorted(self.cells, key=by_variant)),
            likelihoods=tuple(sorted(self.likelihoods, key=by_role)),
            versions=self.versions,
        )

    def _rank(self, name: str) -> tuple[float, int, int, list[str | float]]:
        """Greedy ones first, then by temperature; in each by method, plain before others."""
        method, settings = self.variants[name]["method"], self.variants[name]["settings"]
        known = list(METHODS)
        position = known.index(method) if method in known else len(known)
        is_aligned = name.partition("[")[0] == ALIGNED
        return (
            settings.get(TEMPERATURE, 0.0),
            2 * position + is_aligned,
            len(settings),
            _by_numbers(name),
        )


def _by_numbers(name: str) -> list[str | float]:
    """What sorts `top-k=5` before `top-k=50`, and both before `top-k=100`."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]


def benchmark_facts(
    benchmark: Benchmark, max_tokens: int, n_items: int, sha256: str, left_out: Mapping[str, int]
) -> dict[str, Any]:
    """The facts about a benchmark for a report; `left_out` counts rows that cannot be scored, by reason."""
    words = ("title", "about", "source", "licence", "system", "likelihood", "in_paper")
    return {
        **{name: getattr(benchmark, name) for name in words},
        "figures": list(benchmark.parts),
        "max_tokens": max_tokens,
        "items": n_items,
        "sha256": sha256,
        "left_out": dict(left_out),
    }


def read_plan(folder: Folder) -> EvalPlan | None:
    """The plan of earlier runs, None if there is none.

    Raises:
        UsageError: The file is something else.
    """
    try:
        value = json.loads(folder.plan.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict) or value.pop("version", None) != VERSION:
        raise UsageError(f"{folder.plan} is not a plan of this version", "choose another -o")
    for variant in value.get("variants", {}).values():
        variant["settings"] = new_names(variant["settings"])
    cells, likelihoods = (tuple(map(tuple, value.pop(name))) for name in ("cells", "readings"))
    return EvalPlan(**value, cells=cells, likelihoods=likelihoods)


def keep_plan(folder: Folder, plan: EvalPlan) -> EvalPlan:
    """Write the plan, joined with that of earlier runs.

    Raises:
        UsageError: They contradict each other.
        WriteError: The disk refuses.
    """
    found = read_plan(folder)
    whole = (plan if found is None else _joined(folder.root, found, plan)).sorted()
    write_text(folder.plan, json.dumps(whole.to_json(), ensure_ascii=False, indent=2) + "\n")
    return whole


def _joined(root: Path, old: EvalPlan, new: EvalPlan) -> EvalPlan:
    for name in ("protocol", "pairs", "benchmarks", "variants"):
        before, now = (json.loads(json.dumps(getattr(plan, name))) for plan in (old, new))
        for key in sorted(before.keys() & now.keys()):
            _require_equal(root, f"{name} {key}", before[key], now[key])
    return EvalPlan(
        protocol=_merged(old.protocol, new.protocol),
        pairs=_merged(old.pairs, new.pairs),
        benchmarks=_merged(old.benchmarks, new.benchmarks),
        variants=_merged(old.variants, new.variants),
        cells=tuple(dict.fromkeys([*old.cells, *new.cells])),
        likelihoods=tuple(dict.fromkeys([*old.likelihoods, *new.likelihoods])),
        versions=new.versions,
    )


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both, at every depth. Where both have a value it is the same, except for a newer check."""
    both = {**old, **new}
    return {
        key: _merged(old[key], value)
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
        else value
        for key, value in both.items()
    }


def _require_equal(root: Path, name: str, before: object, now: object) -> None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted((before.keys() & now.keys()) - FREE):  # an aligned model may join later
            _require_equal(root, f"{name}.{key}", before[key], now[key])
    elif before != now:
        raise UsageError(
            f"{root} was started with other settings: {name} was {before!r:.60}, now {now!r:.60}",
            "give the old settings, or choose another -o",
        )
