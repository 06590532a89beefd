"""Several models loaded at once, each in a thread of its own.

Here: `load_together`, and `can_overlap`, whether that is worth it and tells errors apart.
Not here: what is loaded and checked (`decode.loaded_model`).
llama.cpp builds a vocabulary and copies weights on one core, and ctypes holds no lock meanwhile. What it logs
is one account for all threads: whoever needs its words loads one model after another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Protocol, TypeVar

from blendin_local.core.methods import Role
from blendin_local.engine.library import library
from blendin_local.engine.machine import usable_threads
from blendin_local.settings import ModelSettings

POLL_S = 0.05

Stop = Callable[[], bool]


class _Closable(Protocol):
    def close(self) -> None: ...


Loaded = TypeVar("Loaded", bound=_Closable)


def can_overlap(settings: Collection[ModelSettings]) -> bool:
    """Whether models with these settings are loaded at once.

    They are not where one core is left, where somebody reads llama.cpp's log, and where weights go to a GPU:
    drivers are not asked for more than llama.cpp's own programs ask for.
    """
    api = library().api
    offloads = api.llama_supports_gpu_offload() and any(each.n_gpu_layers != 0 for each in settings)
    return len(settings) > 1 and usable_threads() > 1 and not library().has_listener and not offloads


def load_together(
    loaders: Mapping[Role, Callable[[Stop], Loaded]], here: Role, should_stop: Stop
) -> dict[Role, Loaded]:
    """Load one model in this thread, where signals arrive, and the others beside it.

    Args:
        loaders: Each loads a model, and ends with KeyboardInterrupt when its argument becomes true.
        here: Which one is loaded in this thread: the largest.
        should_stop: Polled in this thread only.

    Returns:
        The models in the order of `loaders`.

    Raises:
        BaseException: The first error, this thread's before others; no model stays loaded.
    """
    cancelled = Event()
    loaded: dict[Role, Loaded] = {}
    with ThreadPoolExecutor(len(loaders), thread_name_prefix="blendin-load") as pool:
        beside = {role: pool.submit(load, cancelled.is_set) for role, load in loaders.items() if role != here}
        try:
            loaded[here] = loaders[here](should_stop)
            _await(beside.values(), should_stop)
            loaded |= {role: future.result() for role, future in beside.items()}
        except BaseException:
            cancelled.set()
            ended = [future.result() for future in beside.values() if future.exception() is None]
            for model in {*ended, *loaded.values()}:
                model.close()
            raise
    return {role: loaded[role] for role in loaders}


def _await(futures: Collection[Future[Loaded]], should_stop: Stop) -> None:
    """Wait for all; the first failure is raised without waiting for the rest."""
    while waiting := wait(futures, timeout=POLL_S, return_when=FIRST_EXCEPTION).not_done:
        for failed in set(futures) - waiting:
            failed.result()
        if should_stop():
            raise KeyboardInterrupt
