"""No code of a working directory or package runs, and a good file stays until a better one is whole."""

import hashlib
import json
import os
import sys
import tarfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.errors import FetchError, UsageError
from blendin_local.models import pip_download as pip_module
from blendin_local.models.entries import PackagePart
from blendin_local.models.registry import load_registry
from tests.models.fetching import get, leftovers
from tests.wheels import CONTENT, make_wheel

MARKED = "import pathlib, os\npathlib.Path(os.environ['MARK']).touch()\n"


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that hostile code makes when it runs."""
    path = tmp_path / "it ran"
    monkeypatch.setenv("MARK", str(path))
    return path


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working directory with everything that pip might read or run: itself, requirements, sources."""
    folder = tmp_path / "work"
    (folder / "evil").mkdir(parents=True)
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").write_text(MARKED)
    (folder / "pip" / "__main__.py").write_text(MARKED)
    (folder / "sitecustomize.py").write_text(MARKED)
    (folder / "evil" / "setup.py").write_text(MARKED + "import setuptools\nsetuptools.setup(name='evil')\n")
    for name in ("r#==", "r", "requirements.txt", "r#"):
        (folder / name).write_text("./evil\n")
    (folder / "pip.conf").write_text("[global]\nrequirement = r#\nno-binary = :all:\n")
    monkeypatch.chdir(folder)
    return folder


def hostile_names(package="-rr#", version="", member="x"):
    part = f'{{ package = "{package}", version = "{version}", member = "{member}" }}'
    return f'[models.toy]\nsources = [{{ file = "toy.gguf", parts = [{part}] }}]\n'


@pytest.mark.slow
def test_a_file_of_the_working_directory_runs_no_code(blendin, names, hostile, mark, tmp_path):
    """With the good model here, `pull` of its redefined name asks nobody, deletes nothing, runs nothing."""
    (tmp_path / "config").mkdir()
    own = names.read_text().replace('"own.gguf"', f'"{tmp_path / "own.gguf"}"')
    (tmp_path / "config" / "models.toml").write_text(own)
    [good] = [row["path"] for row in json.loads(blendin("pull", "toy", "--json").stdout)["models"]]
    file = hostile / "models.toml"
    for text in (hostile_names(), hostile_names("evil", "1.0"), hostile_names("evil", "1.0") + "size = 1\n"):
        file.write_text(text)
        for verb in (("pull", "toy"), ("pull", "duo"), ("show", "toy"), ("rm", "toy", "--yes"), ("ls",)):
            with pytest.raises(UsageError) as caught:
                blendin(*verb)
            assert str(file) in caught.value.message
    assert Path(good).read_bytes() == CONTENT
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[
            ("package", value)
            for value in ("-rr#", "./evil", "evil @ file:///x", "a b", "a[x]", "a;b", "../a")
        ],
        *[
            ("package", value)
            for value in ("", "--help", "é", "a/b", "a\\\\b", "a==1", "a\\n-r x", "a" * 201)
        ],
        *[("version", value) for value in ("", "*", "1.*", ">=1", "1,<2", "1 -r x", "v1", "1-2", "1.0.zip")],
        *[("version", value) for value in ("/x", "..", "1; x", "1\\u0000", "١")],
        *[("member", value) for value in ("", "../x", "/x", "a/../x", "a//x", "a\\\\x", "C:x", "a/", "nul")],
        *[("file", value) for value in ("../x.gguf", "/x.gguf", "a/x.gguf", "x", "x.gguf/..", "a\\\\x.gguf")],
        *[
            ("file", value)
            for value in ("C:x.gguf", "con.gguf", "x.gguf ", "\\u0000.gguf", "x" * 300 + ".gguf")
        ],
        *[
            ("repo", value)
            for value in ("a", "a/b/c", "../b", "a/..", "/a/b", "a--b/c", "a b/c", "a/b:c", "-a/b")
        ],
        *[
            ("hub file", value)
            for value in ("../x.gguf", "/x.gguf", "a/../x.gguf", "x.bin", "a\\\\x.gguf", "")
        ],
        *[("revision", value) for value in ("..", "../x", "a..b", "-x", "a b", "a--b", "/x", "x" * 101)],
        *[("hf", value) for value in ("a", "a/b:", "a/b/c", "../../x", "a/b:c d")],
        *[("path", value) for value in ("", "a\\u0000b", "~no-such-user-at-all/x", "x" * 5000, "a\\u001bb")],
    ],
)
def test_names_in_a_file_have_the_form_of_their_standard(tmp_path, key, value):
    """Whatever else stands there is refused when the file is read, naming file, table and key."""
    part = {"package": "a", "version": "1.0", "member": "m/x", "file": "x.gguf", key: value}
    parts = f'{{ package = "{part["package"]}", version = "{part["version"]}", member = "{part["member"]}" }}'
    hub = {"repo": "a/b", "hub file": "x.gguf", "revision": "main", key: value}
    texts = {
        "hf": f'hf = "{value}"',
        "path": f'path = "{value}"',
        **dict.fromkeys(
            ("package", "version", "member", "file"),
            f'sources = [{{ file = "{part["file"]}", parts = [{parts}] }}]',
        ),
        **dict.fromkeys(
            ("repo", "hub file", "revision"),
            'sources = [{{ repo = "{repo}", file = "{hub file}", revision = "{revision}" }}]'.format(**hub),
        ),
    }
    file = tmp_path / "m.toml"
    file.write_text(f"[models.a]\n{texts[key]}\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_registry(file, {}, tmp_path)
    assert str(file) in caught.value.message
    assert key.rpartition(" ")[2] in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.slow
def test_pip_reads_and_runs_nothing_of_the_working_directory(toy, store, hostile, mark, monkeypatch):
    """Neither a module pip, nor a requirements file, nor a setting: only the wheel is fetched."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert get(toy, store).read_bytes() == CONTENT
    assert not mark.exists()


@pytest.mark.slow
def test_pip_never_builds(store, wheels, mark, hostile, monkeypatch):
    """A source package is no data, even where the user's settings prefer sources for other work."""
    with tarfile.open(wheels / "blendin-src-1.0.tar.gz", "w:gz") as archive:
        archive.add(hostile / "evil" / "setup.py", "blendin-src-1.0/setup.py")
    for name in ("PIP_NO_BINARY", "PIP_ONLY_BINARY"):
        monkeypatch.setenv(name, ":all:" if name == "PIP_NO_BINARY" else ":none:")
    store.root.mkdir()
    with pytest.raises(FetchError, match="No matching distribution"):
        pip_module.download_wheel(
            PackagePart("blendin-src", "1.0", "x"), store.root / "x.whl", lambda _: None, 1000
        )
    assert not mark.exists()


def test_the_requirement_cannot_be_an_option(tmp_path, monkeypatch):
    """It follows a `--`, and pip starts in an empty directory, its relative settings made absolute."""
    told = tmp_path / "told.json"
    stand_in = tmp_path / "pip.py"
    stand_in.write_text(
        textwrap.dedent(f"""
        import json, os, sys
        said = [sys.argv[1:], os.listdir(), os.environ["PIP_CONFIG_FILE"]]
        open({str(told)!r}, "w").write(json.dumps(said))
        """)
    )
    monkeypatch.setattr(pip_module, "pip_command", lambda: [sys.executable, str(stand_in)])
    monkeypatch.setenv("PIP_CONFIG_FILE", "my.conf")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FetchError, match="no wheel"):
        pip_module.download_wheel(PackagePart("a", "1.0", "x"), tmp_path / "x.whl", lambda _: None, 1000)
    arguments, listing, setting = json.loads(told.read_text())
    assert arguments[-2:] == ["--", "a==1.0"]
    assert "--only-binary=:all:" in arguments
    assert listing == []
    assert setting == str(tmp_path / "my.conf")


@pytest.mark.slow
def test_the_users_own_pip_settings_hold(toy, store, wheels, tmp_path, monkeypatch):
    """An index that only the user's pip.conf names is found."""
    config = tmp_path / "own.conf"
    config.write_text(f"[global]\nno-index = true\nfind-links = {wheels}\n")
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert get(toy, store).read_bytes() == CONTENT


@pytest.mark.skipif(os.name == "nt", reason="Windows looks for programs in another way")
def test_another_pip_is_not_looked_for_in_the_working_directory(tmp_path, monkeypatch, store):
    """Where this Python has none, entries of PATH that mean the working directory are passed over."""
    (tmp_path / "pip3").write_text("#!/bin/sh\n")
    (tmp_path / "pip3").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FetchError, match="pip is needed"):
        pip_module.pip_command()


@pytest.mark.slow
def test_a_good_file_stays_until_the_new_one_is_whole(toy, store, wheels):
    """Whatever comes in its place, refused or not to be had: the old bytes are there afterwards."""
    good = get(toy, store)
    wanted = replace(toy, sha256=hashlib.sha256(b"another").hexdigest())
    with pytest.raises(FetchError, match="sha256"):
        get(wanted, store)
    make_wheel(wheels, "blendin-toy-0", "data/toy.part0", b"<html>" + CONTENT[6:5000])
    other = hashlib.sha256(b"<html>" + CONTENT[6:]).hexdigest()
    parts = tuple(replace(part, size=part.size + 100) for part in toy.sources[0].parts)
    no_model = replace(toy, sha256=other, sources=(replace(toy.sources[0], parts=parts),))
    with pytest.raises(FetchError, match="not a GGUF"):
        get(no_model, store)
    for wheel in wheels.iterdir():
        wheel.unlink()
    with pytest.raises(FetchError, match="No matching"):
        get(wanted, store)
    assert good.read_bytes() == CONTENT
    assert leftovers(store) == []
