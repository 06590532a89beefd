"""A reference finds its file without a network, or says what is missing and what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.errors import FetchError, LoadError, ModelNotFoundError
from blendin_local.models.entries import Defaults, HubSource, ModelEntry, PairEntry, PathSource
from blendin_local.models.references import is_offline, parse_hub_reference, resolve
from blendin_local.models.registry import Registry


@pytest.fixture
def find(store, toy, tmp_path):
    """Resolve a reference in a registry with a toy, a path that exists and one that does not."""
    there = tmp_path / "there.gguf"
    there.write_bytes(b"GGUF there")
    models = {
        "toy": toy,
        "there": ModelEntry("there", (PathSource(tmp_path / "gone.gguf"), PathSource(there))),
        "gone": ModelEntry("gone", (PathSource(tmp_path / "gone.gguf"),)),
    }
    registry = Registry(models, {"duo": PairEntry(name="duo", base="toy", guide="there")}, {}, Defaults())

    def find(reference, *, offline=False):
        return resolve(str(reference), registry, store=store, offline=offline)

    return find


def test_an_existing_path_is_taken_as_it_is(find, tmp_path, monkeypatch):
    """Absolute, relative, with spaces and other scripts: what exists is used, offline too."""
    path = tmp_path / "ein Modell é 模型.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    assert find(path, offline=True).path == path
    assert find(path.name, offline=True).path.resolve() == path
    assert not find(path).fetchable


def test_an_alias_is_found_or_can_be_fetched(find, tmp_path):
    """The first source that is on the machine is used; otherwise the command to fetch is named."""
    assert find("there").path == tmp_path / "there.gguf"
    toy = find("toy")
    assert (toy.path, toy.fetchable, toy.command, toy.trusted) == (None, True, "blendin pull toy", True)


def test_offline_says_what_to_run_later(find):
    """What is not here cannot be had offline."""
    with pytest.raises(ModelNotFoundError, match="offline") as caught:
        find("toy", offline=True)
    assert "blendin pull toy" in caught.value.hint


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The directory of the test as working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("reference", "said", "hint"),
    [
        ("toi", "no model 'toi'", "toy"),
        ("duo", "is a pair", "--pair duo"),
        ("gone", "its file does not exist", "--origin"),
        ("zzzzzz", "no model", "blendin ls"),
        ("./ther.gguf", "no file ./ther.gguf", "there.gguf"),
        ("nowhere/x.gguf", "no directory nowhere", "path"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_not_found_names_what_is_near(find, reference, said, hint):
    """A misspelt alias or file names its neighbours."""
    with pytest.raises(ModelNotFoundError) as caught:
        find(reference)
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_directories_and_empty_files_are_refused(find, tmp_path):
    """A path that exists but is no model gives one clear line."""
    (tmp_path / "empty.gguf").touch()
    for path, said in ((tmp_path, "directory"), (tmp_path / "empty.gguf", "empty")):
        with pytest.raises(LoadError, match=said):
            find(path)


def test_a_directory_does_not_hide_an_alias(find, tmp_path, monkeypatch):
    """A folder that happens to have an alias's name does not get in its way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    assert find("toy").fetchable


def test_a_fetched_file_that_changed_is_noticed(find, store, toy):
    """A wrong size or checksum is an error that says how to mend it."""
    place = store.path_of(toy.sources[0])
    place.parent.mkdir(parents=True)
    for content, said in ((b"GGUF short", "bytes"), (b"GGUF" + b"x" * (toy.size - 4), "sha256")):
        place.write_bytes(content)
        with pytest.raises(FetchError, match=said) as caught:
            find("toy")
        assert "blendin pull toy" in caught.value.hint


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ("user/repo", HubSource("user/repo")),
        ("user/repo:Q8_0", HubSource("user/repo", quant="Q8_0")),
        ("user/repo@q4_k_m", HubSource("user/repo", quant="q4_k_m")),
        ("hf.co/user/repo:Q8_0", HubSource("user/repo", quant="Q8_0")),
        ("hf://user/repo/file.gguf", HubSource("user/repo", file="file.gguf")),
        ("hf://user/repo/sub/file.gguf", HubSource("user/repo", file="sub/file.gguf")),
        ("hf://user/repo@v1/file.gguf", HubSource("user/repo", file="file.gguf", revision="v1")),
        ("user/repo/file.gguf", None),
        ("./user/repo", None),
        ("plain", None),
    ],
)
def test_the_grammar_of_hub_references(reference, source):
    """Repositories, quantizations, files and revisions are told apart from paths and names."""
    assert parse_hub_reference(reference) == source


@pytest.mark.parametrize(
    ("flag", "env", "offline"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"HF_HUB_OFFLINE": "1"}, True),
        (False, {"HF_HUB_OFFLINE": "0"}, False),
    ],
)
def test_offline_by_option_or_by_the_hubs_variable(flag, env, offline):
    """Either suffices."""
    assert is_offline(flag, env) is offline


def test_what_only_an_untrusted_file_wants_is_not_trusted(store, toy):
    """Brought in by a pair of the working directory, or an entry of it; typed by the user it is trusted."""
    file = Path("work", "models.toml")
    models = {"toy": toy, "theirs": replace(toy, name="theirs", trusted=False)}
    pair = PairEntry(name="p", base="user/base", guide="toy", trusted=False)
    registry = Registry(models, {"p": pair}, {}, Defaults(), untrusted=file)
    assert registry.distrusted("p") == file

    def find(reference, distrusted=None):
        return resolve(reference, registry, store=store, offline=False, distrusted=distrusted)

    assert find("user/base").trusted
    assert find("toy").trusted
    for found in (find("user/base", file), find("toy", file), find("theirs")):
        assert found.distrusted == file
