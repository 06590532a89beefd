"""A loaded model: weights, vocabulary and what its architecture can do.

Here: `Model`, loading with its failures, and which kind of memory its layers have; `open_vocabulary`.
Not here: estimates before loading (`engine.memory`), contexts (`engine.context`), whether a file is safe to
load (`engine.trial_load`): outside this package nothing is loaded that has not passed there.
Source: llama.h; `llama_model_load_from_file` gives its reasons only in the log.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from blendin_local.engine.build import can_offload
from blendin_local.engine.callbacks import StopCallback
from blendin_local.engine.library import library, set_fields
from blendin_local.engine.placement import offloaded_layers
from blendin_local.engine.vocabulary import Vocabulary
from blendin_local.engine.vocabulary_cache import VocabularyEntry
from blendin_local.errors import LoadError, PairError
from blendin_local.settings import ModelSettings

ALL_LAYERS = -1
_NO_DEVICES = (ctypes.c_void_p * 1)(None)  # a list of devices that ends at once
LOAD_MODES = {False: 0, True: 1}  # LLAMA_LOAD_MODE_NONE, LLAMA_LOAD_MODE_MMAP


class MemoryKind(Enum):
    """What a model remembers of the text, and so how it can be rewound."""

    PLAIN = "plain attention"
    SLIDING = "sliding windows"
    RECURRENT = "recurrent"
    HYBRID = "hybrid"


class Model:
    """One model in memory. Close it after all its contexts.

    Args:
        path: A local GGUF file.
        settings: Layers on the GPU, mapping of the file.
        should_stop: Polled while weights are read; loading ends with KeyboardInterrupt when it is true.
        entry: Where the vocabulary's tables are kept, made before; None to read them from llama.cpp.

    Raises:
        LoadError: llama.cpp refused the file; the message has its reason.
        PairError: The model has no decoder that continues text.
    """

    def __init__(
        self,
        path: Path,
        settings: ModelSettings,
        should_stop: Callable[[], bool] = lambda: False,
        entry: VocabularyEntry | None = None,
    ) -> None:
        self.path = path
        self.settings = settings
        self._api = library().api
        self.handle: Any = self._load(should_stop)
        try:
            self._require_decoder()
            self.vocabulary = Vocabulary(self.handle, entry)
        except BaseException:  # Ctrl-C too: reading a large vocabulary takes seconds
            self.close()
            raise

    def _load(self, should_stop: Callable[[], bool]) -> Any:
        parameters = self._api.llama_model_default_params()
        layers = self.settings.n_gpu_layers
        go_on = StopCallback(self._api.llama_progress_callback, lambda: not should_stop(), stop_value=False)
        if layers == 0:  # without a device llama.cpp repacks weights for the processor
            set_fields(parameters, devices=ctypes.addressof(_NO_DEVICES))
        set_fields(
            parameters,
            n_gpu_layers=ALL_LAYERS if layers is None else layers,
            load_mode=self._api.LLAMA_LOAD_MODE_MMAP
            if self.settings.mmap
            else self._api.LLAMA_LOAD_MODE_NONE,
            progress_callback=go_on.function,
        )
        library().clear_errors()
        handle = self._api.llama_model_load_from_file(os.fsencode(self.path), parameters)
        try:
            go_on.raise_again()
        except BaseException:
            self._free(handle)
            raise
        if handle is None:
            if should_stop():
                raise KeyboardInterrupt
            raise LoadError(
                f"{self.path} cannot be loaded: {library().reason('llama.cpp gave no reason')}",
                "check that the download is complete and that it is a text model in GGUF form",
            )
        return handle

    def _free(self, handle: Any) -> None:
        if handle is not None:
            self._api.llama_model_free(handle)

    def _require_decoder(self) -> None:
        if self._api.llama_model_has_encoder(self.handle) or not self._api.llama_model_has_decoder(
            self.handle
        ):
            raise PairError(
                f"{self.path} is an encoder model, which does not continue text",
                "use a decoder-only model such as Llama, Gemma or Qwen",
            )

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self._api.llama_model_n_layer(self.handle))

    @cached_property
    def n_offloaded(self) -> int:
        """How many layers are on a GPU, the output counted as one."""
        return offloaded_layers(self.n_layers, self.settings.n_gpu_layers) if can_offload() else 0

    @property
    def n_ctx_train(self) -> int:
        """Length of the texts the model was trained on, in tokens."""
        return int(self._api.llama_model_n_ctx_train(self.handle))

    @property
    def n_sliding_window(self) -> int:
        """Length of the sliding window, 0 if there is none."""
        return int(self._api.llama_model_n_swa(self.handle))

    @property
    def memory_kind(self) -> MemoryKind:
        """How the model remembers text."""
        if self._api.llama_model_is_recurrent(self.handle):
            return MemoryKind.RECURRENT
        if self._api.llama_model_is_hybrid(self.handle):
            return MemoryKind.HYBRID
        return MemoryKind.SLIDING if self.n_sliding_window > 0 else MemoryKind.PLAIN

    @property
    def chat_template(self) -> str | None:
        """The Jinja chat template in the file, if it has one."""
        text: bytes | None = self._api.llama_model_chat_template(self.handle, None)
        return None if text is None else text.decode("utf-8", "replace")

    def close(self) -> None:
        """Free the weights; calling it twice is harmless."""
        self._free(self.handle)
        self.handle = None


@contextmanager
def open_vocabulary(path: Path, entry: VocabularyEntry | None = None) -> Iterator[Vocabulary]:
    """A model's vocabulary alone, without its weights; it is gone after the block.

    Args:
        path: A local GGUF file.
        entry: As in `Model`.

    Raises:
        LoadError: llama.cpp refused the file.
    """
    api = library().api
    parameters = api.llama_model_default_params()
    set_fields(parameters, vocab_only=True)
    library().clear_errors()
    handle = api.llama_model_load_from_file(os.fsencode(path), parameters)
    if handle is None:
        raise LoadError(
            f"{path} cannot be loaded: {library().reason('llama.cpp gave no reason')}",
            "check that the download is complete and that it is a text model in GGUF form",
        )
    try:
        yield Vocabulary(handle, entry)
    finally:
        api.llama_model_free(handle)
