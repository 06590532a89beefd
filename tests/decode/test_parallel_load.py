"""Models loaded at once are those of one after another, and whatever stops one leaves none behind."""

import threading
from contextlib import contextmanager
from time import sleep

import pytest

from blendin_local.decode import loaded_model, parallel_load
from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.decode.parallel_load import can_overlap, load_together
from blendin_local.engine.library import library
from blendin_local.engine.trial_cache import TrialCache
from blendin_local.errors import LoadError, PairError
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

SETTINGS = ModelSettings(threads=1)


class Toy:
    """What a loader returns."""

    def __init__(self, name):
        self.name, self.open = name, True

    def close(self):
        self.open = False


class Loaders:
    """Loaders that note their threads, and wait for one another until all have begun."""

    def __init__(self, **ends):
        self.begun = threading.Barrier(len(ends), timeout=20)
        self.threads, self.made, self.stopped = {}, {}, set()
        self.loaders = {role: self._loader(role, end) for role, end in ends.items()}

    def _loader(self, role, end):
        def load(should_stop):
            self.threads[role] = threading.current_thread()
            self.begun.wait()
            if end == "endless":
                while not should_stop():
                    sleep(0.001)
                self.stopped.add(role)
                raise KeyboardInterrupt
            if isinstance(end, BaseException):
                raise end
            self.made[role] = Toy(role)
            return self.made[role]

        return load


def test_all_are_loaded_at_once_in_their_order():
    """Each waits until the others have begun; the one named is loaded in this thread."""
    given = Loaders(base="good", guide="good", untuned="good")

    found = load_together(given.loaders, "guide", lambda: False)

    assert list(found) == ["base", "guide", "untuned"]
    assert [(role, model.name, model.open) for role, model in found.items()] == [
        (role, role, True) for role in found
    ]
    assert given.threads["guide"] is threading.current_thread()
    assert len(set(given.threads.values())) == 3


@pytest.mark.parametrize("failing", ["base", "guide"])
@pytest.mark.parametrize("error", [PairError("no"), KeyboardInterrupt(), ValueError("no")])
def test_a_failure_stops_the_others(failing, error):
    """Whichever fails, its error is raised, what still loads is stopped and what was loaded is closed."""
    ends = {"base": "good", "guide": "good", "untuned": "endless", failing: error}
    given = Loaders(**ends)

    with pytest.raises(type(error)) as raised:
        load_together(given.loaders, "base", lambda: False)

    assert raised.value is error
    assert given.stopped == {"untuned"}
    assert not any(model.open for model in given.made.values())


def test_the_user_stops_what_loads_beside():
    """While this thread waits for the others it asks whether to stop; only this thread asks."""
    given = Loaders(base="good", guide="endless")
    asked = []

    def should_stop():
        asked.append(threading.current_thread())
        return True

    with pytest.raises(KeyboardInterrupt):
        load_together(given.loaders, "base", should_stop)

    assert given.stopped == {"guide"}
    assert not given.made["base"].open
    assert set(asked) == {threading.current_thread()}


@pytest.fixture
def files(tmp_path):
    base = make_toy(tmp_path / "base.gguf", "plain", special={f"<{i}>": 4 for i in range(50)})
    guide = make_toy(tmp_path / "guide.gguf", "recurrent", seed=1)
    return {"guide": (guide, SETTINGS), "base": (base, SETTINGS)}


@pytest.fixture
def trial_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(loaded_model, "require_loadable", lambda *_, **__: None)  # toys are safe
    return TrialCache(tmp_path / "verdicts")


@pytest.fixture
def cores(monkeypatch):
    """Sets how many cores there are."""

    def set_to(n):
        monkeypatch.setattr(parallel_load, "usable_threads", lambda: n)

    set_to(2)
    return set_to


@contextmanager
def opened(files, trial_cache, on_load=lambda _: None):
    models = LoadedModel.load_all(files, trial_cache, on_load=on_load)
    try:
        yield models
    finally:
        for model in models.values():
            model.close()


def outcome(files, trial_cache):
    """Roles in order, vocabularies, and the logits after a prompt."""
    shown = []
    with opened(files, trial_cache, lambda progress: shown.append(progress.role)) as models:
        found = {}
        for role, model in models.items():
            [sequence] = model.context.sequences
            sequence.begin([1, *range(5, 25)])
            [logits] = model.context.predict([sequence])
            found[role] = (list(model.table.pieces), logits.tolist())
    return list(found), found, shown


def test_models_are_those_of_loading_one_after_another(files, trial_cache, cores):
    """Same roles, tokens and logits to the bit; the largest is announced last."""
    at_once = outcome(files, trial_cache)
    cores(1)
    in_turn = outcome(files, trial_cache)

    assert at_once[:2] == in_turn[:2]
    assert (at_once[2], in_turn[2]) == (["guide", "base"], ["guide", "base"])
    files["guide"], files["base"] = files["base"], files["guide"]
    assert outcome(files, trial_cache)[2] == ["guide", "base"]
    cores(2)
    assert outcome(files, trial_cache)[2] == ["base", "guide"]


def test_a_refusal_has_its_own_words(files, trial_cache, cores, monkeypatch):
    """What llama.cpp refused at once is refused again alone, and the message is that of this file."""
    monkeypatch.setattr(parallel_load.library().api, "llama_model_load_from_file", lambda *_: None)
    beside = []

    def reason(*_):
        beside.append([each.name for each in threading.enumerate() if each.name.startswith("blendin-load")])
        return "no"

    monkeypatch.setattr(type(library()), "reason", reason)

    with pytest.raises(LoadError, match=r"guide\.gguf cannot be loaded"):
        LoadedModel.load_all(files, trial_cache)
    assert beside[-1] == []
    assert any(beside)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"cores": 1}, False),
        ({"gpu": True}, False),
        ({"gpu": True, "layers": 0}, True),
        ({"listens": True}, False),
        ({"models": 1}, False),
    ],
)
def test_when_models_are_loaded_at_once(monkeypatch, cores, given, expected):
    """Not on one core, not onto a GPU, not where the log is read, and not where there is only one."""
    cores(given.get("cores", 2))
    monkeypatch.setattr(library().api, "llama_supports_gpu_offload", lambda: given.get("gpu", False))
    monkeypatch.setattr(library(), "_listener", print if given.get("listens") else None)

    models = [ModelSettings(n_gpu_layers=given.get("layers"))] * given.get("models", 2)
    assert can_overlap(models) is expected
