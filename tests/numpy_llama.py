"""A llama forward pass in numpy, written from the model's definition: what llama.cpp is compared with."""

from __future__ import annotations

import gguf
import numpy as np

from tests.toys import HEAD, HEADS, LAYERS, WIDTH

EPSILON = 1e-5
ROPE_BASE = 10_000.0


class NumpyLlama:
    """The plain toy of `tests.toys`, in 64-bit numbers."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.weights = {
            t.name: np.asarray(t.data, np.float64).reshape([int(n) for n in reversed(t.shape)])
            for t in reader.tensors
        }

    def layer_outputs(self, ids, added=None):
        """Outputs of all layers at all positions, shape (layers, tokens, width), and the last logits.

        `added` are rows by layer, added to each position of that layer's output, as a control vector is.
        """
        x = self.weights["token_embd.weight"][ids]
        found = []
        for layer in range(LAYERS):
            x = x + self._attention(layer, self._norm(x, f"blk.{layer}.attn_norm"))
            x = x + self._feed_forward(layer, self._norm(x, f"blk.{layer}.ffn_norm"))
            x = x + (added or {}).get(layer, 0.0)
            found.append(x)
        logits = self._norm(x, "output_norm")[-1] @ self.weights["token_embd.weight"].T
        return np.stack(found), logits

    def _norm(self, x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPSILON) * self.weights[f"{name}.weight"]

    def _matrix(self, layer, name):
        return self.weights[f"blk.{layer}.{name}.weight"].T

    def _attention(self, layer, x):
        n = len(x)
        q, k, v = (
            (x @ self._matrix(layer, f"attn_{name}")).reshape(n, HEADS, HEAD).transpose(1, 0, 2)
            for name in "qkv"
        )
        scores = self._rotated(q) @ self._rotated(k).transpose(0, 2, 1) / np.sqrt(HEAD)
        scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(n, WIDTH)
        return mixed @ self._matrix(layer, "attn_output")

    def _rotated(self, x):
        """Rotary positions: neighbouring numbers are pairs."""
        angles = np.arange(x.shape[1])[:, None] * ROPE_BASE ** (-np.arange(0, HEAD, 2) / HEAD)
        cos, sin = np.cos(angles), np.sin(angles)
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def _feed_forward(self, layer, x):
        gate = x @ self._matrix(layer, "ffn_gate")
        return (gate / (1 + np.exp(-gate)) * (x @ self._matrix(layer, "ffn_up"))) @ self._matrix(
            layer, "ffn_down"
        )
