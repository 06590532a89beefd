"""On a GPU, or what llama.cpp takes for one: layers lie where they are expected, and answers are the same.

Run where llama.cpp finds a device; docs/install.md says how to have one without a GPU.
"""

import re
from collections import defaultdict
from contextlib import closing

import numpy as np
import pytest

from blendin_local.decode.memory_plan import memory_parts
from blendin_local.engine.build import can_offload
from blendin_local.engine.context import Context
from blendin_local.engine.devices import devices, offload_devices
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.library import library
from blendin_local.engine.memory import CHECKPOINTS, MIB
from blendin_local.engine.model import Model
from blendin_local.engine.placement import PIPELINE_COPIES
from blendin_local.settings import ModelSettings

pytestmark = pytest.mark.skipif(not can_offload(), reason="llama.cpp finds no GPU here")

REPORTED = re.compile(r"(\w+)\s+(model|KV|RS|output|compute) buffer size\s*=\s*([\d.]+) MiB")
OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
CTX = 4096
SLACK = MIB
TOLERANCE = 2e-2  # a device computes in other orders, and in part in half precision


def reported(path, settings, n_parallel=1):
    """Bytes by place and kind as llama.cpp reports them; it offloads as many layers as the model says."""
    lines = []
    library().listen(lines.append)
    try:
        with closing(Model(path, settings)) as model, closing(Context(model, CTX, 1, n_parallel)) as context:
            assert context.prefill_chunk == (512 if model.n_offloaded else 128)
            n_offloaded = model.n_offloaded
    finally:
        library().listen(None)
    text = "".join(lines)
    found = defaultdict(float)
    names = [device.name for device in offload_devices(devices())]
    for name, kind, size in REPORTED.findall(text):
        place = names.index(name) + 1 if name in names else 0
        found[place, {"RS": "KV", "output": "compute"}.get(kind, kind)] += float(size) * MIB
    assert int(OFFLOADED.search(text)[1]) == n_offloaded
    return found


def logits_of(path, settings):
    with closing(Model(path, settings)) as model, closing(Context(model, CTX, 1)) as context:
        [sequence] = context.sequences
        sequence.begin(np.random.default_rng(0).integers(3, 250, 600).tolist())
        return context.predict([sequence])[0].copy()


def require_near(path, settings, found, n_parallel=1):
    """Each place: never short by more than a twentieth, at most half over, a mebibyte apart from that."""
    header = read_header(path)
    free = [device.memory_free for device in offload_devices(devices())]
    checkpoints = CHECKPOINTS * n_parallel * header.state_bytes
    for place, own in enumerate(memory_parts(header, settings, n_parallel, free)):
        estimates = {"model": own.weights, "KV": own.kv_cache, "compute": own.compute}
        if place == 0:
            estimates["KV"] -= checkpoints
        for kind, size in estimates.items():
            if place == 0 and kind == "model" and settings.mmap:
                continue  # of a mapped file the whole stretch is named
            shown = f"{kind} in place {place}: {size / MIB:.2f} MiB, {found[place, kind] / MIB:.2f} reported"
            slack = SLACK * (PIPELINE_COPIES if place == 0 and len(free) > 1 else 1)
            assert size >= found[place, kind] * 0.95 - slack, shown
            if place or kind != "compute":  # most back-ends read a prompt for the processor's layers too
                assert size <= found[place, kind] * 1.5 + SLACK, shown


@pytest.mark.parametrize("n_parallel", [1, 4])
@pytest.mark.parametrize("layers", [None, 0, 1, 2])
def test_the_estimate_of_each_place_is_what_llama_cpp_reports(toy_path, layers, n_parallel):
    """Over kinds of memory: what is offloaded takes the device's memory, the rest the machine's."""
    settings = ModelSettings(n_gpu_layers=layers, ctx_size=CTX, mmap=False)
    found = reported(toy_path, settings, n_parallel)
    assert any(place for place, _ in found) == (layers != 0)
    require_near(toy_path, settings, found, n_parallel)


@pytest.mark.parametrize("layers", [None, 2])
def test_a_device_computes_what_the_processor_computes(toy_path, layers):
    """The logits after a long prompt are those of the processor up to rounding."""
    there, here = (logits_of(toy_path, ModelSettings(n_gpu_layers=n)) for n in (layers, 0))
    assert there == pytest.approx(here, abs=TOLERANCE * float(np.ptp(here)))


@pytest.mark.model
@pytest.mark.parametrize("layers", [None, 10, 1])
def test_the_estimate_holds_for_a_real_model(demo_guide_path, layers):
    """Thirty layers, of which all, nine or none lie on the device, with the output."""
    settings = ModelSettings(n_gpu_layers=layers, ctx_size=CTX)
    found = reported(demo_guide_path, settings)
    require_near(demo_guide_path, settings, found)
