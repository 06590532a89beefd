"""Layers are shared among devices as llama.cpp shares them, and each is counted exactly once."""

from itertools import chain

import pytest

from blendin_local.engine.devices import Device, offload_devices
from blendin_local.engine.gguf.layers import WeightPlaces, weight_places
from blendin_local.engine.gguf.reader import Tensor
from blendin_local.engine.placement import parts_of

FREE = [(), (10,), (0,), (30, 10), (1, 1, 2), (0, 5)]


@pytest.mark.parametrize("free", FREE)
@pytest.mark.parametrize("asked", [None, 0, 1, 2, 5, 8, 9, 99])
def test_every_layer_lies_in_one_place(free, asked):
    """Whatever is asked for: each layer and the output once, in order; the embeddings in RAM."""
    parts = parts_of(8, asked, free)
    assert len(parts) == len(free) + 1
    assert list(chain.from_iterable(part.layers for part in parts)) == list(range(8))
    assert [part.has_output for part in parts].count(True) == 1
    assert [part.has_input for part in parts] == [True, *(False for _ in free)]


@pytest.mark.parametrize(
    ("asked", "free", "counts"),
    [
        (None, (1,), (0, 8)),
        (1, (1,), (8, 0)),  # the output alone
        (3, (1,), (6, 2)),
        (9, (1, 1), (0, 5, 3)),  # of nine with the output, half of them, rounded up, go first
        (9, (2, 1), (0, 6, 2)),
        (4, (0, 7), (5, 0, 3)),
        (4, (), (8,)),
    ],
)
def test_the_last_layers_are_offloaded_by_free_memory(asked, free, counts):
    """As in llama.cpp: the output counts as one, and devices have shares in proportion to what is free."""
    assert tuple(len(part.layers) for part in parts_of(8, asked, free)) == counts


def test_what_devices_need_beside_their_layers():
    """The first is lent the processor's layers; where several hold all, the input is there four times."""
    ram, first, second = parts_of(8, 4, (1, 1))
    assert (first.lent, second.lent, ram.lent) == (range(5), range(0), range(0))
    assert ram.copies == 1
    assert parts_of(8, None, (1,))[0].copies == 1
    assert parts_of(8, None, (1, 1))[0].copies == 4


def device(name, **about):
    return Device(name, name, **{"gpu": True, "memory_free": 1, "memory_total": 1} | about)


def test_the_devices_that_llama_cpp_uses():
    """Each GPU once, by its address; one in the processor only where there is no other; never a CPU."""
    cpu, card = device("CPU", gpu=False), device("CUDA0", id="0000:01:00.0")
    same, other = device("Vulkan0", id="0000:01:00.0"), device("Vulkan1", id="0000:02:00.0")
    inside = device("Vulkan2", integrated=True)
    assert offload_devices([card, same, other, inside, cpu]) == (card, other)
    assert offload_devices([inside, cpu]) == (inside,)
    assert offload_devices([cpu]) == ()
    unnamed = device("A"), device("B")
    assert offload_devices(unnamed) == unnamed


def tensor(name, size):
    return Tensor(name, (size,), 0, size)


def test_weights_belong_to_layers_by_their_names():
    """In two places, a table of embeddings that serves for the output is there twice; in one, once."""
    tensors = [
        tensor("token_embd.weight", 100), tensor("blk.0.a", 1), tensor("blk.1.a", 2), tensor("blk.1.b", 3),
        tensor("output_norm.weight", 7), tensor("rope_freqs.weight", 11), tensor("blk.9.a", 13),
    ]  # fmt: skip
    places = weight_places(tensors, 2)
    assert places == WeightPlaces((1, 5), 7, 100, 24, tied=True)
    both = places.of(range(2), has_input=True, has_output=True)
    split = places.of(range(1), has_input=True, has_output=False) + places.of(
        range(1, 2), has_input=False, has_output=True
    )
    assert both == sum(tensor.size for tensor in tensors)
    assert split == both + 100
    untied = weight_places([*tensors, tensor("output.weight", 50)], 2)
    assert untied.of(range(1, 2), has_input=False, has_output=True) == 5 + 7 + 50
    assert weight_places(tensors[:3], 2) + weight_places(tensors[3:], 2) == places
