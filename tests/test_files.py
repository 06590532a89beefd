"""Files that hold conversations are the user's alone, whatever the umask, and also where they were there."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
import threading

import pytest

from blendin_local.cli.chat.files import save
from blendin_local.cli.chat.reader import open_history
from blendin_local.cli.chat.state import ChatHistory, ChatSettings
from blendin_local.cli.check.run import _save
from blendin_local.cli.common.options import OutputOptions
from blendin_local.cli.run.outputs import Outputs
from blendin_local.files import (
    PRIVATE_MODE,
    open_private,
    open_private_fd,
    retry_open,
    write_atomic,
    write_private,
)
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile
from blendin_local.jobs.evaluation.folder import write_text
from blendin_local.views.theme import Consoles, make_console
from tests.answers import asked_step, completion
from tests.jobs.batches import questions, run, write_rows
from tests.paths import PACKAGE, SOURCES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
SIGNATURE = {"answer": {"top_logprobs": 3}}


@pytest.fixture(params=[0o022, 0o000, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def write_batch(folder):
    rows = questions(3)
    rows[1]["prompt"] = "fail"
    run(write_rows(folder / "p.jsonl", rows), folder / "a.jsonl")
    return [folder / name for name in ("a.jsonl", "a.errors.jsonl", "a.manifest.json")]


def write_outputs(folder):
    paths = {name: folder / name for name in ("trace", "html", "svg")}
    consoles = Consoles(make_console(io.StringIO()), make_console(io.StringIO()))
    with Outputs.open(OutputOptions(**paths), "why?", consoles) as outputs:
        outputs.begin({"base": "why?"}, SIGNATURE, [])
        outputs.step(asked_step(0), " Sure")
        outputs.finish(completion(asked_step(0)))
    return list(paths.values())


def write_chat(folder):
    save(ChatHistory(settings=ChatSettings()), folder / "talk.jsonl", lambda _: True)
    return [folder / "talk.jsonl"]


def write_history(folder):
    os.environ["XDG_STATE_HOME"] = str(folder)
    open_history().store_string("a secret")
    [path] = folder.rglob("chat_history")
    return [path]


def write_readings(folder):
    with AppendOnlyFile.locked(folder / "readings.jsonl") as file:
        file.read(lambda line: line)
        file.append({"custom_id": "a"})
    return [folder / "readings.jsonl"]


def write_reports(folder):
    write_text(folder / "report.html", "answers")
    _save(folder / "check.html", "answers")
    return [folder / "report.html", folder / "check.html"]


WRITERS = (write_batch, write_outputs, write_chat, write_history, write_readings, write_reports)


@pytest.mark.parametrize("write", WRITERS)
def test_files_of_conversations_are_private(write, tmp_path, umask, monkeypatch):
    """Made under any umask, and written again where somebody opened their mode in between."""
    monkeypatch.delenv("BLENDIN_NO_HISTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for path in write(tmp_path):
        assert mode(path) == PRIVATE_MODE, path
        path.chmod(0o644)
    for path in write(tmp_path):
        assert mode(path) == PRIVATE_MODE, path


# Files that hold no conversation: shipped data, downloads, what is known of them; and what is only read.
OTHER_WRITERS = {
    "files.py",
    "models/hub_download.py",
    "models/package_download.py",
    "models/pip_download.py",
    "views/streams.py",
    "bounded_process.py",
    "engine/trial_cache.py",
    "paths.py",
    "server/announcement.py",  # it opens what others wrote, to see whether they still hold the lock
}
WRITING = re.compile(
    r"""\.write_(text|bytes)\(|open\([^)]*["'][wax]b?\+?["']|os\.open\(|\.touch\(|\bfdopen\("""
)


def test_every_other_writer_is_known():
    """Whoever writes a file does it through `files`, or is one of those that write no conversation."""
    found = {str(path.relative_to(PACKAGE)) for path in SOURCES if WRITING.search(path.read_text())}
    assert found - OTHER_WRITERS == set()


def test_what_is_truncated_is_private_before(tmp_path):
    """A reader of an older, open file never sees the new text through its mode."""
    path = tmp_path / "a"
    path.write_text("old and longer")
    path.chmod(0o666)
    with open_private(path) as file:
        assert (mode(path), path.read_text()) == (PRIVATE_MODE, "")
        file.write("new")
    assert path.read_text() == "new"


def test_a_file_of_somebody_else_is_refused_as_it_was(tmp_path, monkeypatch):
    """What cannot be made private is not written to, and not truncated."""
    path = tmp_path / "a"
    path.write_text("theirs")

    def refuse(fd, wanted):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path, "mine")
    write_private(path, "on a file system without modes")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="another user"):
        write_private(path, "mine")
    assert path.read_text() == "on a file system without modes"


def test_devices_and_pipes_keep_their_mode(tmp_path):
    """What the user sends into a pipe or to /dev/stdout is the user's wish."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    pipe.chmod(0o644)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_private(pipe, "through the pipe")
    reader.join(10)
    assert heard == ["through the pipe"]
    assert mode(pipe) == 0o644
    before = os.stat("/dev/null").st_mode
    os.close(open_private_fd("/dev/null", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert os.stat("/dev/null").st_mode == before


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="there is no /dev/fd")
def test_the_file_behind_dev_stdout_keeps_its_mode(tmp_path):
    """A shell's own redirection decided on it."""
    with (tmp_path / "out").open("w") as file:
        (tmp_path / "out").chmod(0o644)
        os.close(open_private_fd(f"/dev/fd/{file.fileno()}", os.O_WRONLY | os.O_CREAT))
    assert mode(tmp_path / "out") == 0o644


def test_replacing_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    """Nothing beside it, whatever fails; a mode that was asked for is kept."""
    path = tmp_path / "a"
    write_atomic(path, [b"one"], mode=0o640)
    assert mode(path) == 0o640
    for name in ("write", "fsync", "replace", "open"):
        with monkeypatch.context() as broken:

            def fail(*arguments, **more):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            broken.setattr(os, name, fail)
            with pytest.raises(OSError, match="No space"):
                write_atomic(path, [b"two"])
        assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"one")]


def test_patience_ends(monkeypatch):
    """Other errors are raised at once, a full table of descriptors after some attempts."""
    monkeypatch.setattr("blendin_local.files.RETRY_DELAYS_S", (0.0, 0.0))
    calls = []

    def fail(number):
        calls.append(number)
        raise OSError(number, os.strerror(number))

    for number, times in ((errno.ENOSPC, 1), (errno.EMFILE, 3), (errno.ENFILE, 3)):
        calls.clear()
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            retry_open(lambda number=number: fail(number))
        assert calls == [number] * times
