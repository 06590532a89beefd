"""What is here is listed, described without loading, and removed only if it was fetched."""

import json
from dataclasses import replace

import pytest

from blendin_local.errors import LoadError, ModelNotFoundError, UsageError
from blendin_local.jobs.inventory import describe, expand, list_models, list_pairs, to_json
from blendin_local.jobs.removal import plan_removal, remove, remove_unfinished, unfinished
from blendin_local.models.entries import (
    Defaults,
    HubSource,
    ModelEntry,
    PackagePart,
    PackageSource,
    PairEntry,
    PathSource,
)
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from tests.other_tools import link
from tests.toys import make_toy

PACKAGED = PackageSource("m.gguf", (PackagePart("p", "1", "m"),))


@pytest.fixture
def store(tmp_path, home):
    return Store(tmp_path / "store é")


@pytest.fixture
def registry(tmp_path):
    models = {
        "mine": ModelEntry("mine", (PathSource(tmp_path / "mine.gguf"),), role="base", about="my own"),
        "fetched": ModelEntry("fetched", (PACKAGED,), role="instruct"),
        "far": ModelEntry("far", (HubSource("u/r", "far-Q4_K_M.gguf"),), size=5),
    }
    return Registry(models, {"duo": PairEntry(name="duo", base="mine", guide="fetched")}, {}, Defaults())


@pytest.fixture
def files(registry, store, tmp_path):
    """A file of the user's own, one that was fetched, and a split one fetched by a hub reference."""
    make_toy(tmp_path / "mine.gguf", "sliding", template=None)
    place = store.path_of(PACKAGED)
    place.parent.mkdir(parents=True)
    make_toy(place, "plain")
    split = store.path_of(HubSource("user/repo", "x-Q8_0-00001-of-00002.gguf"))
    split.parent.mkdir(parents=True)
    split.write_bytes(b"GGUF one")
    split.with_name("x-Q8_0-00002-of-00002.gguf").write_bytes(b"GGUF two")
    return {"mine": tmp_path / "mine.gguf", "fetched": place, "split": split}


def test_the_listing_has_names_first_then_what_has_none(registry, store, files):
    """Names of models.toml, then files fetched by reference; parts of a split model are one line."""
    rows = list_models(registry, store)
    assert [row.reference for row in rows] == ["mine", "fetched", "hf://user/repo/x-Q8_0-00001-of-00002.gguf"]
    assert rows[0].pairs == ("duo",)
    assert rows[0].path == files["mine"]
    assert rows[2].size == 16
    assert rows[2].quantization == "Q8_0"
    assert [row.reference for row in list_models(registry, store, everything=True) if not row.here] == ["far"]


def test_a_description_tells_what_the_file_says(registry, store, files):
    """Header, memory at the context used, and pairs; what is not here says how to get it."""
    facts = describe("fetched", registry, store)
    assert facts.path == files["fetched"]
    assert facts.header.memory == "plain"
    assert facts.header.chat_template
    assert facts.ctx_size == facts.header.ctx_train == 2048
    assert facts.memory.kv_cache == 2048 * facts.header.kv_bytes_per_token()
    assert describe("fetched", registry, store, 512).memory.kv_cache < facts.memory.kv_cache
    far = describe("far", registry, store)
    assert (far.path, far.header, far.command) == (None, None, "blendin pull far")
    assert far.source == "hf://u/r/far-Q4_K_M.gguf"


def test_records_are_plain_json(registry, store, files):
    """Every record survives a round trip."""
    records = [to_json(row) for row in list_models(registry, store, everything=True)]
    records += [to_json(describe(name, registry, store)) for name in registry.models]
    assert json.loads(json.dumps(records)) == records


def test_a_pair_stands_for_its_models(registry):
    """Each model once."""
    assert list(expand(["duo", "fetched", "./x.gguf"], registry)) == ["mine", "fetched", "./x.gguf"]


def test_removal_says_what_it_frees_and_leaves_nothing(registry, store, files):
    """All parts go, with directories that become empty; the rest stays."""
    removal = plan_removal(["hf://user/repo/x-Q8_0-00001-of-00002.gguf", "fetched"], registry, store)
    assert removal.size == 16 + files["fetched"].stat().st_size
    assert removal.pairs == ("duo",)
    assert len(removal.files) == 3
    remove(removal, store)
    assert store.files() == []
    assert list(store.models.iterdir()) == []
    assert files["mine"].exists()


def test_pairs_are_listed_with_what_is_missing(registry, store, files):
    """Each pair with its roles whose file is not here, and with the settings kept for it."""
    tuned = PairEntry(name="tuned", base="mine", guide="far", base_template="qa", settings={"alpha": 0.6})
    pairs = {**registry.pairs, "tuned": tuned, "odd": PairEntry(name="odd", base="no such", guide="mine")}
    rows = {row.name: row for row in list_pairs(replace(registry, pairs=pairs), store)}
    assert {name: row.missing for name, row in rows.items()} == {
        "duo": (),
        "tuned": ("guide",),
        "odd": ("base",),
    }
    assert rows["duo"].here
    assert rows["tuned"].to_json()["settings"] == {"base_template": "qa", "alpha": 0.6}


def test_files_of_other_programs_are_listed_with_their_program(registry, store, files, home):
    """What cannot be used is listed only where everything is asked for, with the reason."""
    folder = home / ".lmstudio" / "models" / "pub" / "repo"
    link(files["mine"], folder / "a-Q8_0.gguf")
    link(files["mine"], folder / "mmproj-a.gguf")
    usable = {row.reference: row for row in list_models(registry, store)}
    assert usable["lmstudio:pub/repo/a-Q8_0.gguf"].tool == "LM Studio"
    assert "lmstudio:pub/repo/mmproj-a.gguf" not in usable
    everything = {row.reference: row for row in list_models(registry, store, everything=True)}
    assert "projector" in everything["lmstudio:pub/repo/mmproj-a.gguf"].problem
    assert describe("lmstudio:pub/repo/a-Q8_0.gguf", registry, store).source == "LM Studio"


def test_files_of_other_programs_are_never_removed(registry, store, files, home):
    """By name and by path the reason is that they belong to the other program."""
    path = link(files["mine"], home / ".lmstudio" / "models" / "pub" / "repo" / "a.gguf")
    for reference in ("lmstudio:pub/repo/a.gguf", str(path)):
        with pytest.raises(UsageError, match="belongs to LM Studio"):
            plan_removal([reference], registry, store)
    assert path.exists()


def test_only_what_was_fetched_is_removed(registry, store, files):
    """A user's own file is left alone, and what is not here cannot be removed."""
    with pytest.raises(UsageError, match="was not fetched"):
        plan_removal(["mine"], registry, store)
    with pytest.raises(ModelNotFoundError, match="not on this machine"):
        plan_removal(["far"], registry, store)


def test_a_broken_file_is_described_by_an_error(registry, store, files):
    """A file cut short gives its error, not half a description."""
    files["mine"].write_bytes(files["mine"].read_bytes()[:-100])
    with pytest.raises(LoadError, match="cut short"):
        describe("mine", registry, store)


def test_unfinished_downloads_are_counted_and_dropped(store):
    """They take disk, so they are told, and can be dropped."""
    assert unfinished(store) == 0
    place = store.partial_dir(store.models / "x.gguf")
    place.mkdir(parents=True)
    (place / "a.part").write_bytes(b"12345")
    assert unfinished(store) == 5
    remove_unfinished(store)
    assert unfinished(store) == 0
