"""Files of names are merged key by key, the nearest wins, and every value's origin is kept."""

import pytest

from blendin_local.errors import UsageError
from blendin_local.models.entries import HubSource, PackageSource, PathSource
from blendin_local.models.registry import shipped_file
from tests.models.registries import load, write

pytestmark = pytest.mark.usefixtures("no_user_file")


def yes(_):
    return True


def test_the_shipped_file_names_the_demo_pair(tmp_path):
    """Out of the box there is the demo pair, whole and trusted, and a default template that exists."""
    registry = load(tmp_path)
    base, guide = registry.models["demo-base"], registry.models["demo-guide"]
    assert registry.pairs[registry.defaults.pair].base == "demo-base"
    assert registry.defaults.template in registry.templates
    assert isinstance(base.sources[0], PackageSource)
    assert (base.size, guide.size) == (253_113_024, 98_362_432)
    assert [part.size for part in base.sources[0].parts] == [56634990, 60953371, 59882045, 60704618]
    assert base.trusted
    assert guide.trusted
    assert {"qa", "transcript", "examples"} <= registry.templates.keys()


def test_every_shipped_pair_names_shipped_models_of_fitting_roles(tmp_path):
    """Pairs refer to entries that exist; bases are bases and guides are instruct models."""
    registry = load(tmp_path)
    for pair in registry.pairs.values():
        assert registry.models[pair.base].role == "base", pair.name
        assert registry.models[pair.guide].role == "instruct", pair.name
    for model in registry.models.values():
        assert model.license, model.name


def test_the_nearest_file_wins_key_by_key(tmp_path):
    """--models before BLENDIN_MODELS before the working directory before the user before the shipped one."""
    places = {
        "user": write(
            tmp_path / "config" / "models.toml", "[pairs.demo]\nthreshold = 0.1\nalpha = 0.1\nmethod = 'u'"
        ),
        "work": write(
            tmp_path / "work" / "models.toml", "[pairs.demo]\nthreshold = 0.2\nalpha = 0.2\nctx_size = 2"
        ),
        "env": write(tmp_path / "env.toml", "[pairs.demo]\nthreshold = 0.3\nctx_size = 3"),
        "option": write(tmp_path / "option.toml", "[pairs.demo]\nthreshold = 0.4"),
    }
    env = {"BLENDIN_MODELS": str(places["env"])}
    registry = load(tmp_path, explicit=places["option"], env=env, accept=yes)
    pair = registry.pairs["demo"]
    assert pair.settings == {"method": "u", "threshold": 0.4, "alpha": 0.2, "ctx_size": 3}
    assert registry.origins_of("pairs", "demo") == {
        "threshold": places["option"],
        "ctx_size": places["env"],
        "alpha": places["work"],
        "method": places["user"],
        "base": shipped_file(),
        "guide": shipped_file(),
        "about": shipped_file(),
    }
    assert registry.files == (*(places[name] for name in ("option", "env", "work", "user")), shipped_file())


def test_relative_paths_start_at_the_file_that_names_them(tmp_path):
    """A path in a file means the same wherever the program is started."""
    file = write(
        tmp_path / "conf" / "m.toml",
        """
        [models.a]
        path = "files/a b é.gguf"
        chat_template = "t.jinja"
        [[models.b.sources]]
        path = "../b.gguf"
        [models.c]
        hf = "some/repo:Q8_0"
        [pairs.p]
        base = "files/x.gguf"
        guide = "a"
        """,
    )
    registry = load(tmp_path, explicit=file)
    assert registry.models["a"].sources == (PathSource(tmp_path / "conf" / "files" / "a b é.gguf"),)
    assert registry.models["a"].chat_template == tmp_path / "conf" / "t.jinja"
    assert registry.models["b"].sources == (PathSource(tmp_path / "b.gguf"),)
    assert registry.models["c"].sources == (HubSource("some/repo", quant="Q8_0"),)
    assert registry.pairs["p"].base == str(tmp_path / "conf" / "files" / "x.gguf")
    assert registry.pairs["p"].guide == "a"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[models.a]\npaht = 'x'", "unknown key 'paht'", "path"),
        ("[pairs.demo]\nthresold = 1", "unknown key 'thresold'", "threshold"),
        ("[modles.a]\npath = 'x'", "unknown key 'modles'", "models"),
        ("[pairs.demo]\nthreshold = 'x'", "must be a number", ""),
        ("[pairs.demo]\nalpha = 'often'", "auto", ""),
        ("version = 2", "version is 2", "upgrade"),
        ("[models.a]\nfamily = 'x'", "lacks one of path", "add it"),
        ("[pairs.a]\nbase = 'x'", "lacks guide", "add it"),
        ("[templates.a]\nuser = 'x'\nassistant = '{text}'", "lacks user", "add it"),
        ("[models.a]\nsources = [{ file = 'x.gguf' }]", "exactly one of", ""),
        (
            "[models.a]\nsources = [{ parts = [{ package = 'x' }], file = 'y.gguf' }]",
            "needs a file and parts",
            "",
        ),
        ("[models.a]\nsha256 = 'abc'\npath = 'x'", "64 hexadecimal", ""),
        ("what", "not valid TOML", ""),
    ],
)
def test_mistakes_in_a_file_give_one_line_that_names_it(tmp_path, text, said, hint):
    """An unknown key names the nearest one; other mistakes say what is expected."""
    file = write(tmp_path / "m.toml", text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, explicit=file)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint
    assert str(file) in caught.value.message + caught.value.hint


def test_a_file_that_is_named_must_exist(tmp_path):
    """A misspelt --models or BLENDIN_MODELS is not passed over."""
    with pytest.raises(UsageError, match="--models"):
        load(tmp_path, explicit=tmp_path / "no.toml")
    with pytest.raises(UsageError, match="BLENDIN_MODELS"):
        load(tmp_path, env={"BLENDIN_MODELS": str(tmp_path / "no.toml")})


def test_the_working_directory_is_not_trusted_to_fetch(tmp_path):
    """What a file found in the working directory says of sources counts after a yes, and is not trusted."""
    text = """
        [models.demo-base]
        hf = "other/repo"
        [models.demo-guide]
        think = true
        [pairs.demo]
        guide = "x/y"
        """
    local = write(tmp_path / "work" / "models.toml", text)
    registry = load(tmp_path, accept=yes)
    assert not registry.models["demo-base"].trusted
    assert registry.models["demo-guide"].trusted
    assert not registry.pairs["demo"].trusted
    assert load(tmp_path, explicit=local).models["demo-base"].trusted


def test_another_source_does_not_inherit_checksum_or_licence(tmp_path):
    """Facts about the old file are dropped with it; facts about the model stay."""
    file = write(tmp_path / "m.toml", "[models.demo-base]\npath = 'mine.gguf'")
    entry = load(tmp_path, explicit=file).models["demo-base"]
    assert entry.sources == (PathSource(tmp_path / "mine.gguf"),)
    assert (entry.size, entry.sha256, entry.license, entry.notice) == (0, "", "", "")
    assert entry.family == "gemma-3"


def test_a_copy_of_the_shipped_file_in_the_working_directory_changes_nothing(tmp_path):
    """Started in a checkout, an installed program trusts its own entries still."""
    write(tmp_path / "work" / "models.toml", shipped_file().read_text(encoding="utf-8"))
    registry = load(tmp_path)
    assert all(model.trusted for model in registry.models.values())
    assert registry.origins_of("pairs", "demo")["base"] == shipped_file()
