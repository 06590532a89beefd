"""Trial load: an unknown file is loaded in a child process first, so that a crash ends only that process.

Here: `require_loadable`, and the child's side, which loads a model as this process would, reads a few tokens
and looks at what comes out.
Not here: which files have passed before (`engine.trial_cache`), what is seen without llama.cpp
(`engine.gguf.bounds`), the child process itself (`bounded_process`).
llama.cpp reports much of what is wrong with a file by ending the process. The child is no sandbox: code that
a file could make llama.cpp run would run as the user all the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from blendin_local.bounded_process import BoundedProcess, BoundedProcessError, serve
from blendin_local.engine.context import Context
from blendin_local.engine.gguf.header import Header
from blendin_local.engine.library import library
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.model import Model, open_vocabulary
from blendin_local.engine.trial_cache import TrialCache, identity
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import BlendinError, LoadError, PairError
from blendin_local.settings import ModelSettings

MODULE = "blendin_local.engine.trial_load"
MODEL, VOCABULARY = "model", "vocabulary"
SPARE_BYTES = 2**30  # beside the file
CPU_S, CPU_BYTES_PER_S = 12, 2**24  # limits an endless loop: seconds, plus one per this many bytes
WALL_S, WALL_BYTES_PER_S = 120, 2**22  # a slow disk is waited for
MAX_THREADS = 4  # each reserves address space
CTX_SIZE = 64
TEXT = "Hello, world"
MAX_MESSAGE_CHARS = 1000
DAMAGED = "the file is damaged, or llama.cpp cannot run it; fetch it again from a place you trust"


def require_loadable(
    files: Sequence[tuple[Header, ModelSettings]],
    trial_cache: TrialCache,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    what: str = MODEL,
    on_trial: Callable[[Header], None] = lambda _: None,
) -> None:
    """Load files that are not known yet in a child; those that pass are remembered.

    Args:
        files: The models, and how they are to be run.
        trial_cache: Which have passed before.
        should_stop: Polled; ends the child.
        what: `MODEL`, or `VOCABULARY` where no weights will be loaded.
        on_trial: Called before each file that is loaded in the child.

    Raises:
        LoadError: A file ends, hangs or fills the child, or is refused, or its weights give no numbers.
        PairError: It is no model that continues text.
        KeyboardInterrupt: `should_stop` became true.
    """
    unknown = [(name, *file) for file in files if (name := _unknown(*file, trial_cache, what))]
    if not unknown:
        return
    with closing(BoundedProcess(MODULE, max(_bytes(header) for _, header, _ in unknown))) as child:
        for name, header, settings in unknown:
            on_trial(header)
            _try(child, header, settings, what, should_stop)
            trial_cache.remember(name, header)


def _unknown(header: Header, settings: ModelSettings, trial_cache: TrialCache, what: str) -> str:
    """A file's identity; empty if it has passed before, with its weights or, for the vocabulary, without."""
    try:
        names = [identity(header, settings, kind) for kind in dict.fromkeys((what, MODEL))]
    except OSError as error:
        raise LoadError(f"{header.path} cannot be read: {error.strerror}", "check its permissions") from error
    return "" if any(trial_cache.knows(name) for name in names) else names[0]


def _bytes(header: Header) -> int:
    return header.file_size + header.repacked_bytes + SPARE_BYTES


def _try(
    child: BoundedProcess, header: Header, settings: ModelSettings, what: str, should_stop: Callable[[], bool]
) -> None:
    request = {"path": str(header.path), "what": what, "bytes": _bytes(header), "settings": asdict(settings)}
    request["cpu_s"] = CPU_S + header.file_size // CPU_BYTES_PER_S
    seconds = WALL_S + header.file_size / WALL_BYTES_PER_S
    try:
        answer = child.ask(json.dumps(request).encode(), seconds, should_stop)
    except BoundedProcessError as error:
        raise LoadError(
            f"{header.path} cannot be loaded: a trial load in a process of its own failed: {_reason(error)}",
            DAMAGED,
        ) from error
    refusal = json.loads(answer)
    if refusal:
        raise _refused(refusal)


def _refused(refusal: Mapping[str, str]) -> BlendinError:
    kind = PairError if refusal["error"] == "PairError" else LoadError
    return kind(_one_line(refusal["message"]), refusal["hint"])


def _reason(error: BoundedProcessError) -> str:
    """What happened, with the last line that llama.cpp wrote."""
    if "SIGXCPU" in str(error):
        return "it took too long"
    lines = [line.strip() for line in error.log.splitlines() if line.strip()]
    asserts = [line[line.index("GGML_ASSERT") :] for line in lines if "GGML_ASSERT" in line]
    return _one_line(": ".join([str(error), *(asserts or lines)[-1:]]))


def _one_line(text: str) -> str:
    """llama.cpp's message as one printable line; it may quote the file."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_MESSAGE_CHARS]


def _answer(request: bytes) -> bytes:
    """The child's side: load what is asked for; empty if all went well, else the refusal."""
    trial: dict[str, Any] = json.loads(request)
    _limit(trial["bytes"], trial["cpu_s"])
    settings = replace(ModelSettings(**trial["settings"]), n_gpu_layers=0)
    path = Path(trial["path"])
    try:
        if trial["what"] == VOCABULARY:
            with open_vocabulary(path) as vocabulary:
                vocabulary.tokenize_prompt([Span(TEXT, trusted=False)])
        else:
            _load(path, settings)
    except BlendinError as error:
        refusal = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        return json.dumps(refusal).encode()
    return b"{}"


def _load(path: Path, settings: ModelSettings) -> None:
    """Load a model, read a text as a prompt is read, and look at the numbers.

    Raises:
        BlendinError: llama.cpp refused it, or no answer can come of its numbers.
    """
    with closing(Model(path, settings)) as model:
        vocabulary = model.vocabulary
        _ = vocabulary.fallback_ids, vocabulary.control_strings, model.chat_template
        ids = vocabulary.tokenize_prompt([Span(TEXT, trusted=True), Span(TEXT, trusted=False)]) or [0]
        with closing(Context(model, CTX_SIZE, min(MAX_THREADS, usable_threads()))) as context:
            [sequence] = context.sequences
            sequence.begin(ids[: CTX_SIZE - 1])
            [logits] = context.predict([sequence])
            _require_numbers(path, logits)


def _require_numbers(path: Path, logits: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    largest, smallest = float(np.max(logits)), float(np.min(logits))
    if np.isnan(largest) or np.isinf(largest):
        raise LoadError(f"{path} cannot be used: its weights give no numbers ({largest})", DAMAGED)
    if largest == smallest:
        raise LoadError(f"{path} cannot be used: its weights give every token the same probability", DAMAGED)


def _limit(size: int, cpu_s: int) -> None:
    """Bound address space and processor time, on top of what was taken before this request."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {"RLIMIT_CPU": int(used.ru_utime + used.ru_stime) + cpu_s}
    if not library().api.llama_supports_gpu_offload():  # drivers reserve address space without end
        limits["RLIMIT_AS"] = size + psutil.Process().memory_info().vms
    for name, value in limits.items():
        with suppress(OSError, ValueError, AttributeError):
            kind = getattr(resource, name)
            hard_limit = resource.getrlimit(kind)[1]
            resource.setrlimit(
                kind, (value if hard_limit == resource.RLIM_INFINITY else min(value, hard_limit), hard_limit)
            )


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the trial runs on the processor
    library()  # before memory is bounded
    serve(_answer)
