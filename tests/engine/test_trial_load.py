"""What a damaged file does to llama.cpp it does in a child; what passes there is remembered by content."""

import math
import os
import re
import shutil
from dataclasses import replace
from time import monotonic

import psutil
import pytest

from blendin_local.bounded_process import BoundedProcess
from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.engine import trial_load
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.trial_cache import TrialCache, identity
from blendin_local.engine.trial_load import MODEL, VOCABULARY, require_loadable
from blendin_local.errors import LoadError, PairError
from blendin_local.settings import ModelSettings
from tests.damage import doubled_token, filled_weights
from tests.paths import ROOT
from tests.toys import KINDS, make_toy

pytestmark = pytest.mark.slow  # nearly every test starts processes

SETTINGS = ModelSettings(threads=1)


@pytest.fixture
def trial_cache(tmp_path):
    return TrialCache(tmp_path / "verdicts")


@pytest.fixture
def plain_path(tmp_path):
    return make_toy(tmp_path / "plain.gguf", "plain")


def counted(monkeypatch):
    """The children that are started from now on."""
    started = []

    class Counted(BoundedProcess):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(trial_load, "BoundedProcess", Counted)
    return started


def test_a_good_file_is_tried_once(toy_path, trial_cache, monkeypatch):
    """The second load of a file starts no child; a vocabulary needs none after its model."""
    started = counted(monkeypatch)
    header = read_header(toy_path)
    for what in (MODEL, MODEL, VOCABULARY):
        require_loadable([(header, SETTINGS)], trial_cache, what=what)
    assert len(started) == 1


def test_files_of_a_pair_share_a_child(tmp_path, trial_cache, monkeypatch):
    """Two unknown files cost one start of Python."""
    started = counted(monkeypatch)
    files = [(read_header(make_toy(tmp_path / f"{kind}.gguf", kind)), SETTINGS) for kind in KINDS[:2]]
    require_loadable(files, trial_cache)
    assert len(started) == 1
    assert not psutil.pid_exists(started[0]._process.pid)


@pytest.mark.parametrize("what", [MODEL, VOCABULARY])
def test_a_file_that_aborts_llama_cpp_is_a_load_error(tmp_path, trial_cache, what):
    """One line names the file and llama.cpp's own reason, and nothing is remembered."""
    header = read_header(doubled_token(tmp_path / "doubled.gguf"))
    for _ in range(2):
        with pytest.raises(LoadError, match=r"doubled\.gguf .*GGML_ASSERT\(id_to_token") as caught:
            require_loadable([(header, SETTINGS)], trial_cache, what=what)
        assert "\n" not in caught.value.message
        assert caught.value.exit_code == 4


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_give_no_numbers_are_said(tmp_path, trial_cache, kind, number):
    """A model of NaN or infinities cannot choose a token."""
    header = read_header(filled_weights(tmp_path / "toy.gguf", kind, number))
    with pytest.raises(LoadError, match="its weights give no numbers"):
        require_loadable([(header, SETTINGS)], trial_cache)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_nothing_are_said(tmp_path, trial_cache, kind):
    """A model of zeros finds every token as likely."""
    header = read_header(filled_weights(tmp_path / "toy.gguf", kind, 0.0))
    with pytest.raises(LoadError, match="every token the same probability"):
        require_loadable([(header, SETTINGS)], trial_cache)


def test_a_changed_file_is_tried_again(tmp_path, trial_cache):
    """A byte of header or weights makes another file, though size and time stay; a copy is the same one."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    header = read_header(path)
    require_loadable([(header, SETTINGS)], trial_cache)
    name = identity(header, SETTINGS, MODEL)
    assert trial_cache.knows(name)
    copy = tmp_path / "copy.gguf"
    shutil.copyfile(path, copy)
    assert identity(read_header(copy), SETTINGS, MODEL) == name

    status = path.stat()
    for place in (100, -1):
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        copy.write_bytes(data)
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert identity(replace(header, path=copy), SETTINGS, MODEL) != name


def test_the_samples_of_a_large_file_come_with_its_times(tmp_path, monkeypatch):
    """Where weights are only sampled, a change that spares the samples is seen by the file's times."""
    monkeypatch.setattr("blendin_local.engine.trial_cache.WHOLE", 0)
    monkeypatch.setattr("blendin_local.engine.trial_cache.SAMPLE", 4)
    path = make_toy(tmp_path / "toy.gguf", "plain")
    header = read_header(path)
    name = identity(header, SETTINGS, MODEL)
    assert identity(header, SETTINGS, MODEL) == name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert identity(header, SETTINGS, MODEL) != name


@pytest.mark.parametrize(
    "change", [{"kv_type": "f32"}, {"flash_attention": "off"}, {"swa_full": False}, {"mmap": False}]
)
def test_a_verdict_holds_for_the_settings_it_was_found_with(toy_path, change):
    """Another cache, attention or way of loading runs other code."""
    header = read_header(toy_path)
    assert identity(header, SETTINGS, MODEL) != identity(header, replace(SETTINGS, **change), MODEL)


def test_a_directory_that_cannot_be_written_is_no_obstacle(tmp_path, toy_path):
    """The file is loaded all the same, and tried again the next time."""
    (tmp_path / "file").write_text("")
    require_loadable([(read_header(toy_path), SETTINGS)], TrialCache(tmp_path / "file" / "verdicts"))


def test_the_user_may_stop_it(plain_path, trial_cache, monkeypatch):
    """A request to stop ends the child."""
    started = counted(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        require_loadable([(read_header(plain_path), SETTINGS)], trial_cache, lambda: True)
    assert not psutil.pid_exists(started[0]._process.pid)


@pytest.mark.slow
def test_a_hang_ends(plain_path, trial_cache, monkeypatch):
    """A file that keeps llama.cpp busy for ever is given up after its share of processor time."""
    monkeypatch.setattr(trial_load, "CPU_S", 1)
    monkeypatch.setattr(trial_load, "MODULE", "tests.engine.endless_load")
    started = monotonic()
    with pytest.raises(LoadError, match="took too long"):
        require_loadable([(read_header(plain_path), SETTINGS)], trial_cache)
    assert monotonic() - started < 15


def test_memory_is_bounded_by_the_file(plain_path, trial_cache, monkeypatch):
    """A file that makes llama.cpp want more than its size and a gibibyte does not get it."""
    monkeypatch.setattr(trial_load, "MODULE", "tests.engine.greedy_load")
    with pytest.raises(LoadError, match="MemoryError"):
        require_loadable([(read_header(plain_path), SETTINGS)], trial_cache)


def test_every_model_of_a_pair_is_tried_before_one_is_loaded(tmp_path, trial_cache):
    """A bad guide is reported before the base is loaded."""
    base = make_toy(tmp_path / "base.gguf", "plain")
    guide = doubled_token(tmp_path / "guide.gguf")
    with pytest.raises(LoadError, match=r"guide\.gguf"):
        LoadedModel.load_all({"base": (base, SETTINGS), "guide": (guide, SETTINGS)}, trial_cache)


def test_a_refusal_keeps_its_kind(tmp_path, trial_cache):
    """What cannot continue text is a pair's error, also when the child finds out."""
    header = read_header(make_toy(tmp_path / "toy.gguf", "plain"))
    with pytest.raises(LoadError, match=r"gone\.gguf cannot be read"):
        require_loadable([(replace(header, path=tmp_path / "gone.gguf"), SETTINGS)], trial_cache)
    refused = trial_load._refused({"error": "PairError", "message": "x\ny", "hint": ""})
    assert isinstance(refused, PairError)
    assert refused.message == "x y"


@pytest.mark.model
def test_the_first_load_of_the_demo_pair_is_quick(demo_base_path, demo_guide_path, trial_cache):
    """The first run waits a moment, later ones for the hash of two headers."""
    files = [(read_header(path), SETTINGS) for path in (demo_base_path, demo_guide_path)]
    started = monotonic()
    require_loadable(files, trial_cache)
    first = monotonic()
    require_loadable(files, trial_cache)
    assert first - started < 60
    assert monotonic() - first < 0.5


def test_what_opens_models_tries_them_first():
    """Outside the engine a module that loads a model or a vocabulary is one that requires a first load."""
    sources = {path: path.read_text("utf-8") for path in (ROOT / "blendin_local").rglob("*.py")}
    opening = [
        path
        for path, text in sources.items()
        if "engine" not in path.parts and re.search(r"\b(Model|open_vocabulary)\(", text)
    ]
    assert len(opening) == 4
    assert all("require_loadable(" in sources[path] for path in opening)
