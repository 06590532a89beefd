"""Tiny GGUF models with random weights, made on the spot: one for each kind of memory.

Their vocabulary is SentencePiece: three control tokens, 256 bytes and a handful of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, HEAD, FEED = 32, 2, 2, 16, 64
WORDS = ["▁the", "▁a", "he", "ll", "▁hell", "o", "e", "l", "h", "▁", "▁w", "or", "d", "\n", "."]
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
CHAT_TOKENS = {
    "<|im_start|>": 3,
    "<|im_end|>": 3,
    "<think>": 4,
    "</think>": 4,
    "<tool_call>": 4,
}  # control, added
KINDS = ("plain", "sliding", "recurrent", "hybrid")


def make_toy(
    path: Path,
    kind: str,
    *,
    seed: int = 0,
    template: str | None = TEMPLATE,
    ctx: int = 2048,
    special: Mapping[str, int] | None = None,
) -> Path:
    """Write a toy model of one kind of memory; `special` are further tokens with their types."""
    architecture = {"plain": "llama", "sliding": "gemma3", "recurrent": "mamba", "hybrid": "lfm2"}[kind]
    writer = gguf.GGUFWriter(path, architecture)
    tensors = _Tensors(writer, np.random.default_rng(seed))
    n_vocab = _vocabulary(writer, special or {})
    writer.add_context_length(ctx)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    if template is not None:
        writer.add_chat_template(template)
    if kind == "hybrid":
        writer.add_vocab_size(n_vocab)
    {"plain": _plain, "sliding": _sliding, "recurrent": _recurrent, "hybrid": _hybrid}[kind](writer, tensors)
    norm = "token_embd_norm" if kind == "hybrid" else "output_norm"
    tensors.add("token_embd.weight", n_vocab, WIDTH, scale=0.4)
    tensors.ones(f"{norm}.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_vector(
    path: Path, directions: Mapping[int, np.ndarray], *, hint: str = "llama", kind: str = "controlvector"
) -> Path:
    """Write a control vector in llama.cpp's form."""
    writer = gguf.GGUFWriter(path, kind)
    writer.add_string("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(directions))
    for layer, direction in directions.items():
        writer.add_tensor(f"direction.{layer}", direction)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class _Tensors:
    def __init__(self, writer: gguf.GGUFWriter, rng: np.random.Generator) -> None:
        self._writer, self._rng = writer, rng

    def add(self, name: str, *shape: int, scale: float = 0.2, shift: float = 0.0) -> None:
        values = self._rng.normal(size=shape) * scale + shift
        self._writer.add_tensor(name, values.astype(np.float32))

    def ones(self, name: str, *shape: int) -> None:
        self._writer.add_tensor(name, np.ones(shape, np.float32))


def _vocabulary(writer: gguf.GGUFWriter, special: Mapping[str, int]) -> int:
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + WORDS
    types = [2, 3, 3] + [6] * 256 + [1] * len(WORDS)
    tokens += special
    types += special.values()
    scores = [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    return len(tokens)


def _attention(writer: gguf.GGUFWriter, *, kv_heads: int | list[int]) -> None:
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(kv_heads)
    writer.add_feed_forward_length(FEED)


def _blocks(tensors: _Tensors, layer: int, *, attention: bool = True) -> None:
    prefix = f"blk.{layer}."
    tensors.ones(prefix + "attn_norm.weight", WIDTH)
    tensors.ones(prefix + "ffn_norm.weight", WIDTH)
    if attention:
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors.add(f"{prefix}{name}.weight", WIDTH, WIDTH)
    tensors.add(prefix + "ffn_gate.weight", FEED, WIDTH)
    tensors.add(prefix + "ffn_up.weight", FEED, WIDTH)
    tensors.add(prefix + "ffn_down.weight", WIDTH, FEED)


def _plain(writer: gguf.GGUFWriter, tensors: _Tensors) -> None:
    _attention(writer, kv_heads=HEADS)
    writer.add_rope_dimension_count(HEAD)
    for layer in range(LAYERS):
        _blocks(tensors, layer)


def _sliding(writer: gguf.GGUFWriter, tensors: _Tensors) -> None:
    _attention(writer, kv_heads=HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_sliding_window(64)
    for layer in range(LAYERS):
        _blocks(tensors, layer)
        for name, width in (
            ("attn_q_norm", HEAD),
            ("attn_k_norm", HEAD),
            ("post_attention_norm", WIDTH),
            ("post_ffw_norm", WIDTH),
        ):
            tensors.ones(f"blk.{layer}.{name}.weight", width)


def _recurrent(writer: gguf.GGUFWriter, tensors: _Tensors) -> None:
    inner, state, rank, conv = 2 * WIDTH, 16, 8, 4
    writer.add_ssm_conv_kernel(conv)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        tensors.ones(prefix + "attn_norm.weight", WIDTH)
        tensors.add(prefix + "ssm_in.weight", 2 * inner, WIDTH)
        tensors.add(prefix + "ssm_conv1d.weight", inner, conv)
        tensors.add(prefix + "ssm_conv1d.bias", inner)
        tensors.add(prefix + "ssm_x.weight", rank + 2 * state, inner)
        tensors.add(prefix + "ssm_dt.weight", inner, rank)
        tensors.add(prefix + "ssm_dt.bias", inner, shift=-4)  # small steps: the state remembers
        writer.add_tensor(prefix + "ssm_a", -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1)))
        tensors.ones(prefix + "ssm_d", inner)
        tensors.add(prefix + "ssm_out.weight", WIDTH, inner)


def _hybrid(writer: gguf.GGUFWriter, tensors: _Tensors) -> None:
    _attention(writer, kv_heads=[0, HEADS])
    writer.add_shortconv_l_cache(3)
    for layer in range(LAYERS):
        _blocks(tensors, layer, attention=layer == 1)
        prefix = f"blk.{layer}."
        if layer == 1:
            tensors.ones(prefix + "attn_q_norm.weight", HEAD)
            tensors.ones(prefix + "attn_k_norm.weight", HEAD)
        else:
            tensors.add(prefix + "shortconv.conv.weight", WIDTH, 3)
            tensors.add(prefix + "shortconv.in_proj.weight", 3 * WIDTH, WIDTH)
            tensors.add(prefix + "shortconv.out_proj.weight", WIDTH, WIDTH)
