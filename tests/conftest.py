"""Fixtures shared by all tests: the demo pair's files and loaded models, small vocabularies, toy GGUFs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.paths import VOCABS
from tests.toys import KINDS, make_toy

pytest_plugins = [
    "tests.fixtures.packages",
    "tests.fixtures.manage",
    "tests.fixtures.home",
    "tests.fixtures.screens",
]

FAMILIES = ("llama-bpe", "qwen2", "llama-spm", "gpt-2", "phi-3")
DEMO = ("demo_base", "demo_guide")
DEMO_PATHS = frozenset(f"{name}_path" for name in DEMO)
CLI, FAULTS = (Path(__file__).parent / folder for folder in ("cli", "faults"))

LEDGER = pytest.StashKey[Ledger]()
HISTORY = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_addoption(parser):
    """`--faults full` makes every fault trial."""
    parser.addoption(
        "--faults", choices=("small", "full"), default="small", help="how many fault trials to make"
    )


def pytest_configure(config):
    """One ledger for the whole run, a history that is not the user's, and none of the user's servers."""
    config.stash[LEDGER] = Ledger(full=config.getoption("--faults") == "full")
    folder = config.stash[HISTORY] = tempfile.TemporaryDirectory(prefix="blendin-history-")
    os.environ["BLENDIN_HISTORY"] = str(Path(folder.name) / "history.db")
    os.environ.pop("BLENDIN_NO_HISTORY", None)
    os.environ["BLENDIN_DRAFT"] = "off"  # `auto` follows the clock, and with it the shapes of batches
    os.environ["BLENDIN_NO_SERVER"] = "1"


def pytest_unconfigure(config):
    """The history of the run is nobody's."""
    config.stash[HISTORY].cleanup()


def pytest_collection_modifyitems(items):
    """Marks that follow from where a test stands and what it asks for: `cli`, `slow` and `model`."""
    for item in items:
        if CLI in item.path.parents:
            item.add_marker(pytest.mark.cli)
        if FAULTS in item.path.parents:
            item.add_marker(pytest.mark.slow)
        if not DEMO_PATHS.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.model)


def pytest_terminal_summary(terminalreporter, config):
    """After all fault trials, what they came to."""
    ledger = config.stash[LEDGER]
    if ledger.full and ledger.kinds:
        terminalreporter.section("fault trials")
        for line in ledger.table():
            terminalreporter.write_line(line)


@pytest.fixture
def ledger(request) -> Ledger:
    """Where fault trials are recorded, and how many to make."""
    return request.config.stash[LEDGER]


def _demo_file(name: str, file: str) -> Path:
    """A demo model: from BLENDIN_TEST_MODELS, or fetched once into the user's cache."""
    folder = os.environ.get("BLENDIN_TEST_MODELS")
    if folder:
        return Path(folder) / file
    from blendin_local.models.fetch import ensure_local
    from blendin_local.models.registry import load_registry

    [path] = ensure_local([name], load_registry(), pull=True).values()
    return path


@pytest.fixture(scope="session")
def demo_base_path() -> Path:
    """The unaligned base of the demo pair."""
    return _demo_file("demo-base", "gemma-3-270m-q4_k_m.gguf")


@pytest.fixture(scope="session")
def demo_guide_path() -> Path:
    """The aligned guide of the demo pair."""
    return _demo_file("demo-guide", "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(
    scope="session", params=[*FAMILIES, *(pytest.param(name, marks=pytest.mark.model) for name in DEMO)]
)
def family_vocabulary(request):
    """A real vocabulary without weights: one of five families, or of the demo pair."""
    from blendin_local.engine.library import library, set_fields
    from blendin_local.engine.vocabulary import Vocabulary

    path = VOCABS / f"ggml-vocab-{request.param}.gguf"
    if request.param in DEMO:
        path = request.getfixturevalue(f"{request.param}_path")
    if not path.exists():
        pytest.skip(f"{path.name} is not here: vocabulary files are not part of the repository")
    api = library().api
    parameters = api.llama_model_default_params()
    set_fields(parameters, vocab_only=True)
    handle = api.llama_model_load_from_file(str(path).encode(), parameters)
    yield Vocabulary(handle)
    api.llama_model_free(handle)


@pytest.fixture(scope="session", params=KINDS)
def toy_path(request, tmp_path_factory) -> Path:
    """A tiny random model of each kind of memory."""
    return make_toy(tmp_path_factory.mktemp("toys") / f"{request.param}.gguf", request.param)
