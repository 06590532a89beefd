"""Ordinary trouble through the real command line: full disks, odd files, no /proc, no home, a poor locale.

Each ends as one line with its exit code, and never as a bug; an answer is finished where only a copy failed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from blendin_local.cli.common.failures import as_error
from blendin_local.engine.machine import available_memory, physical_cores, total_memory
from blendin_local.errors import UsageError, WriteError
from blendin_local.jobs.doctor import examine
from blendin_local.models.registry import load_registry
from blendin_local.models.store import Store
from blendin_local.paths import read_bytes
from tests.paths import ROOT
from tests.toys import make_toy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full, /dev/zero and FIFOs")

TIME_S = 60
MAIN = "from blendin_local.cli.app import main; main()"
NO_PROC = f"import psutil; psutil.PROCFS_PATH = '/no-proc'; {MAIN}"
GONE = f"import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); {MAIN}"
POOR = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ANSWER = 12  # tokens
AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@dataclass
class Case:
    """One trial: what is run, and how it may end."""

    name: str
    arguments: list
    codes: tuple = (2,)
    words: tuple = ()
    stdin: bytes = b""
    stdout: str = ""
    stderr: str = ""
    env: dict = field(default_factory=dict)
    program: str = MAIN
    answered: bool = False
    shut: bool = False


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a toy pair, and things that are no files."""
    folder = tmp_path_factory.mktemp("trouble")
    make_toy(folder / "base.gguf", "plain")
    make_toy(folder / "guide.gguf", "plain", seed=1)
    (folder / "folder").mkdir()
    (folder / "shut" / "models").mkdir(parents=True)
    (folder / "shut").chmod(0o700)
    os.mkfifo(folder / "pipe")
    (folder / "rows.jsonl").write_text('{"prompt": "\\ud800"}\n')
    (folder / "good.jsonl").write_text('{"prompt": "hello"}\n')
    (folder / "half.jsonl").write_text('{"prompt": "\\ud800", "answer": "x"}\n')
    (folder / "bytes.jsonl").write_bytes(b'{"prompt": "caf\xe9", "answer": "x"}\n')
    (folder / "deep.jsonl").write_text("[" * 100_000)
    (folder / "bytes.txt").write_bytes(b"caf\xe9")
    return folder


def run(*more):
    return ["run", "--base", "base.gguf", "--guide", "guide.gguf", "--no-loop-guard", "-n", ANSWER, *more]


FULL = [
    Case("stdout is full", run("hello"), (1,), ("standard output cannot be written",), stdout="/dev/full"),
    Case("stdout is full, JSON", run("hello", "--json"), (1,), ("standard output",), stdout="/dev/full"),
    Case("stdout is full, JSON lines", run("hello", "--jsonl"), (1,), ("standard",), stdout="/dev/full"),
    Case("show on a full disk", ["show", "base.gguf"], (1,), ("standard output",), stdout="/dev/full"),
    Case(
        "show --json on a full disk", ["show", "base.gguf", "--json"], (1,), ("standard",), stdout="/dev/full"
    ),
    Case("show --template on a full disk", ["show", "base.gguf", "--template"], (1,), stdout="/dev/full"),
    Case("ls on a full disk", ["ls", "-a"], (1,), ("standard output",), stdout="/dev/full"),
    Case("doctor on a full disk", ["doctor", "--offline"], (1,), ("standard output",), stdout="/dev/full"),
    Case("--help on a full disk", ["--help"], (1,), ("cannot be written",), stdout="/dev/full"),
    Case("--version on a full disk", ["--version"], (1,), ("standard output",), stdout="/dev/full"),
    Case(
        "an error on a full disk", run("hello", "--pair", "no", "--json"), (2,), ("no",), stdout="/dev/full"
    ),
    Case("stderr is full", run("hello"), (0,), stderr="/dev/full", answered=True),
    Case("stderr is full, an error", run("hello", "--pair", "no"), (2,), stderr="/dev/full"),
    *(
        Case(
            f"{option} is full",
            run("hello", option, "/dev/full"),
            (1,),
            ("/dev/full cannot be",),
            answered=True,
        )
        for option in ("--trace", "--html", "--svg")
    ),
    Case("--trace is full, JSON", run("hello", "--trace", "/dev/full", "--json"), (1,), answered=True),
    Case("batch writes to a full disk", ["batch", "good.jsonl", "-o", "/dev/full", *run()[1:5]], (1, 2)),
    Case("check --html is full", ["check", "--static", *run()[1:5], "--html", "/dev/full"], (1, 2)),
]
NO_FILES = [
    Case(f"{option} is {odd}", run("hello", option, odd), (2,), (odd,))
    for option in (
        "--file", "--system-file", "--base-prompt-file", "--guide-prompt-file", "--guide-chat-template-file",
        "--models",
    )
    for odd in ("folder", "/dev/zero", "pipe", "missing", "n" * 5000)
] + [
    Case(f"{' '.join(command)} {odd}", [*command, odd, *rest], (2, 3, 4), ())
    for command, rest in (
        (["replay"], []),
        (["batch"], ["-o", "out.jsonl", *run()[1:5]]),
        (["tune", *run()[1:5], "-o", "tuned", "--data"], []),
        (["bench", "--rounds", "1", *run()[1:5], "--compare"], []),
        (["check", *run()[1:5], "--prompts"], []),
        (["show"], []),
        (["run", "hello", "--method", "base", "--base"], []),
    )
    for odd in ("folder", "/dev/zero", "pipe", "missing")
]  # fmt: skip
NO_WRITING = [
    Case(f"{option} is {odd}", run("hello", option, odd), (2,), (odd,))
    for option in ("--trace", "--html", "--svg")
    for odd in ("folder", "no/such/folder/x", "n" * 5000)
]
TUNE = ["tune", *run()[1:5], "-o", "tuned", "--data"]
HALF = [
    Case("a question of tune with half a character", [*TUNE, "half.jsonl"], (2,), ("line 1", "half of a")),
    Case("a question of tune that is no text", [*TUNE, "bytes.jsonl"], (2,), ("not UTF-8",)),
    Case("a question of tune in brackets", [*TUNE, "deep.jsonl"], (2,), ("line 1",)),
    Case("a benchmark in brackets", ["bench", *run()[1:5], "--compare", "deep.jsonl"], (2,), ("deep.jsonl",)),
    Case("a question that is no text", run(b"caf\xe9"), (2,), ("the question is not UTF-8: byte 0xe9",)),
    Case("--system is no text", run("hello", "--system", b"caf\xe9"), (2,), ("--system is not UTF-8",)),
    Case("--stop is no text", run("hello", "--stop", b"caf\xe9"), (2,), ("--stop is not UTF-8",)),
    Case("--file is no text", run("-f", "bytes.txt"), (2,), ("bytes.txt is not UTF-8",)),
    Case("stdin is no text", run(), (2,), ("standard input is not UTF-8",), stdin=b"caf\xe9"),
    Case(
        "a pair that is no text", run("hello"), (2,), ("no pair",), env={"BLENDIN_PAIR": os.fsdecode(b"\xe9")}
    ),
    Case(
        "a model that is no text",
        ["run", "x", "--method", "base", "--base", b"caf\xe9.gguf"],
        (3,),
        ("caf<E9>",),
    ),
    Case("a line of a chat in a pipe", ["chat", *run()[1:]], (2,), ("UTF-8",), stdin=b"caf\xe9\n"),
    Case(
        "a row with half a character",
        ["batch", "rows.jsonl", "-o", "out.jsonl", *run()[1:5]],
        (2,),
        ("half of a",),
    ),
]
NO_HOME = [
    Case(
        "a home that is not there", ["run", "x", "--method", "base", "--base", "~no-such-user/x.gguf"], (3,)
    ),
    Case("BLENDIN_MODELS there", ["ls"], (2,), env={"BLENDIN_MODELS": "~no-such-user/x"}),
    Case("BLENDIN_CACHE is a file", ["ls"], (2,), ("base.gguf",), env={"BLENDIN_CACHE": "base.gguf"}),
]
STILL_WORKS = [
    Case("a poor locale", run("café", "--json"), (0,), env=POOR, answered=True),
    Case("a poor locale, stdin", run(), (0,), env=POOR, stdin="café".encode(), answered=True),
    Case("a poor locale, show", ["show", "base.gguf"], (0,), env=POOR),
    Case("a poor locale, doctor", ["doctor", "--offline"], (0, 4), env=POOR),
    Case("a poor locale, ls", ["ls", "-a"], (0,), env=POOR),
    Case("a poor locale, help", ["run", "--help"], (0,), env=POOR),
    Case("a poor locale, an error", run("café", "--pair", "é"), (2,), env=POOR),
    Case("a poor locale, chat", ["chat", *run()[1:]], (0,), env=POOR, stdin="café\n".encode()),
    Case("no /proc", run("hello"), (0,), program=NO_PROC, answered=True),
    Case("no /proc, doctor", ["doctor", "--offline"], (0, 4), program=NO_PROC),
    Case("no /proc, ls", ["ls"], (0,), program=NO_PROC),
    Case("no directory, ls", ["ls"], (0,), program=GONE),
    Case("no directory, doctor", ["doctor", "--offline"], (0, 4), program=GONE),
    Case("no directory, a relative file", ["show", "base.gguf"], (2, 3, 4), program=GONE),
]
SHUT = [  # as a user who may read neither the working directory nor the cache
    Case("a shut cache, ls", ["ls"], (2,), ("Permission denied",), shut=True),
    Case("a shut cache, doctor", ["doctor", "--offline"], (0, 4), shut=True),
    Case("a shut cache, run", ["run", "hello"], (2,), ("Permission denied",), shut=True),
    Case("a shut cache, rm", ["rm", "demo-guide"], (2,), ("Permission denied",), shut=True),
    Case("a shut directory, show", ["show", "base.gguf"], (2,), ("Permission denied",), shut=True),
]
CASES = [*SHUT, *FULL, *HALF, *STILL_WORKS, *NO_HOME, *NO_WRITING, *NO_FILES]


def problem_of(case, place):
    """What is wrong with how a case ended; None if nothing."""
    ends = {name: path for name in ("stdout", "stderr") if (path := getattr(case, name))}
    streams = {name: Path(path).open("wb") for name, path in ends.items()}  # noqa: SIM115
    arguments = [word if isinstance(word, bytes) else str(word) for word in case.arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **case.env}
    env.setdefault("BLENDIN_CACHE", str(place / ("shut" if case.shut else "cache")))
    try:
        done = subprocess.run(
            [*(AS_NOBODY if case.shut else []), sys.executable, "-c", case.program, *arguments],
            input=case.stdin,
            cwd=place / "shut" if case.shut else place,
            env=env,
            timeout=TIME_S,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
    except subprocess.TimeoutExpired:
        return "it hangs"
    finally:
        for stream in streams.values():
            stream.close()
    out, err = done.stdout or b"", (done.stderr or b"").decode(errors="replace")
    lines = [line for line in err.splitlines() if line.startswith("blendin: ")]
    wrong = {
        f"exit code {done.returncode}": done.returncode not in case.codes,
        "a bug": "this is a bug" in err,
        "a traceback": "Traceback" in err or "Exception ignored" in err,
        f"{len(lines)} lines of error": not case.stderr and len(lines) != (done.returncode not in {0, 130}),
        f"no word of {case.words}": not case.stderr and any(word[:100] not in err for word in case.words),
        "no whole answer": case.answered and not _answered(out, case),
    }
    told = [what for what, is_so in wrong.items() if is_so]
    return f"{', '.join(told)}: {err[-400:]}" if told else None


def _answered(out, case):
    if "--json" in case.arguments:
        record = json.loads(out.splitlines()[0])
        return record["usage"]["completion_steps"] == ANSWER or record["stopped_by"] != "max_tokens"
    return out.endswith(b"\n") and len(out) > 1


def _may_be_nobody():
    """Whether the program can be run here as a user without rights."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    command = [*AS_NOBODY, sys.executable, "-c", "import blendin_local.cli.app, rich, psutil"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=env, cwd="/", capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_ordinary_trouble_is_one_line(ledger, place):
    """Whatever the system refuses ends as one line with a next step and the exit code of its kind."""
    cases = CASES if _may_be_nobody() else [case for case in CASES if not case.shut]
    share = cases[:: max(1, len(cases) // ledger.count(6, len(cases)))]
    with ledger.kind("ordinary trouble") as trials:
        for case in share:
            trials.record(case.name, problem_of(case, place))


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--trace", "--html"])
def test_an_answer_is_finished_on_the_screen_where_only_its_copy_failed(place, option):
    """A full disk under a file costs the file: the whole answer is on stdout, then one line, exit code 1."""
    [case] = [case for case in FULL if case.name == f"{option} is full"]

    assert problem_of(case, place) is None


def test_a_pipe_with_a_writer_is_a_file(tmp_path):
    """What the shell's `<(...)` gives is read to its end, also where the writer takes its time."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"x" * 200_000))
    writer.start()

    assert read_bytes(tmp_path / "pipe") == b"x" * 200_000
    writer.join()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/dev/zero", "more than 64 MiB"),
        ("pipe", "nobody writes"),
        (".", "directory"),
        ("a\0b", "cannot be the name"),
    ],
)
def test_what_is_no_file_is_refused_in_bounded_time(tmp_path, monkeypatch, name, says):
    """An endless device, a pipe without a writer, a directory and a zero byte: each a UsageError."""
    monkeypatch.setattr("blendin_local.paths.PIPE_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match=says):
        read_bytes(tmp_path / name)


def test_without_proc_the_machine_is_known_as_far_as_it_can_be(monkeypatch, tmp_path):
    """No /proc is no bug: cores and memory come from the system's other ways, and doctor reports."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/no-proc")
    with pytest.raises(FileNotFoundError):
        psutil.virtual_memory()

    assert physical_cores() >= 1
    assert 0 < available_memory() <= total_memory()
    assert examine(load_registry(cwd=tmp_path), Store(tmp_path), offline=True).machine["memory_total"] > 0


def test_a_store_that_may_not_be_read_is_named(monkeypatch, tmp_path):
    """`doctor` lists it among what hinders, and `ls` says so instead of that there are no models."""
    store = Store(tmp_path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(store.models))

    monkeypatch.setattr("os.scandir", refuse)
    found = examine(load_registry(cwd=tmp_path), store, offline=True)

    assert any(str(store.models) in finding.message for finding in found.findings)
    with pytest.raises(PermissionError) as caught:
        store.files()
    failure = as_error(caught.value)
    assert isinstance(failure, UsageError)
    assert failure.message == f"{store.models}: Permission denied"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (OSError(28, "No space left on device", "x"), WriteError, 1),
        (PermissionError(13, "Permission denied", "x"), UsageError, 2),
        (OSError(24, "Too many open files", "x"), object, 1),
        (MemoryError(), object, 4),
        (ZeroDivisionError("x"), object, 1),
    ],
)
def test_each_kind_of_trouble_has_its_code(error, kind, code):
    """What the system refuses is told apart from bugs."""
    failure = as_error(error)

    assert isinstance(failure, kind)
    assert failure.exit_code == code
    assert ("this is a bug" in failure.message) == isinstance(error, ZeroDivisionError)
