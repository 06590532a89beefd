"""Writing a pair changes what it is told to and nothing else."""

import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blendin_local.errors import UsageError, WriteError
from blendin_local.models.config_file import write_pair
from blendin_local.models.grammar import is_name

OWN = """# my models
version = 1

[models.mine]   # the best one
path = "mine.gguf"

[pairs.mine]
base = "mine"       # do not touch
guide = "demo-guide"
threshold = 0.3

[pairs.mine.tuned]
n = 12

[templates.plain]
user = "{text}" # odd
assistant = "{text}"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config" / "models.toml"
    path.parent.mkdir()
    path.write_text(OWN)
    return path


def test_only_the_given_keys_change(file):
    """Values are set, a new one is added to its table, and all other lines stay as they are."""
    write_pair(file, "mine", {"threshold": 0.5, "max_tokens": 70}, ["fitted", "on 20 prompts"])

    before, after = OWN.splitlines(), file.read_text().splitlines()
    assert "threshold = 0.5 # fitted · on 20 prompts" in after
    assert [line for line in before if line not in after] == ["threshold = 0.3"]
    assert tomllib.loads(file.read_text())["pairs"]["mine"] == {
        "base": "mine", "guide": "demo-guide", "threshold": 0.5, "max_tokens": 70, "tuned": {"n": 12},
    }  # fmt: skip


def test_writing_twice_is_writing_once(file):
    """The same values again give the same file, remarks included."""
    write_pair(file, "mine", {"threshold": 0.5, "tuned": {"n": 3}}, ["first"])
    write_pair(file, "mine", {"threshold": 0.5, "tuned": {"n": 3}}, ["second"])
    once = file.read_text()
    write_pair(file, "mine", {"threshold": 0.5, "tuned": {"n": 3}}, ["second"])

    assert file.read_text() == once
    assert "first" not in once


def test_a_file_that_is_not_there_is_made(tmp_path, monkeypatch):
    """The file, its folder and the pair come into being; paths of models are made absolute."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new" / "models.toml"
    write_pair(path, "my pair", {"base": "./a.gguf", "guide": "demo-guide"})

    assert tomllib.loads(path.read_text()) == {
        "version": 1,
        "pairs": {"my pair": {"base": str(tmp_path / "a.gguf"), "guide": "demo-guide"}},
    }


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(min_size=1, max_size=12).filter(is_name),
    threshold=st.floats(0, 1),
    n=st.integers(1, 10**6),
)
def test_what_is_written_is_read(tmp_path, name, threshold, n):
    """Whatever the name and the values: a reader finds them, beside what was there."""
    path = tmp_path / "models.toml"
    path.write_text(OWN)
    write_pair(path, name, {"base": "a", "guide": "b", "threshold": threshold, "tuned": {"n": n}})

    content = tomllib.loads(path.read_text())
    assert content["pairs"][name] == {"base": "a", "guide": "b", "threshold": threshold, "tuned": {"n": n}}
    expected = tomllib.loads(OWN)
    del content["pairs"][name]
    expected["pairs"].pop(name, None)
    assert content == expected


@pytest.mark.parametrize("values", [{"treshold": 0.5}, {"threshold": "high"}])
def test_what_no_reader_would_take_is_not_written(file, values):
    """A key that does not exist, or a value of the wrong kind, leaves the file as it was."""
    with pytest.raises(UsageError, match=r"treshold|must be a number"):
        write_pair(file, "mine", values)
    assert file.read_text() == OWN


def test_a_broken_file_is_left_alone(file):
    """What is not TOML is not written over."""
    file.write_text("[pairs.mine\n")
    with pytest.raises(UsageError, match="not valid TOML"):
        write_pair(file, "mine", {"threshold": 0.5})
    assert file.read_text() == "[pairs.mine\n"


def test_a_disk_that_refuses_is_said(tmp_path):
    """A place that cannot be written is an error of writing."""
    (tmp_path / "file").write_text("")
    with pytest.raises((WriteError, UsageError), match=r"cannot be (written|read)"):
        write_pair(tmp_path / "file" / "models.toml", "mine", {"base": "a", "guide": "b"})
