"""The memory that the models of a pair take together, and what would fit where they do not.

Here: `MemoryPlan`; `memory_parts` and `memory_estimate`, of one model with its settings; `context_size`.
Not here: the formulas (`engine.memory`), the loading (`decode.loaded_model`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.engine.batch import n_outputs
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
    """

    files: Mapping[Role, tuple[Header, ModelSettings]]
    places: Sequence[Place]
    n_parallel: int = 1

    def needs(self) -> list[Need]:
        """What each model takes; devices share its layers by what the models before it leave free."""
        free = [place.free for place in self.places[1:]]
        found = []
        for role, (header, settings) in self.files.items():
            parts = memory_parts(header, settings, self.n_parallel, free)
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
        """Values of `-ngl`, `-c` and `--parallel` with which it would fit, each by itself."""
        found = {"-ngl": self._layers(), "-c": self._context(), "--parallel": self._parallel()}
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
        tries = range(self.n_parallel - 1, 0, -1)
        return next((n for n in tries if replace(self, n_parallel=n).fits()), None)

    def _having(self, **changes: Any) -> MemoryPlan:  # noqa: ANN401 - fields of ModelSettings
        files = {role: (header, replace(old, **changes)) for role, (header, old) in self.files.items()}
        return replace(self, files=files)


def memory_parts(
    header: Header, settings: ModelSettings, n_parallel: int, free: Sequence[int]
) -> tuple[MemoryEstimate, ...]:
    """The estimated memory of a model with a context for `n_parallel` conversations: RAM, then each device.

    Args:
        header: The model.
        settings: How it is run.
        n_parallel: Conversations that share its context.
        free: Bytes free on each device.
    """
    if not free or settings.n_gpu_layers == 0:
        return (_estimate(header, settings, n_parallel), *(NOTHING for _ in free))
    parts = parts_of(header.n_layers, settings.n_gpu_layers, free)
    return tuple(_estimate(header, settings, n_parallel, part) for part in parts)


def memory_estimate(header: Header, settings: ModelSettings, n_parallel: int = 1) -> MemoryEstimate:
    """The estimated memory of a model in one place, with a context for `n_parallel` conversations."""
    return _estimate(header, settings, n_parallel)


def _estimate(
    header: Header, settings: ModelSettings, n_parallel: int, part: Part | None = None
) -> MemoryEstimate:
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
