"""The file by which a server is found."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from blendin_local.errors import UsageError
from blendin_local.server.announcement import Announcement, announced, directory, proof, running
from blendin_local.server.client import Server
from blendin_local.server.exact_settings import exact_from_json, exact_to_json
from blendin_local.server.pair_facts import announcement_of
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.paths import ROOT

SAID = Announcement(
    "http://127.0.0.1:8080",
    "ab" * 32,
    "1.2",
    needs_key=False,
    options={"pair": "demo", "threads": "1"},
    default_pair="demo",
    registry=("/a/models.toml",),
    files=(("/a/base.gguf", 5, 7),),
    date="",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache directory of its own."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def found_elsewhere():
    """How many announcements another process finds: a lock does not hold against its own process."""
    code = "from blendin_local.server.announcement import running; print(len(list(running())))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return int(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)


def test_it_is_there_as_long_as_the_server():
    """As it was written, also for other processes; nothing is left."""
    with announced(SAID):
        assert list(running()) == [SAID]
        assert found_elsewhere() == 1
    assert list(running()) == []
    assert list(directory().iterdir()) == []


def test_only_its_owner_can_read_it():
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        with announced(SAID):
            [path] = directory().iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_stale_file_is_removed():
    """That is one which no process has locked, whatever its name says."""
    with announced(SAID):
        [path] = directory().iterdir()
        data = path.read_bytes()
    path.write_bytes(data)
    path.chmod(0o600)
    assert list(running()) == []
    assert not path.exists()


@pytest.mark.parametrize("damage", ["mode", "link", "content"])
def test_a_file_that_another_could_have_written_is_not_read(damage):
    """Nor one that is no such file."""
    with announced(SAID):
        [path] = directory().iterdir()
        if damage == "mode":
            path.chmod(0o644)
        elif damage == "link":
            target = path.rename(path.with_name("target"))
            path.symlink_to(target)
        else:
            path.write_text('{"url": "http://127.0.0.1:1"}')
        assert list(running()) == []


def test_a_server_works_where_none_can_be_written(cache):
    """The failure is told."""
    cache.write_text("a file")
    failures = []
    with announced(SAID, failures.append):
        assert list(running()) == []
    assert len(failures) == 1


def test_the_proof_depends_on_secret_and_nonce():
    """And is the same for the same two."""
    others = [proof("ab" * 32, "1" * 32), proof("ab" * 32, "2" * 32), proof("cd" * 32, "1" * 32)]
    assert len(set(others)) == 3
    assert proof("ab" * 32, "1" * 32) == others[0]


def test_a_server_proves_who_it_is(server):
    """With the secret that only its announcement has, and for numbers that are long enough."""
    said = announcement_of(server.service, server.url, needs_key=False)
    nonce = "1f" * 16
    reply = server.get(f"/v1/identity?nonce={nonce}")
    assert reply.json == {"proof": proof(said.secret, nonce)}
    assert said.secret not in reply.data.decode()
    for wrong in ("", "1", "a" * 65, "%20" * 32):
        with pytest.raises(UsageError):
            Server(server.url).get(f"/v1/identity?nonce={wrong}")


def test_an_announcement_has_the_files_and_no_key(server):
    """Models and models.toml."""
    said = announcement_of(server.service, server.url, needs_key=True)
    names = [name for name, _, _ in said.files]
    assert [str(path) for path, _ in server.service.pair.setup.files().values()] == names[:2]
    assert set(said.registry) < set(names)
    assert replace(said, needs_key=False) == announcement_of(server.service, server.url, needs_key=False)


def test_all_settings_survive_the_way():
    """Also where none is a value of its own."""
    settings = (
        BlendSettings(alpha=None, threshold=0.2),
        SamplingSettings(temperature=0.5, seed=None),
        AnswerSettings(max_tokens=None, stop=("a", "b")),
    )
    assert exact_from_json(exact_to_json(*settings)) == settings


@pytest.mark.parametrize(
    "damage",
    [{}, {"blend": 3}, {"blend": {"alpha": "x"}}, {"blend": {"no_such": 1}}, {"sampling": {"seed": []}}],
)
def test_other_settings_are_refused(damage):
    """In one line."""
    whole = exact_to_json(BlendSettings(), SamplingSettings(), AnswerSettings())
    with pytest.raises(UsageError):
        exact_from_json(whole | damage if damage else {})
