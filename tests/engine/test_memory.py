"""Estimates add up, limits of containers count, and a refusal names every number."""

import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from blendin_local.decode.memory_plan import memory_estimate
from blendin_local.engine.context import Context
from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.engine.library import library
from blendin_local.engine.machine import Readers, available_memory, cpu_quota, usable_threads
from blendin_local.engine.memory import (
    CHECKPOINTS,
    MIB,
    MemoryEstimate,
    Need,
    Place,
    estimate,
    require_memory,
)
from blendin_local.engine.model import Model
from blendin_local.errors import LoadError
from blendin_local.settings import ModelSettings
from tests import toys
from tests.toys import KINDS, make_toy

HEADER = Header(
    path=Path("m.gguf"), architecture="gemma3", name="", license="", parameters=268_098_176,
    quantization="Q4_K_M", file_size=253_113_024, weight_bytes=246_587_904, n_layers=18, ctx_train=32_768,
    n_embd=640, n_ff=2048,
    n_heads=4, kv_heads=(1,) * 18, key_length=256, value_length=256, sliding_window=512, state_bytes=0,
    memory="sliding", vocab_kind="SPM", vocab_size=262_144, chat_template=None, end_tokens=(), n_parts=1,
    unusable="",
)  # fmt: skip


def test_the_cache_grows_with_context_and_format():
    """The KV cache is bytes per token times context, padded; a smaller format takes less."""
    assert estimate(HEADER, 8192).kv_cache == 144 * MIB
    assert estimate(HEADER, 8000).kv_cache == 144 * MIB
    assert estimate(HEADER, 8192, "q8_0").kv_cache == 144 * MIB * 17 // 32
    with_states = estimate(replace(HEADER, state_bytes=10), 256, n_sequences=3)
    assert with_states.kv_cache == 256 * 18_432 + 3 * 10 * 4  # each state and three checkpoints of it


def test_compute_is_near_what_llama_cpp_reserves():
    """llama.cpp reserves 22 MiB for this model with 8 outputs and 514 MiB with 512 (measured)."""
    assert 15 * MIB < estimate(HEADER, 4096, n_outputs=8).compute < 35 * MIB
    assert 500 * MIB < estimate(HEADER, 4096, n_outputs=512).compute < 560 * MIB


def test_a_refusal_names_every_number():
    """Both models, their parts, the sum and what there is stand in one line."""
    needs = [
        Need("base", (MemoryEstimate(100 * MIB, 20 * MIB, 3 * MIB),)),
        Need("guide", (MemoryEstimate(50 * MIB, 5 * MIB, MIB),)),
    ]
    require_memory(needs, [Place("RAM", 179 * MIB)], str)
    with pytest.raises(LoadError) as caught:
        require_memory(needs, [Place("RAM", 178 * MIB)], str)
    for number in ("179 MiB needed", "178 MiB available", "base 123 MiB", "guide 56 MiB", "20 MiB KV cache"):
        assert number in caught.value.message
    assert "\n" not in caught.value.message


def test_a_container_limits_memory(tmp_path):
    """The smallest room of all groups counts, and page cache that can be dropped is room."""
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n4:memory:/old\n")
    group = tmp_path / "fs" / "a"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("1000\n")
    (group / "memory.current").write_text("700\n")
    stat = group / "memory.stat"
    stat.write_text("anon 300\ninactive_file 150\nactive_file 350\nfile_dirty 60\nfile_writeback 40\n")

    def room():
        return available_memory(system=lambda: 5000, cgroup=tmp_path / "fs", membership=membership)

    assert room() == 700
    (group / "memory.max").write_text("max\n")
    assert room() == 5000
    old = tmp_path / "fs" / "memory" / "old"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("400")
    (old / "memory.usage_in_bytes").write_text("500")
    assert room() == 0


@pytest.mark.parametrize(
    ("cores", "affinity", "quota", "threads"),
    [(8, 8, None, 8), (8, 2, None, 2), (8, None, 3.7, 3), (8, 8, 0.5, 1), (4, 8, 16.0, 4)],
)
def test_threads_never_exceed_what_the_process_may_use(cores, affinity, quota, threads):
    """The least of real cores, affinity and quota rounded down; at least one."""
    readers = Readers(lambda: cores, lambda: affinity, lambda: quota)
    assert usable_threads(readers) == threads


def test_quotas_of_both_versions_are_read(tmp_path):
    """Version 2 has one file, version 1 has two; "max" and -1 mean no limit."""
    membership = tmp_path / "cgroup"
    membership.write_text("0::/x\n1:cpu:/y\n")
    assert cpu_quota(tmp_path, membership) is None
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(tmp_path, membership) is None
    (tmp_path / "x" / "cpu.max").write_text("250000 100000\n")
    assert cpu_quota(tmp_path, membership) == 2.5
    old = tmp_path / "cpu" / "y"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("150000")
    (old / "cpu.cfs_period_us").write_text("100000")
    assert cpu_quota(tmp_path, membership) == 1.5
    (old / "cpu.cfs_quota_us").write_text("-1")
    assert cpu_quota(tmp_path, membership) == 2.5


REPORTED = re.compile(r"(\w+)\s+(model|KV|RS|output|compute) buffer size\s*=\s*([\d.]+) MiB")
CTX = 4096
SLACK = MIB  # a toy is small: what is left out of a formula must not hide


class Reports:
    """What llama.cpp says of its buffers, in bytes by kind."""

    def __init__(self):
        self._lines = []

    def __enter__(self):
        library().listen(self._lines.append)
        return self

    def __exit__(self, *_):
        library().listen(None)

    def take(self):
        """The sums since the last time."""
        found = Counter()
        for name, kind, size in REPORTED.findall("".join(self._lines)):
            found["repacked" if name == "CPU_REPACK" else kind] += float(size) * MIB
        self._lines.clear()
        return found


def require_near(what, estimated, reported):
    """Never short by more than a twentieth, never more than a third over, a mebibyte apart from that."""
    shown = f"{what}: {estimated / MIB:.2f} MiB estimated, {reported / MIB:.2f} reported"
    assert estimated >= reported * 0.95 - SLACK, shown
    assert estimated <= reported * 1.3 + SLACK, shown


def compare_weights(path, settings):
    """A model, loaded, after its weights have been held beside llama.cpp's own report."""
    with Reports() as reports:
        model = Model(path, settings)
    said = reports.take()
    own = memory_estimate(read_header(path), settings)
    require_near("weights", own.weights, said["model"] + said["repacked"])
    return model


def compare_context(model, settings, parallel, ctx=CTX):
    """Hold the estimate of a context beside llama.cpp's own report, buffer by buffer."""
    header = read_header(model.path)
    own = memory_estimate(header, replace(settings, ctx_size=ctx), parallel)
    model.settings = settings
    with Reports() as reports, closing(Context(model, ctx, 1, parallel)):
        said = reports.take()
    checkpoints = CHECKPOINTS * parallel * header.state_bytes
    require_near(f"KV cache, {settings}", own.kv_cache - checkpoints, said["KV"] + said["RS"])
    require_near(f"compute, {settings}", own.compute, said["compute"] + said["output"])


KV_FLASH = [("f16", "auto"), ("f16", "off"), ("f32", "auto"), ("f32", "off"), ("q8_0", "on"), ("q4_0", "on")]


def all_settings(kind):
    """Formats of the cache and attention, and windows kept short or whole."""
    for kv_type, flash_attention in KV_FLASH:
        for swa_full in (True, False) if kind == "sliding" else (True,):
            yield ModelSettings(
                threads=1, kv_type=kv_type, flash_attention=flash_attention, swa_full=swa_full
            )


@pytest.mark.parametrize("parallel", [1, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_what_llama_cpp_reports(wide_toys, kind, parallel):
    """Over kinds of memory, formats of the cache, attention, windows and parallel answers."""
    with closing(compare_weights(wide_toys[kind], ModelSettings(threads=1))) as model:
        for settings in all_settings(kind):
            compare_context(model, settings, parallel)


@pytest.fixture(scope="session")
def wide_toys(tmp_path_factory):
    """Toys whose heads are long enough for every format of the cache."""
    folder = tmp_path_factory.mktemp("wide")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HEAD", 32), ("WIDTH", 64), ("FEED", 128)):
            patch.setattr(toys, name, value)
        return {kind: make_toy(folder / f"{kind}.gguf", kind, ctx=2**16) for kind in KINDS}


@pytest.mark.model
def test_the_estimate_holds_for_real_models(demo_base_path, demo_guide_path):
    """Real widths, a large vocabulary, windows in five of six layers, weights that are repacked."""
    for path, kind in ((demo_base_path, "sliding"), (demo_guide_path, "plain")):
        with closing(compare_weights(path, ModelSettings(threads=1))) as model:
            for settings in all_settings(kind):
                compare_context(model, settings, 1)
                compare_context(model, settings, 16, 512)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mmap", [True, False])
def test_repacked_weights_are_counted(tmp_path, monkeypatch, kind, mmap):
    """What llama.cpp copies into another layout is there twice where the file is mapped, else once."""
    quantized = gguf.GGMLQuantizationType.Q4_0

    def add(self, name, *shape, scale=0.2, shift=0.0):
        values = (self._rng.normal(size=shape) * scale + shift).astype(np.float32)
        if len(shape) == 2 and shape[1] % 32 == 0:
            self._writer.add_tensor(name, gguf.quants.quantize(values, quantized), raw_dtype=quantized)
        else:
            self._writer.add_tensor(name, values)

    monkeypatch.setattr(toys._Tensors, "add", add)
    for name, value in (("HEAD", 512), ("WIDTH", 1024), ("FEED", 2048)):
        monkeypatch.setattr(toys, name, value)
    path = make_toy(tmp_path / "toy.gguf", kind)
    assert read_header(path).repacked_bytes > 5 * MIB
    compare_weights(path, ModelSettings(threads=1, mmap=mmap)).close()


@pytest.mark.parametrize("kind", ["recurrent", "hybrid"])
def test_checkpoints_are_as_many_and_as_large_as_counted(tmp_path, kind):
    """A long answer of a recurrent model leaves so many copies of its state, of that size."""
    path = make_toy(tmp_path / "toy.gguf", kind)
    with closing(Model(path, ModelSettings())) as model, closing(Context(model, 1024, 1)) as context:
        [sequence] = context.sequences
        sequence.begin([1, *range(3, 60)])
        for token in range(100):
            context.predict([sequence])
            for _ in range(2):
                sequence.accept(3 + token, b"-")
        kept = [len(state) for state in context.rewinder._checkpoints[0].values()]
    assert len(kept) == CHECKPOINTS
    assert max(kept) == pytest.approx(read_header(path).state_bytes, rel=0.05, abs=1024)
