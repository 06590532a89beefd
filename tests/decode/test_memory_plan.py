"""Models are weighed in the places where they will lie, and what would fit is said where they do not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.decode.memory_plan import MemoryPlan, memory_parts
from blendin_local.engine.gguf.header import Header
from blendin_local.engine.gguf.layers import WeightPlaces
from blendin_local.engine.memory import MIB, MemoryEstimate, Place
from blendin_local.errors import LoadError
from blendin_local.jobs import preparation
from blendin_local.settings import ModelSettings

LAYER = 100 * MIB
HEADER = Header(
    path=Path("m.gguf"), architecture="llama", name="", license="", parameters=1, quantization="Q8_0",
    file_size=1100 * MIB, weight_bytes=1100 * MIB, n_layers=10, ctx_train=32_768, n_embd=512, n_ff=1024,
    n_heads=8, kv_heads=(8,) * 10, key_length=64, value_length=64, sliding_window=0, state_bytes=0,
    memory="plain", vocab_kind="BPE", vocab_size=1000, chat_template=None, end_tokens=(), n_parts=1,
    unusable="", repacked_bytes=1000 * MIB,
    weights=WeightPlaces((LAYER,) * 10, 40 * MIB, 60 * MIB, 0, tied=False),
)  # fmt: skip
AMPLE = 2**40
NEVER = MemoryEstimate(0, 0, 0)
KV_PER_CELL = 10 * 8 * 128 * 2  # bytes: layers, heads, key and value, two bytes each


def plan(ram=AMPLE, *devices, layers=None, ctx=4096, n_parallel=1, roles=("base",)):
    settings = ModelSettings(n_gpu_layers=layers, ctx_size=ctx)
    places = [Place("RAM", ram), *(Place(f"GPU{i}", free) for i, free in enumerate(devices))]
    return MemoryPlan(dict.fromkeys(roles, (HEADER, settings)), places, n_parallel)


def parts(layers, free, **settings):
    return memory_parts(HEADER, ModelSettings(n_gpu_layers=layers, ctx_size=4096, **settings), 1, free)


@pytest.mark.parametrize("layers", [1, 2, 7, 11, None])
@pytest.mark.parametrize("free", [[AMPLE], [3, 1], [1, 1, 1]])
def test_what_is_offloaded_does_not_count_in_ram(layers, free):
    """Weights and KV cache of all places together are those of the model, each layer's in its place."""
    ram, *devices = parts(layers, free)
    assert ram.weights + sum(device.weights for device in devices) == HEADER.weight_bytes
    assert ram.kv_cache + sum(device.kv_cache for device in devices) == 4096 * KV_PER_CELL
    offloaded = 10 if layers is None else min(layers - 1, 10)
    assert ram.weights == (10 - offloaded) * LAYER + 60 * MIB
    assert ram.kv_cache == 4096 * KV_PER_CELL * (10 - offloaded) // 10


def test_a_gate_takes_two_contexts_more():
    """One without the vector for as many conversations, and one for a prompt; the weights count once."""
    for free, layers in (([], 0), ([AMPLE], 5)):
        settings = ModelSettings(n_gpu_layers=layers, ctx_size=4096)
        plain, alone = (memory_parts(HEADER, settings, n, free) for n in (3, 1))
        gated = memory_parts(HEADER, settings, 3, free, is_gated=True)
        for part, one, found in zip(plain, alone, gated, strict=True):
            assert found.weights == part.weights
            assert found.kv_cache == 2 * part.kv_cache + one.kv_cache
            assert found.compute == 2 * part.compute + one.compute


def test_without_layers_on_a_gpu_no_device_counts():
    """-ngl 0, and a machine without a GPU: everything in RAM, with the weights that llama.cpp repacks."""
    everything, *devices = parts(0, [AMPLE, AMPLE])
    assert devices == [NEVER, NEVER]
    assert (everything,) == parts(None, [])
    assert everything.weights == HEADER.weight_bytes + HEADER.repacked_bytes


def test_checkpoints_are_in_ram_and_states_with_their_layers():
    """A recurrent state lies with its layers; the copies of it that a rewind needs do not."""
    recurrent = replace(HEADER, kv_heads=(0,) * 5 + (8,) * 5, state_bytes=50, memory="hybrid")
    ram, device = memory_parts(recurrent, ModelSettings(ctx_size=4096, n_gpu_layers=9), 2, [AMPLE])
    assert ram.kv_cache == 2 * 20 + 2 * 3 * 50  # two of five states, three checkpoints, two conversations
    assert device.kv_cache == 2 * 30 + 2 * 4096 * KV_PER_CELL // 2


def test_devices_share_by_what_the_first_model_leaves():
    """The base fills the first device nearly, so most of the guide goes to the other."""
    found = plan(AMPLE, 700 * MIB, 800 * MIB, roles=("base", "guide")).needs()
    shares = [[part.weights // LAYER for part in need.parts] for need in found]
    assert shares == [[0, 6, 4], [0, 1, 9]]
    free = [700 * MIB - found[0].parts[1].total, 800 * MIB - found[0].parts[2].total]
    assert found[1].parts == memory_parts(HEADER, ModelSettings(ctx_size=4096), 1, free)


def values(hint):
    return {flag: int(value) for flag, value in re.findall(r"(-ngl|-c|--parallel) (\d+)", hint)}


CASES = {
    "too small a GPU": plan(AMPLE, 900 * MIB),
    "a long context": plan(AMPLE, 1900 * MIB, ctx=65_536),
    "many at once": plan(AMPLE, 1500 * MIB, n_parallel=16),
    "one too many at once": plan(AMPLE, 1500 * MIB, n_parallel=6),
    "two GPUs": plan(AMPLE, 300 * MIB, 300 * MIB, roles=("base", "guide")),
    "too little RAM": plan(700 * MIB, AMPLE, layers=4),
    "no GPU, a long context": plan(2600 * MIB, ctx=65_536),
    "no GPU, many at once": plan(2600 * MIB, n_parallel=16),
    "nothing helps": plan(10 * MIB),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_named_would_fit_and_the_next_larger_would_not(name):
    """Each value of -ngl, -c and --parallel in the message fits by itself, and is the largest that does."""
    found = CASES[name]
    with pytest.raises(LoadError) as caught:
        found.require()
    named = values(caught.value.hint)
    files = dict.fromkeys(found.files, HEADER)

    def fits(**changes):
        n_parallel = changes.pop("n_parallel", found.n_parallel)
        of = {role: (files[role], replace(old, **changes)) for role, (_, old) in found.files.items()}
        return replace(found, files=of, n_parallel=n_parallel).fits()

    for flag, setting, step, most in (
        ("-ngl", "n_gpu_layers", 1, 11), ("-c", "ctx_size", 256, None), ("--parallel", "n_parallel", 1, None)
    ):  # fmt: skip
        if flag in named:
            assert fits(**{setting: named[flag]})
            assert named[flag] == most or not fits(**{setting: named[flag] + step})
    if name == "nothing helps":
        assert named == {}
    else:
        assert named
    assert ("-ngl" in named) == (len(found.places) > 1)


@pytest.mark.parametrize("n_parallel", [9, 12])
def test_a_search_that_does_not_fit_is_told_how_large_a_one_would(n_parallel):
    """The largest W * K, one sequence more being for the scores; --parallel cannot be less than it needs."""
    room = plan(AMPLE, n_parallel=6).needs()[0].parts[0].total
    found = replace(plan(room, n_parallel=n_parallel), n_search=9)

    if n_parallel == 9:
        assert "a --search with W * K of at most 5;" in found.remedy()
    assert "--parallel" not in found.remedy()
    fewer = replace(plan(room, n_parallel=n_parallel), n_search=3)
    assert "--parallel 6;" in fewer.remedy()
    assert "--search" not in fewer.remedy()


def test_a_refusal_names_the_place():
    """What is short is said by its name, with the bytes of that place alone."""
    with pytest.raises(LoadError, match=r"on GPU0: 1,\d+ MiB needed, 900 MiB available: base m"):
        CASES["too small a GPU"].require()
    with pytest.raises(LoadError, match=r"in RAM: 8\d\d MiB needed, 700 MiB available"):
        CASES["too little RAM"].require()
    with pytest.raises(LoadError, match=r"not enough memory: .* needed, 10 MiB available"):
        CASES["nothing helps"].require()


def test_a_device_that_shares_ram_counts_twice():
    """A GPU in the processor must fit into its own limit and, with the rest, into RAM."""
    alone = plan(AMPLE, AMPLE)
    [ram, gpu] = alone.taken()
    shared = replace(alone, places=[Place("RAM", ram + gpu), Place("GPU0", gpu, shares_ram=True)])
    assert shared.fits()
    assert not replace(shared, places=[Place("RAM", ram + gpu - 1), shared.places[1]]).fits()
    assert not replace(shared, places=[shared.places[0], Place("GPU0", gpu - 1, shares_ram=True)]).fits()


def test_rows_at_once_are_chosen_by_the_place_of_the_kv_cache(monkeypatch):
    """With the layers on a GPU its memory decides; without, that of the machine does."""
    monkeypatch.setattr(preparation, "read_header", lambda _: HEADER)
    monkeypatch.setattr(preparation, "usable_threads", lambda: 4)
    per_row = 4096 * KV_PER_CELL

    def chosen(ram, gpu, layers=None):
        monkeypatch.setattr(preparation, "places", lambda: (Place("RAM", ram), Place("GPU0", gpu)))
        files = {"base": (Path("m.gguf"), ModelSettings(n_gpu_layers=layers, ctx_size=4096))}
        return preparation.n_parallel_for(files, 100)

    assert chosen(AMPLE, 1100 * MIB + 12 * per_row) in {5, 6}  # half of what the weights leave
    assert chosen(500 * MIB, AMPLE) == 32
    assert chosen(2300 * MIB + 12 * per_row, 0, layers=0) in {5, 6}
