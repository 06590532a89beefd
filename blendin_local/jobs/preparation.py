"""What every job does before its work: refusals, rows at once, versions, a pair opened for many rows.

Here: `settle`; `refuse_exact_prompts`; `require_name`; `choose_n_parallel`, by what the user asked for or by
cores and memory; `versions`; `open_for_rows`; `suppress_stop`.
Not here: which pair is meant (`pair.resolve`), the work itself (the packages of `jobs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from blendin_local._version import __version__
from blendin_local.core.methods import Role
from blendin_local.decode.loaded_model import LoadProgress
from blendin_local.decode.memory_plan import MemoryPlan, gated_roles
from blendin_local.engine.build import ignored_layers
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.memory import places
from blendin_local.errors import UsageError
from blendin_local.pair.pair import MAX_PARALLEL, Pair
from blendin_local.pair.resolve import Interaction, PairSpec, ResolvedPair, resolve_pair
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import ModelSettings

PER_CORE = 8  # on two cores 16 at once gave twice the rows of one, and 32 no more than 16
MAX_CHOSEN = 32  # a machine with many cores was not measured
MEMORY_SHARE = 0.5  # of the memory that the weights leave free


def settle(spec: PairSpec, interaction: Interaction, on_note: Callable[[str], None]) -> ResolvedPair:
    """Resolve a spec; note which pair is used if none was named, and GPU layers that are ignored."""
    resolved = resolve_pair(spec, accept=interaction.accept)
    if resolved.is_default:
        on_note(default_pair_note(resolved))
    layers = {resolved.setup.base_settings.n_gpu_layers, resolved.setup.guide_settings.n_gpu_layers}
    for notice in filter(None, map(ignored_layers, layers)):
        on_note(notice)
    return resolved


def default_pair_note(resolved: ResolvedPair) -> str:
    """A sentence about the default pair."""
    return f"no model named: using the pair {resolved.pair_name} ({resolved.describe()})"


def refuse_several_guides(resolved: ResolvedPair, what: str) -> None:
    """Raise `UsageError` where a job measures one guide, and there are several."""
    if "guide2" in resolved.references:
        raise UsageError(f"{what} measures one guide, and there are several", "name one with --guide")


def refuse_exact_prompts(spec: PairSpec, each: str = "row") -> None:
    """Raise `UsageError` where the spec has exact prompts, which every row would share."""
    if spec.exact_prompts:
        raise UsageError(f"exact prompts would be the same for every {each}", "leave the prompt files out")


def require_name(spec: PairSpec, name: str) -> None:
    """Raise `UsageError` where a pair that is to be written to models.toml would have no name."""
    if not (name or spec.pair) and (spec.base or spec.guide):
        raise UsageError("two models without a name cannot be written", "give the pair one with --name")


def choose_n_parallel(setup: PairSetup, requested: int | None, n_rows: int) -> int:
    """How many rows to answer at once.

    Args:
        setup: The pair with its files.
        requested: The user's number; None chooses by memory and cores, and 1 where answers must be
            reproducible: in shared batches an answer depends on what else is in them.
        n_rows: How many rows are left.
    """
    if requested is None and any(settings.reproducible for _, settings in setup.files().values()):
        return 1
    return max(1, min(requested or n_parallel_for(setup.files(), n_rows), MAX_PARALLEL, n_rows))


def n_parallel_for(files: Mapping[Role, tuple[Path, ModelSettings]], n_rows: int) -> int:
    """The least `n_parallel_within` of RAM and of every device that holds a part of the models."""
    headers = {role: (read_header(path), settings) for role, (path, settings) in files.items()}
    where = places()
    plan = MemoryPlan(headers, where, gated=gated_roles(headers))
    one, two = (replace(plan, n_parallel=n).taken() for n in (1, 2))
    return min(
        n_parallel_within(usable_threads(), place.free, 2 * one[i] - two[i], two[i] - one[i], n_rows)
        for i, place in enumerate(where)
    )


def n_parallel_within(cores: int, free: int, weights: int, per_sequence: int, n_rows: int) -> int:
    """Rows at once: by cores, at most what half of the memory left beside the weights holds.

    Args:
        cores: Cores this process may use.
        free: Bytes it may use.
        weights: Bytes needed once.
        per_sequence: Bytes of one sequence in both models.
        n_rows: How many rows are left.
    """
    room = max(0, int((free - weights) * MEMORY_SHARE))
    fits = room // per_sequence if per_sequence else MAX_CHOSEN
    return max(1, min(cores * PER_CORE, MAX_CHOSEN, fits, n_rows))


def versions() -> dict[str, str]:
    """The versions that a result names."""
    return {"blendin-local": __version__, "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION}


def open_for_rows(
    setup: PairSetup,
    should_stop: Callable[[], bool],
    on_load: Callable[[LoadProgress], None] = lambda _: None,
) -> Pair:
    """A pair for many rows; a guide without a template is refused here, not once for every row."""
    pair = Pair(setup, should_stop, on_load)
    try:
        pair.prompts("?", should_stop=should_stop)
    except BaseException:
        pair.close()
        raise
    return pair


@contextmanager
def suppress_stop(should_stop: Callable[[], bool]) -> Iterator[None]:
    """End the block quietly where loading a model was interrupted because `should_stop` became true."""
    try:
        yield
    except KeyboardInterrupt:  # what the engine raises while weights are read
        if not should_stop():
            raise
