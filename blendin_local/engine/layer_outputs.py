"""What a model's layers put out: the hidden states after a text's last token.

Here: `LayerReader`, a context with llama.cpp's evaluation callback.
Not here: what is made of them (`jobs.steer`), adding to them (`engine.control_vector`).
Source: `ggml_backend_sched_compute_splits` in ggml-backend.cpp. The callback is asked of every node of the
graph whether its values are wanted, and called again with those that are. The output of layer N is named
`l_out-N`, in nearly all architectures; the last layer has rows only for tokens with logits. A text's last
token is evaluated apart, so that every layer has one row. Logits are the same to the last bit as without the
callback; a token costs some hundred calls of Python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.context import Context
from blendin_local.engine.devices import c_functions
from blendin_local.engine.library import library
from blendin_local.engine.model import Model
from blendin_local.errors import PairError, UsageError

OUTPUT = b"l_out-"
_TENSOR = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)  # C's callers clear up: two arguments stay unread


class LayerReader(Context):
    """A context for one text at a time that keeps the outputs of all layers after its last token.

    Args:
        model: The model; it must be closed after this context.
        ctx_size: The longest text, in tokens.
        threads: Threads for every evaluation.

    Raises:
        LoadError: llama.cpp could not allocate it.
        PairError: The model keeps no memory of its text.
    """

    def __init__(self, model: Model, ctx_size: int, threads: int) -> None:
        find = c_functions(library().api)
        self._name = find("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
        self._n_bytes = find("ggml_nbytes", ctypes.c_size_t, ctypes.c_void_p)
        self._copy = find(
            "ggml_backend_tensor_get",
            None,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
        )
        self._width = int(library().api.llama_model_n_embd(model.handle))
        self._rows: dict[int, NDArray[np.float32]] = {}
        self._raised: BaseException | None = None
        self._watching = self._watch()
        next(self._watching)
        self._function = _TENSOR(self._watching.send)  # must outlive the context
        super().__init__(model, ctx_size, threads)

    def _more_parameters(self) -> dict[str, Any]:
        kind = library().api.ggml_backend_sched_eval_callback
        return {"cb_eval": ctypes.cast(self._function, kind)}

    def last_token(
        self, ids: Sequence[int], should_stop: Callable[[], bool] = lambda: False
    ) -> NDArray[np.float32]:
        """The outputs of all layers after the last token of a text.

        Args:
            ids: The text's tokens, at least two: the states at position 0 are like no others.
            should_stop: Polled during long evaluations.

        Returns:
            Shape (n_layers, n_embd).

        Raises:
            ContextFullError: The text is longer than the context.
            PairError: llama.cpp does not name the outputs of this architecture's layers.
            StoppedError: `should_stop` became true.
            UsageError: There are fewer than two tokens.
        """
        if len(ids) < 2:
            raise UsageError("of a text of one token there is no state but that of position 0", "give more")
        [sequence] = self.sequences
        self._rows.clear()
        sequence.begin(list(ids))
        try:
            self.predict([sequence], should_stop)
        finally:
            self._raise_again()
        missing = set(range(self.model.n_layers)) - set(self._rows)
        if missing:
            raise PairError(
                f"the outputs of {len(missing)} layers of {self.model.path.name} cannot be read: llama.cpp "
                "does not name them for this architecture",
                "use a model of another architecture",
            )
        return np.stack([self._rows[layer] for layer in range(self.model.n_layers)])

    def _watch(self) -> Generator[bool, int, None]:
        """Answers the callback: first whether values are wanted, then, if they were, for more.

        A generator, since an exception from a signal handler is not lost in one that is suspended inside a
        `try` (`engine.callbacks`).
        """
        answer = False
        while True:
            try:
                while True:
                    tensor = yield answer
                    answer = self._wanted(tensor)
                    if answer:
                        tensor = yield True
                        self._keep(tensor)
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001 - it is raised again, after the call
                self._raised, answer = self._raised or error, False

    def _wanted(self, tensor: int) -> bool:
        is_last = self._batch.n_tokens == 1  # the tokens before it are read in larger batches, or come first
        return is_last and self._raised is None and (self._name(tensor) or b"").startswith(OUTPUT)

    def _keep(self, tensor: int) -> None:
        size = self._n_bytes(tensor)
        row = np.empty(self._width, np.float32)
        if size == row.nbytes:
            self._copy(tensor, row.ctypes.data, 0, size)
            self._rows[int((self._name(tensor) or b"")[len(OUTPUT) :])] = row

    def _raise_again(self) -> None:
        """Raise what was raised in the callback; what was read by then does not count."""
        error, self._raised = self._raised, None
        if error is not None:
            self.rewind(self.sequences[0], 0)
            raise error
