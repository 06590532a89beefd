"""The report names what hinders and the command that mends it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.decode.memory_plan import memory_parts
from blendin_local.engine.build import Build, parse_features
from blendin_local.engine.devices import Device
from blendin_local.engine.gguf.header import read_header
from blendin_local.errors import LoadError
from blendin_local.jobs import doctor
from blendin_local.jobs.doctor import build_findings, examine, gpu_command
from blendin_local.models.entries import Defaults, ModelEntry, PairEntry, PathSource
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

LINE = "CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | CUDA : ARCHS = 890 | USE_GRAPHS = 1 | "


def make_build(line=LINE, *, gpu=False, devices=()):
    return Build("0.3.36", Path("lib"), parse_features(line), gpu, devices)


@pytest.fixture
def registry(tmp_path):
    base = make_toy(tmp_path / "base.gguf", "plain")
    models = {
        "b": ModelEntry("b", (PathSource(base),)),
        "g": ModelEntry("g", (PathSource(tmp_path / "no.gguf"),)),
    }
    return Registry(models, {"duo": PairEntry(name="duo", base="b", guide="g")}, {}, Defaults(pair="duo"))


def test_features_are_read_per_back_end():
    """llama.cpp's own line is taken apart; a feature switched off is not had."""
    features = parse_features(LINE)
    assert features["CUDA"] == {"ARCHS": "890", "USE_GRAPHS": "1"}
    assert make_build().has("AVX2")
    assert not make_build().has("AVX512")
    assert not make_build().has("NEON")


def test_a_build_without_vector_instructions_is_called_out():
    """AVX2 on Intel and AMD, NEON on ARM; with the command that builds anew."""
    [finding] = build_findings(make_build("CPU : SSE3 = 1 | "), "x86_64")
    assert "AVX2" in finding.message
    assert "GGML_NATIVE" in finding.hint
    assert "NEON" in build_findings(make_build(), "arm64")[0].message
    assert build_findings(make_build(), "AMD64") == []


@pytest.mark.parametrize(
    ("system", "processor", "tool", "said"),
    [
        ("Linux", "x86_64", "nvidia-smi", 'CMAKE_ARGS="-DGGML_CUDA=on" '),
        ("Linux", "x86_64", "vulkaninfo", "GGML_VULKAN"),
        ("Darwin", "arm64", None, "GGML_METAL"),
        ("Windows", "AMD64", "nvidia-smi", '$env:CMAKE_ARGS="-DGGML_CUDA=on"; '),
        ("Linux", "x86_64", None, None),
    ],
)
def test_the_command_for_a_gpu_fits_the_machine(monkeypatch, system, processor, tool, said):
    """What is there decides; with no GPU, or a build that has one, nothing is advised."""
    monkeypatch.setattr(doctor, "vulkan_finds_gpu", lambda _: True)
    command = gpu_command(make_build(), system, processor, lambda name: name if name == tool else None)
    assert command == "" if said is None else said in command
    assert gpu_command(make_build(gpu=True), system, processor, lambda name: name) == ""


@pytest.mark.parametrize(("kind", "advised"), [("DISCRETE_GPU", True), ("CPU", False)])
def test_a_driver_that_computes_on_the_processor_is_no_gpu(tmp_path, kind, advised):
    """Vulkaninfo is asked which devices there are; its presence alone means nothing."""
    tool = tmp_path / "vulkaninfo"
    tool.write_text(f"#!/bin/sh\necho deviceType = PHYSICAL_DEVICE_TYPE_{kind}\n")
    tool.chmod(0o755)
    found = gpu_command(make_build(), "Linux", "x86_64", {"vulkaninfo": str(tool)}.get)
    assert bool(found) == advised


def test_a_build_for_a_gpu_that_finds_none_is_called_out():
    """It is not told to be built again, but where to look."""
    build = replace(make_build(), backends=("Vulkan", "CPU"))
    [finding] = build_findings(build, "x86_64")
    assert "Vulkan, but finds no GPU" in finding.message
    assert gpu_command(build, "Linux", "x86_64", lambda name: name) == ""


def test_the_report_is_whole_and_plain_json(registry, tmp_path):
    """Everything is in it without the network, and it survives a round trip."""
    found = examine(registry, Store(tmp_path / "store"), offline=True)
    assert found.network is None
    assert found.pair == "duo"
    assert [item.layers for item in found.offload] == [3, 0]
    assert found.versions["llama-cpp-python"] == "0.3.36"
    assert found.build.devices
    assert found.machine["threads"] >= 1
    record = found.to_json()
    assert json.loads(json.dumps(record)) == json.loads(json.dumps(record, default=str))


def test_layers_are_offloaded_as_far_as_memory_goes(registry, tmp_path, monkeypatch):
    """All of them where the model fits, as many as fit where it does not, none without a GPU."""
    header = read_header(tmp_path / "base.gguf")
    [_, whole] = memory_parts(header, ModelSettings(), 1, [2**40])
    [_, two] = memory_parts(header, ModelSettings(n_gpu_layers=2), 1, [2**40])
    for free, layers in ((whole.total, 3), (whole.total - 1, 2), (two.total - 1, 1), (0, 0)):
        device = Device("CUDA0", "a card", gpu=True, memory_free=free, memory_total=2**40)
        build = make_build(gpu=True, devices=(device,))
        monkeypatch.setattr(doctor, "describe_build", lambda build=build: build)
        assert examine(registry, Store(tmp_path), offline=True).offload[0].offloaded == layers


def test_without_llama_cpp_the_report_says_how_to_install_it(registry, tmp_path, monkeypatch):
    """The rest of the report is there all the same."""

    def broken():
        raise LoadError("llama-cpp-python cannot be imported: no", "install it with: pip install ...")

    monkeypatch.setattr(doctor, "describe_build", broken)
    found = examine(registry, Store(tmp_path), offline=True)
    assert found.build is None
    assert found.findings[0].hint.startswith("install it")
    json.dumps(found.to_json())
