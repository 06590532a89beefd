"""Names are known without llama.cpp, and a misspelt one offers the near models and pairs."""

import subprocess
import sys

import pytest

from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.models.entries import Defaults, ModelEntry, PairEntry, PathSource
from blendin_local.models.names import KnownNames, known_names, suggestion, unknown_pair
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from blendin_local.pair.resolve import PairSpec, open_pair, resolve_pair
from tests.other_tools import link
from tests.toys import make_toy

GONE = (PathSource("/gone.gguf"),)
REGISTRY = Registry(
    {
        "demo-base": ModelEntry("demo-base", GONE, role="base"),
        "demo-guide": ModelEntry("demo-guide", GONE, role="instruct"),
    },
    {"demo": PairEntry(name="demo", base="demo-base", guide="demo-guide")},
    {},
    Defaults(),
)


@pytest.mark.parametrize(
    ("typed", "options", "hint"),
    [
        ("demo-bse", True, "did you mean the model demo-base (--base demo-base) or the pair demo?"),
        ("demo-gide", True, "did you mean the model demo-guide (--guide demo-guide) or the pair demo?"),
        ("demo-bse", False, "did you mean the model demo-base or the pair demo?"),
        ("something else", True, ""),
    ],
)
def test_a_pair_that_does_not_exist_offers_both_kinds(home, typed, options, hint):
    """The other kind comes with its option, where it has one."""
    assert suggestion(typed, REGISTRY, asked_for="pair", options=options) == hint


def test_a_model_that_does_not_exist_offers_both_kinds(home, tmp_path):
    """A pair comes with its option where models and pairs have options of their own."""
    for opening, pair in ((True, "the pair demo (--pair demo)?"), (False, "the pair demo?")):
        with pytest.raises(ModelNotFoundError) as caught:
            resolve("demo-bse", REGISTRY, store=Store(tmp_path), offline=True, opening=opening)
        assert caught.value.hint == f"did you mean the model demo-base or {pair}"


def test_the_python_api_offers_them_too(home):
    """A misspelt pair of `open_pair` and of a spec."""
    for call in (lambda: open_pair("dmo"), lambda: resolve_pair(PairSpec(pair="dmo"))):
        with pytest.raises(UsageError) as caught:
            call()
        assert "the pair demo" in caught.value.hint


def test_a_name_like_no_other_points_to_the_listing(home):
    """There is always a next step."""
    assert unknown_pair("something else", REGISTRY).hint == "blendin ls --pairs lists the pairs"


def test_the_known_names_are_all_that_can_be_typed(home, tmp_path, monkeypatch):
    """Names of models.toml, downloads by reference, and files of other programs that can be used."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    toy = make_toy(tmp_path / "toy.gguf", "plain")
    link(toy, tmp_path / "cache" / "models" / "hub" / "user--repo" / "x.gguf")
    link(toy, home / ".lmstudio" / "models" / "p" / "r" / "a.gguf")
    link(toy, home / ".lmstudio" / "models" / "p" / "r" / "mmproj-a.gguf")
    found = known_names()

    assert {"demo-base", "hf://user/repo/x.gguf", "lmstudio:p/r/a.gguf"} <= set(found.models)
    assert "lmstudio:p/r/mmproj-a.gguf" not in found.models
    assert "demo" in found.pairs
    assert "qa" in found.templates


def test_names_are_known_quietly(home, tmp_path):
    """A models.toml that cannot be read gives no names and no error: completion must not fail."""
    (tmp_path / "bad.toml").write_text("[")

    assert known_names(tmp_path / "bad.toml") == KnownNames()


def test_names_are_known_without_heavy_imports():
    """Completion starts a process for every press of Tab."""
    code = (
        "import sys\nfrom blendin_local.models.names import known_names\nknown_names()\n"
        "heavy = {'llama_cpp', 'numpy', 'huggingface_hub', 'rich', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
