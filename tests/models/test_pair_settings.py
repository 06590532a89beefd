"""What a pair of models.toml says about methods, a third model and temperatures, and what comes of it."""

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.inventory import expand, pairs_with
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec, resolve_pair

FILE = """
[pairs.three]
base = "b.gguf"
guide = "g.gguf"
untuned = "a.gguf"
method = "proxy"
bridge = "prefix"
cap = 0.2
base_temperature = 1.4
guide_temperature = 0.8
[pairs.two]
base = "b.gguf"
guide = "g.gguf"
"""


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "names.toml"
    path.write_text(FILE)
    return load_registry(path, env={}, cwd=tmp_path)


def test_a_pair_may_name_a_third_model(registry, tmp_path):
    """Its path starts at the file that names it; the pair stands for all three wherever models are listed."""
    opened = resolve_pair(PairSpec(pair="three"), registry)

    assert opened.references == {
        role: str(tmp_path / name)
        for role, name in (("base", "b.gguf"), ("guide", "g.gguf"), ("untuned", "a.gguf"))
    }
    assert opened.blend.bridge == "prefix"
    assert opened.blend.cap == 0.2
    assert list(expand(["three"], registry)) == list(opened.references.values())
    assert pairs_with(str(tmp_path / "a.gguf"), registry) == ("three",)


def test_the_old_name_of_the_third_model_is_read(tmp_path):
    """`anti` of version 0.1 means `untuned`; where both stand, the new name wins."""
    (tmp_path / "old.toml").write_text(FILE.replace("untuned", "anti"))
    (tmp_path / "both.toml").write_text(FILE.replace("untuned", 'anti = "x.gguf"\nuntuned'))

    pairs = [load_registry(tmp_path / f"{name}.toml", env={}, cwd=tmp_path).pairs for name in ("old", "both")]

    assert [found["three"].untuned for found in pairs] == [str(tmp_path / "a.gguf")] * 2


def test_a_third_model_is_opened_only_where_it_is_needed_or_all_are(registry):
    """Another method leaves it alone, unless every model that is named is wanted."""
    blend = {"method": "blendin"}

    assert set(resolve_pair(PairSpec(pair="three", blend=blend), registry).references) == {"base", "guide"}
    assert len(resolve_pair(PairSpec(pair="three", blend=blend, every_model=True), registry).references) == 3


def test_proxy_without_a_third_model_says_how_to_name_one(registry):
    """Two models are not enough."""
    with pytest.raises(UsageError, match="third model") as error:
        resolve_pair(PairSpec(pair="two", blend={"method": "proxy"}), registry)

    assert "--untuned" in error.value.hint
    named = resolve_pair(PairSpec(pair="two", untuned="a.gguf", blend={"method": "proxy"}), registry)
    assert named.references["untuned"] == "a.gguf"


def test_temperatures_belong_to_the_models_they_were_fitted_for(registry):
    """Alpha calibrated takes them from the pair; with another base the base's own is not known."""
    calibrated = {"alpha": "calibrated"}

    assert resolve_pair(PairSpec(pair="three", blend=calibrated), registry).blend.temperatures == (1.4, 0.8)
    for request in (
        PairSpec(pair="three", base="other.gguf", blend=calibrated),
        PairSpec(pair="three", guide="other.gguf", blend=calibrated),
        PairSpec(pair="two", blend=calibrated),
    ):
        with pytest.raises(UsageError, match="blendin check --write"):
            resolve_pair(request, registry)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bridge = 'rope'", "bytes"),
        ("alpha = 'much'", "calibrated"),
        ("base_temperature = 'hot'", "a number"),
    ],
)
def test_wrong_values_are_named(tmp_path, line, says):
    """With the file, the key and what it must be."""
    path = tmp_path / "names.toml"
    path.write_text(f"[pairs.x]\nbase = 'b'\nguide = 'g'\n{line}\n")
    with pytest.raises(UsageError, match=says):
        load_registry(path, env={}, cwd=tmp_path)
