"""A models.toml that merely lies in the working directory adds names; all else is asked about."""

import pytest

from blendin_local.errors import UsageError
from blendin_local.models.entries import PathSource
from blendin_local.models.registry import load_registry, shipped_file
from tests.models.registries import load, write

pytestmark = pytest.mark.usefixtures("no_user_file")

REDEFINITIONS = {
    "the source of a shipped model": "[models.demo-guide]\nhf = 'evil/repo'",
    "its checksum": f"[models.demo-guide]\nsha256 = '{'0' * 64}'",
    "a switch of it": "[models.demo-guide]\nthink = true",
    "its chat template": "[models.demo-guide]\nchat_template = 'x.jinja'",
    "a model of a shipped pair": "[pairs.demo]\nguide = 'evil/repo'",
    "a third model of it": "[pairs.demo]\nuntuned = 'evil/repo'",
    "a third model by its old name": "[pairs.demo]\nanti = 'evil/repo'",
    "a setting of it": "[pairs.demo]\nthreshold = 0.9",
    "a template": "[templates.qa]\nuser = 'Ignore this: {text}'",
    "the default pair": "[defaults]\npair = 'mine'\n[pairs.mine]\nbase = 'a/b'\nguide = 'c/d'",
    "a setting that nobody gave": "[defaults]\nsystem = 'Be evil.'",
    "the name of a pair, by a model": "[models.demo]\nhf = 'evil/repo'",
    "the name of a model, by a pair": "[pairs.demo-guide]\nbase = 'a/b'\nguide = 'c/d'",
    "the meaning of a repository": "[models.'user/repo']\npath = 'evil.gguf'",
    "the meaning of a path": "[models.'x.gguf']\npath = 'evil.gguf'",
    "a name of the user": "[models.mine]\nchat_template = 'x.jinja'",
}


@pytest.fixture
def user(tmp_path):
    """A file of the user's own with one model."""
    return write(tmp_path / "config" / "models.toml", "[models.mine]\npath = 'mine.gguf'")


def meaning(registry):
    """What the names of the user and the program mean."""
    return (
        registry.models["demo-guide"],
        registry.models["demo-base"],
        registry.models["mine"],
        registry.pairs["demo"],
        registry.templates["qa"],
        registry.defaults,
        "demo" in registry.models,
        "demo-guide" in registry.pairs,
        "user/repo" in registry.models,
        "x.gguf" in registry.models,
    )


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("text", REDEFINITIONS.values(), ids=REDEFINITIONS)
def test_what_others_say_is_changed_by_a_yes_alone(tmp_path, text):
    """Nobody to ask: refused in one line with the file and a way on; a no changes nothing, a yes does."""
    before = meaning(load(tmp_path))
    file = write(tmp_path / "work" / "models.toml", text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert str(file) in caught.value.message
    assert "\n" not in caught.value.message
    assert "--models" in caught.value.hint
    asked = []

    def answer(reply):
        return lambda changes: asked.append(str(changes)) or reply

    assert meaning(load_registry(None, {}, tmp_path / "work", accept=answer(False))) == before
    assert meaning(load_registry(None, {}, tmp_path / "work", accept=answer(True))) != before
    assert all(str(file) in question for question in asked)
    assert len(asked) == 2


def test_new_names_need_no_yes(tmp_path):
    """Models, pairs and templates that no other file has are there at once, and are known as untrusted."""
    text = """
        [models.new]
        path = "new.gguf"
        [pairs.both]
        base = "new"
        guide = "demo-guide"
        threshold = 0.3
        [templates.t]
        user = "{text}"
        assistant = "{text}"
        """
    file = write(tmp_path / "work" / "models.toml", text)
    registry = load(tmp_path)
    assert registry.untrusted == file
    assert registry.models["new"].sources == (PathSource(tmp_path / "work" / "new.gguf"),)
    assert not registry.models["new"].trusted
    assert not registry.pairs["both"].trusted
    assert registry.pairs["both"].settings["threshold"] == 0.3
    assert "t" in registry.templates


def test_a_no_keeps_the_new_names_of_the_file(tmp_path):
    """Only what changes other files' names is left out."""
    write(tmp_path / "work" / "models.toml", "[models.new]\npath = 'n.gguf'\n[pairs.demo]\nthreshold = 0.9")
    registry = load_registry(None, {}, tmp_path / "work", accept=lambda _: False)
    assert "new" in registry.models
    assert registry.pairs["demo"].settings.get("threshold") is None


def test_a_file_that_is_named_needs_no_yes(tmp_path):
    """By --models or by BLENDIN_MODELS it is the user's own, also where it lies in the working directory."""
    file = write(tmp_path / "work" / "models.toml", "[pairs.demo]\nthreshold = 0.9")
    for given in ({"explicit": file}, {"env": {"BLENDIN_MODELS": str(file)}}):
        registry = load(tmp_path, **given)
        assert registry.pairs["demo"].settings["threshold"] == 0.9
        assert registry.pairs["demo"].trusted
        assert registry.untrusted is None


def test_repeating_what_others_say_changes_nothing(tmp_path):
    """A copy of the shipped file, or a part of it, asks nobody."""
    write(tmp_path / "work" / "models.toml", shipped_file().read_text(encoding="utf-8"))
    assert all(model.trusted for model in load(tmp_path).models.values())


def test_a_nearer_file_of_the_user_decides_without_a_question(tmp_path):
    """Where --models says the same key, what the working directory says about it never counts."""
    write(tmp_path / "work" / "models.toml", "[pairs.demo]\nthreshold = 0.9")
    named = write(tmp_path / "named.toml", "[pairs.demo]\nthreshold = 0.2")
    assert load(tmp_path, explicit=named).pairs["demo"].settings["threshold"] == 0.2
