"""A header says what a file is, and why it cannot be used."""

import ctypes
import math
import os
import struct
import time
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest

from blendin_local.engine.gguf import header as header_module
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.gguf.reader import TENSOR_TYPES, GgufFile
from blendin_local.engine.library import library
from blendin_local.engine.model import Model
from blendin_local.errors import LoadError
from blendin_local.settings import ModelSettings
from tests.toys import KINDS, WORDS, make_toy


def write_gguf(path: Path, architecture: str = "llama", **more) -> Path:
    """A tiny file of one tensor; `more` are keys under the architecture's prefix."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    keys = {"block_count": 2, "embedding_length": 8, "context_length": 64, "attention.head_count": 2, **more}
    for key, value in keys.items():
        if isinstance(value, list):
            writer.add_array(f"{architecture}.{key}", value)
        elif isinstance(value, float):
            writer.add_float32(f"{architecture}.{key}", value)
        elif isinstance(value, int) and value < 0:
            writer.add_int32(f"{architecture}.{key}", value)
        elif isinstance(value, bool):
            writer.add_bool(f"{architecture}.{key}", value)
        else:
            writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "<end>"])
    writer.add_eos_token_id(2)
    writer.add_tensor("t", np.zeros((8, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_header_tells_shape_vocabulary_and_ends(tmp_path):
    """What the keys say is what the header says, and sums are taken over the tensors."""
    path = write_gguf(tmp_path / "é x.gguf", **{"attention.head_count_kv": 1, "attention.key_length": 16})
    header = read_header(path)
    assert (header.architecture, header.name, header.vocab_kind, header.vocab_size) == (
        "llama",
        "tiny",
        "BPE",
        3,
    )
    assert header.end_tokens == ("<end>",)
    assert header.parameters == 32
    assert header.weight_bytes == 128
    assert header.kv_heads == (1, 1)
    assert header.kv_bytes_per_token("f16") == 2 * (16 + 4) * 2
    assert header.kv_bytes_per_token("q8_0") == 2 * (16 + 4) * 34 // 32
    assert header.memory == "plain"
    assert header.unusable == ""


@pytest.mark.parametrize(
    ("architecture", "keys", "memory"),
    [
        ("gemma3", {"attention.sliding_window": 16}, "sliding"),
        ("mamba", {"ssm.conv_kernel": 4, "attention.head_count": 0}, "recurrent"),
        ("lfm2", {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 2]}, "hybrid"),
        ("qwen3next", {"ssm.conv_kernel": 4, "full_attention_interval": 2}, "hybrid"),
        ("bert", {"attention.causal": False}, "none"),
        ("llama", {"attention.causal": False}, "none"),
    ],
)
def test_the_kind_of_memory_is_guessed_from_the_keys(tmp_path, architecture, keys, memory):
    """Windows, recurrent states and encoders are distinguished; layers without attention have no cache."""
    header = read_header(write_gguf(tmp_path / "m.gguf", architecture, **keys))
    assert header.memory == memory
    if memory == "hybrid":
        assert header.kv_heads == (0, 2)
    if memory == "none":
        assert "embedding" in header.unusable


@pytest.mark.parametrize("kind", KINDS)
def test_the_guess_agrees_with_the_loaded_model(tmp_path, kind):
    """What the keys tell is what llama.cpp finds when it loads the file."""
    path = make_toy(tmp_path / "toy.gguf", kind)
    header = read_header(path)
    with closing(Model(path, ModelSettings())) as model:
        assert model.memory_kind.name.lower() == header.memory == kind
    assert header.vocab_size == len(WORDS) + 259


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello world", "is not a GGUF file"),
        (b"GGUF", "damaged or cut short"),
        (b"GGUF" + b"\xff" * 60, "damaged or cut short"),
        (b"PK\x03\x04", "is not a GGUF file"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path, content, said):
    """Empty files, other formats and junk give one line that names the file."""
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=said) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_missing_files_and_directories_are_refused(tmp_path):
    """A path that leads nowhere, or to a directory, is said to."""
    with pytest.raises(LoadError, match="does not exist"):
        read_header(tmp_path / "no.gguf")
    with pytest.raises(LoadError, match="is a directory"):
        read_header(tmp_path)


def test_a_file_cut_short_anywhere_is_recognised(tmp_path):
    """However much is missing, the loss is seen; where only weights are missing both sizes are named."""
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:-1])
    with pytest.raises(LoadError, match=f"{len(whole) - 1:,} bytes of {len(whole):,}"):
        read_header(cut)
    for length in range(5, len(whole), 37):
        cut.write_bytes(whole[:length])
        with pytest.raises(LoadError, match="cut short"):
            read_header(cut)


def test_split_models_are_counted_whole(tmp_path):
    """The first part stands for all of them; a missing part and a later part are refused."""
    first = tmp_path / "m-00001-of-00002.gguf"
    second = tmp_path / "m-00002-of-00002.gguf"
    for path in (first, second):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint16("split.count", 2)
        if path == first:  # a later part does not say how many layers there are
            writer.add_block_count(2)
        writer.add_tensor("t", np.zeros((8, 4), dtype=np.float32))
        writer.add_tensor(f"blk.{(first, second).index(path)}.w", np.zeros(8, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    assert read_header(first).parameters == 64 + 16
    assert read_header(first).weights.layers == (32, 32)
    with pytest.raises(LoadError, match="not the first part"):
        read_header(second)
    second.unlink()
    with pytest.raises(LoadError, match="m-00002-of-00002"):
        read_header(first)


@pytest.mark.model
def test_the_real_base_is_read_fast_and_right(demo_base_path):
    """A vocabulary of 262,144 tokens takes a moment, and the numbers are those of the model card."""
    read_header(demo_base_path)  # llama.cpp itself is imported once
    start = time.perf_counter()
    header = read_header(demo_base_path)
    assert time.perf_counter() - start < 0.3
    assert (header.architecture, header.quantization, header.vocab_kind) == ("gemma3", "Q4_K_M", "SPM")
    assert (header.vocab_size, header.n_layers, header.sliding_window) == (262_144, 18, 512)
    assert header.parameters == 268_098_176
    assert header.kv_bytes_per_token("f16") == 18 * 1 * 512 * 2
    assert header.chat_template is None
    assert header.memory == "sliding"


@pytest.mark.model
def test_the_real_guide_has_a_template(demo_guide_path):
    """The instruct model brings a chat template and plain attention."""
    header = read_header(demo_guide_path)
    assert "<|im_start|>" in header.chat_template
    assert (header.memory, header.vocab_size, header.ctx_train) == ("plain", 49_152, 8192)
    assert header.kv_bytes_per_token("f16") == 23_040


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_is_what_another_reader_finds(tmp_path, kind):
    """Keys, tensors and where the weights begin are those that the `gguf` package reads."""
    path = make_toy(tmp_path / "toy.gguf", kind)
    known = gguf.GGUFReader(path)
    with GgufFile(path) as file:
        assert [name for name in known.fields if not name.startswith("GGUF.")] == list(file.entries)
        assert [(t.name, t.shape, t.kind, t.size) for t in file.tensors] == [
            (t.name, tuple(t.shape), int(t.tensor_type), t.n_bytes) for t in known.tensors
        ]
        assert file.header_bytes == known.data_offset
        for name in file.entries:
            found = file.raw_numbers(name) or file.value(name)
            if found is not None:
                contents = known.fields[name].contents()
                assert found == (contents if isinstance(contents, str) else tuple(np.atleast_1d(contents)))


def test_sizes_of_number_formats_are_those_of_llama_cpp():
    """Every format that llama.cpp knows has its block and its bytes here, and no removed one has any."""
    lib = library().api._lib
    lib.ggml_blck_size.restype = lib.ggml_type_size.restype = ctypes.c_size_t
    known = {i: (lib.ggml_blck_size(i), lib.ggml_type_size(i)) for i in range(43)}
    assert {i: sizes for i, sizes in known.items() if sizes[0]} == TENSOR_TYPES


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", 0),
        ("block_count", 2**31 - 1),
        ("embedding_length", 2**31),
        ("context_length", 0),
        ("attention.head_count", 2**31 - 1),
        ("feed_forward_length", [2**25, 1]),
        ("attention.layer_norm_rms_epsilon", math.nan),
        ("attention.layer_norm_rms_epsilon", 0.0),
        ("rope.freq_base", math.inf),
        ("attention.some_scale", math.nan),
        ("expert_count", 2**31 - 1),
        ("expert_used_count", 3),
        ("attention.head_count", -1),
    ],
)
def test_a_value_that_cannot_be_is_named(tmp_path, key, value):
    """A count, a width or a number that nothing may be multiplied by is refused with file, key and value."""
    path = write_gguf(tmp_path / "m.gguf", **{key: value})
    with pytest.raises(LoadError) as caught:
        read_header(path)
    shown = caught.value.message
    assert str(path) in shown
    assert f"llama.{key}" in shown
    assert str(value[0] if isinstance(value, list) else value) in shown
    assert "\n" not in shown


def _packed(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _raw(n_tensors: int, keys: list[bytes], tensors: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, len(keys)) + b"".join(keys) + tensors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_raw(2**40, []), "number of tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "number of keys"),
        (_raw(0, [struct.pack("<Q", 2**63) + b"x"]), "length of a key"),
        (_raw(0, [_packed(b"k") + struct.pack("<IQ", 8, 2**40)]), "does not end"),
        (_raw(0, [_packed(b"k") + struct.pack("<IIQ", 9, 8, 2**60)]), "does not end"),
        (_raw(0, [_packed(b"k") + struct.pack("<IIQ", 9, 9, 1) + bytes(64)]), "unknown type 9"),
        (_raw(0, [_packed(b"k") + struct.pack("<II", 4, 1)] * 2), "comes twice"),
        (_raw(0, [_packed(b"general.alignment") + struct.pack("<II", 4, 0)]), "alignment"),
        (_raw(0, [_packed(b"general.alignment") + struct.pack("<II", 4, 24)]), "alignment"),
        (
            _raw(0, [_packed(b"general.file_type") + struct.pack("<If", 6, math.nan)]),
            "general.file_type is nan",
        ),
        (_raw(0, [_packed(b"general.name") + struct.pack("<I", 8) + _packed(bytes(2**21))]), "general.name"),
        (_raw(1, [], _packed(b"t") + struct.pack("<IQIQ", 1, 32, 5, 0)), "unknown type 5"),
        (_raw(1, [], _packed(b"t") + struct.pack("<IQIQ", 1, 33, 2, 0)), "no multiple of 32"),
        (_raw(1, [], _packed(b"t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)), "shape"),
        (_raw(1, [], _packed(b"t") + struct.pack("<IQIQ", 1, 32, 0, 64)), "lies at 64"),
        (_raw(2, [], (_packed(b"t") + struct.pack("<IQIQ", 1, 32, 0, 0)) * 2), "comes twice"),
        (_raw(1, [], _packed(b"t" * 99) + struct.pack("<IQIQ", 1, 32, 0, 0)), "tensor's name"),
        (_raw(1, [], _packed(b"t") + struct.pack("<IQ", 99, 32)), "number of dimensions"),
    ],
)
def test_a_count_that_cannot_be_is_refused_before_it_is_believed(tmp_path, content, said):
    """Counts, lengths, types and places are checked against what is there; one line says which."""
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    started = time.perf_counter()
    with pytest.raises(LoadError, match=said) as caught:
        read_header(path)
    assert time.perf_counter() - started < 1
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", ["scores", "token_type"])
def test_arrays_of_the_vocabulary_are_as_long_as_it(tmp_path, name):
    """llama.cpp reads an entry for each token from them."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_token_list(["a", "b"])
    writer.add_array(f"tokenizer.ggml.{name}", [1, 2, 3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(LoadError, match=f"{name} is an array of 3 for 2 tokens"):
        read_header(tmp_path / "m.gguf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    """What is no regular file may never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LoadError, match="no regular file"):
        read_header(tmp_path / "pipe")


@pytest.fixture
def readings(monkeypatch):
    """The files whose bytes are read."""
    read = []

    class Counted(GgufFile):
        def __init__(self, path):
            super().__init__(path)
            read.append(path)

    monkeypatch.setattr(header_module, "GgufFile", Counted)
    return read


def test_an_unchanged_file_is_read_once(tmp_path, readings, monkeypatch):
    """The same header comes again without its bytes; a file that was changed is read again."""
    monkeypatch.setattr(header_module, "RECENT_NS", 0)
    path = write_gguf(tmp_path / "a.gguf")
    time.sleep(0.02)

    assert [read_header(path).n_layers, read_header(path).n_layers] == [2, 2]
    assert readings == [path]
    write_gguf(path, block_count=3)
    time.sleep(0.02)
    assert [read_header(path).n_layers, read_header(path).n_layers] == [3, 3]
    assert len(readings) == 2


def test_a_file_changed_just_now_is_read_each_time(tmp_path, readings):
    """Two changes within a tick of the clock leave the same times: neither is believed for a while."""
    path = write_gguf(tmp_path / "a.gguf")
    for layers in (3, 4, 5):
        write_gguf(path, block_count=layers)
        assert [read_header(path).n_layers, read_header(path).n_layers] == [layers, layers]
    assert len(readings) == 6
