"""Estimates add up, limits of containers count, and a refusal names every number."""

from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.engine.header import Header
from blendin_local.engine.machine import Readers, cpu_quota, usable_threads
from blendin_local.engine.memory import MIB, MemoryEstimate, available_memory, estimate, require_memory
from blendin_local.errors import LoadError

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
    assert estimate(replace(HEADER, state_bytes=10), 256, n_sequences=3).kv_cache == 256 * 18_432 + 30


def test_compute_is_near_what_llama_cpp_reserves():
    """llama.cpp reserves 22 MiB for this model with 8 outputs and 514 MiB with 512 (measured)."""
    assert 15 * MIB < estimate(HEADER, 4096, n_outputs=8).compute < 35 * MIB
    assert 500 * MIB < estimate(HEADER, 4096, n_outputs=512).compute < 560 * MIB


def test_a_refusal_names_every_number():
    """Both models, their parts, the sum and what there is stand in one line."""
    needs = [
        ("base", MemoryEstimate(100 * MIB, 20 * MIB, 3 * MIB)),
        ("guide", MemoryEstimate(50 * MIB, 5 * MIB, MIB)),
    ]
    require_memory(needs, 179 * MIB)
    with pytest.raises(LoadError) as caught:
        require_memory(needs, 178 * MIB)
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
    (group / "memory.stat").write_text("anon 300\ninactive_file 400\n")

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
