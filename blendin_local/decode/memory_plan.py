"""The memory that the models of a pair take together, and what would fit where they do not.

Here: `MemoryPlan`; `gated_roles`, the models that it plans further contexts for; `memory_parts` and
`memory_estimate`, of one model with its settings; `context_size`.
Not here: the formulas (`engine.memory`), the loading (`decode.loaded_model`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.engine.batch import n_outputs
from blendin_local.engine.control_vector import fitting_control_vector
from blendin_local.engine.gguf.header import Header
from blendin_local.engine.memory import (
    CTX_STEP,
    MemoryEstimate,
    Need,
    Place,
    estimate,
    require_memory,
    taken,
)
from blendin_local.engine.placement import Part, parts_of
from blendin_local.engine.prefill import batch_tokens, prefill_chunk
from blendin_local.settings import DEFAULT_CTX_SIZE, ModelSettings

LEAST_CTX = 2 * CTX_STEP  # a smaller context is not proposed
SMALLER = "use a smaller --ctx-size, --kv-type q8_0, a smaller quantization or a smaller model"
ALSO = "--kv-type q8_0, a smaller quantization and a smaller model take less too"
NOTHING = MemoryEstimate(0, 0, 0)


@dataclass(frozen=True)
class MemoryPlan:
    """Models, how they are run, and the memory there is.

    Attributes:
        files: The models in the order in which they are loaded.
        places: RAM, then each device.
        n_parallel: How many conversations each has room for.
        n_search: How many of these a search needs; 0 without one.
        gated: The roles of models that method `steer` runs in further contexts, from `gated_roles`.
    """

    files: Mapping[Role, tuple[Header, ModelSettings]]
    places: Sequence[Place]
    n_parallel: int = 1
    n_search: int = 0
    gated: frozenset[Role] = frozenset()

    def needs(self) -> list[Need]:
        """What each model takes; devices share its layers by what the models before it leave free."""
        free = [place.free for place in self.places[1:]]
        found = []
        for role, (header, settings) in self.files.items():
            parts = memory_parts(header, settings, self.n_parallel, free, is_gated=role in self.gated)
            free = [max(0, n - part.total) for n, part in zip(free, parts[1:], strict=True)]
            found.append(Need(f"{role} {header.path.name}", parts))
        return found

    def taken(self) -> list[int]:
        """Bytes in each place."""
        return taken(self.needs(), self.places)

    def fits(self) -> bool:
        """Whether every place has room."""
        return all(n <= place.free for n, place in zip(self.taken(), self.places, strict=True))

    def require(self) -> None:
        """Raise `LoadError`, with every number and what would fit, unless every place has room."""
        require_memory(self.needs(), self.places, self.remedy)

    def remedy(self) -> str:
        """Values of `-ngl`, `-c`, `--parallel` and `--search` with which it would fit, each by itself."""
        found = {
            "-ngl": self._layers(),
            "-c": self._context(),
            "--parallel": self._parallel(),
            "a --search with W * K of at most": self._search(),
        }
        fitting = [f"{flag} {value}" for flag, value in found.items() if value is not None]
        return f"it would fit with {' or '.join(fitting)}; {ALSO}" if fitting else SMALLER

    def _layers(self) -> int | None:
        """The largest number of layers on the devices that fits; None if none does or there is no device."""
        most = max((header.n_layers for header, _ in self.files.values()), default=-1) + 1
        tries = range(most, -1, -1) if len(self.places) > 1 else ()
        return next((n for n in tries if self._having(n_gpu_layers=n).fits()), None)

    def _context(self) -> int | None:
        """The largest smaller context that fits; None if none does."""
        now = max((context_size(*file) for file in self.files.values()), default=0)
        steps = range(LEAST_CTX // CTX_STEP, -(-now // CTX_STEP))
        fitting = bisect_left(steps, True, key=lambda n: not self._having(ctx_size=n * CTX_STEP).fits())
        return steps[fitting - 1] * CTX_STEP if fitting else None

    def _parallel(self) -> int | None:
        """The largest smaller number of conversations at once that fits; None if none does."""
        return self._largest(range(self.n_parallel - 1, max(0, self.n_search - 1), -1))

    def _search(self) -> int | None:
        """The largest number of sequences that a smaller search can write; None if it need not be smaller."""
        if self.n_parallel > self.n_search:
            return None
        found = self._largest(range(self.n_search - 1, 1, -1))
        return found and found - 1  # one is for the scores

    def _largest(self, tries: range) -> int | None:
        return next((n for n in tries if replace(self, n_parallel=n).fits()), None)

    def _having(self, **changes: Any) -> MemoryPlan:  # noqa: ANN401 - fields of ModelSettings
        files = {role: (header, replace(old, **changes)) for role, (header, old) in self.files.items()}
        return replace(self, files=files)


def gated_roles(files: Mapping[Role, tuple[Header, ModelSettings]]) -> frozenset[Role]:
    """The roles whose control vector has a gate.

    Raises:
        LoadError: The file of a control vector cannot be used.
        PairError: It does not fit its model.
    """
    vectors = {
        role: fitting_control_vector(of.control_vector, header) for role, (header, of) in files.items()
    }
    return frozenset(role for role, vector in vectors.items() if vector is not None and vector.gate)


def memory_parts(
    header: Header, settings: ModelSettings, n_parallel: int, free: Sequence[int], *, is_gated: bool = False
) -> tuple[MemoryEstimate, ...]:
    """The estimated memory of a model with a context for `n_parallel` conversations: RAM, then each device.

    Args:
        header: The model.
        settings: How it is run.
        n_parallel: Conversations that share its context.
        free: Bytes free on each device.
        is_gated: As for `memory_estimate`.
    """
    if not free or settings.n_gpu_layers == 0:
        everything = memory_estimate(header, settings, n_parallel, is_gated=is_gated)
        return (everything, *(NOTHING for _ in free))
    parts = parts_of(header.n_layers, settings.n_gpu_layers, free)
    return tuple(memory_estimate(header, settings, n_parallel, part, is_gated=is_gated) for part in parts)


def memory_estimate(
    header: Header,
    settings: ModelSettings,
    n_parallel: int = 1,
    part: Part | None = None,
    *,
    is_gated: bool = False,
) -> MemoryEstimate:
    """The estimated memory of a model in one place, with a context for `n_parallel` conversations.

    Args:
        header: The model.
        settings: How it is run.
        n_parallel: Conversations that share its context.
        part: What of it lies in that place; None for everything.
        is_gated: Whether its control vector has a gate. Then there may be two contexts more: one for the
            answers that are not steered, and one that reads a prompt for the gate.
    """
    first = _estimate(header, settings, n_parallel, part)
    further = [_estimate(header, settings, n, part) for n in (n_parallel, 1)] if is_gated else []
    return sum((replace(each, weights=0) for each in further), first)


def _estimate(header: Header, settings: ModelSettings, n_parallel: int, part: Part | None) -> MemoryEstimate:
    return estimate(
        header,
        context_size(header, settings) * n_parallel,
        settings.kv_type,
        part=part,
        n_ubatch=batch_tokens(prefill_chunk(settings, offloads=part is not None), n_parallel),
        n_outputs=n_outputs(n_parallel),
        n_sequences=n_parallel,
        flash_attention=settings.flash_attention != "off",
        swa_full=settings.swa_full,
        mmap=settings.mmap,
    )


def context_size(header: Header, settings: ModelSettings) -> int:
    """The requested context size, or the default, or less if the model was trained on less."""
    return settings.ctx_size or min(DEFAULT_CTX_SIZE, header.ctx_train or DEFAULT_CTX_SIZE)
