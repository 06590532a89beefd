"""What a batch keeps through kills, cuts, meddling and errors of the system: each row, and each once."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from blendin_local.errors import BlendinError, UsageError, WriteError
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, FinishedRows
from tests.jobs.batches import ScriptedAnswers, lines, opened, questions, run, scan, write_rows
from tests.paths import ROOT

fcntl = pytest.importorskip("fcntl")
ROWS = 30
FAILING = (4, 11, 29)
WANTED = [f"id-{i}" for i in range(ROWS)]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, signals and locks of POSIX")


@pytest.fixture
def source(tmp_path):
    rows = questions(ROWS)
    for i in FAILING:
        rows[i]["prompt"] = f"fail {i}"
    return write_rows(tmp_path / "p.jsonl", rows)


@pytest.fixture
def quick(monkeypatch):
    """Bytes need not reach the disk, and nobody waits for descriptors."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr("blendin_local.files.RETRY_DELAYS_S", (0.0,) * 4)


def errors_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.errors.jsonl")


def rows_in(out: Path) -> dict[str, object]:
    """What came of each row; AssertionError where a line is torn or a row stands twice."""
    found = [line for path in (out, errors_of(out)) if path.exists() for line in lines(path)]
    by_id = {str(line["custom_id"]): line.get("text", "failed") for line in found}
    assert len(by_id) == len(found), "a row stands twice"
    return by_id


def problem_of(source: Path, out: Path, before: dict[str, object]) -> str | None:
    """What is wrong after going on to the end; None where every row stands once and as it was."""
    try:
        run(source, out)
        after = rows_in(out)
    except (BlendinError, AssertionError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if sorted(after) != sorted(WANTED):
        return f"rows are missing: {sorted({*WANTED} - {*after})}"
    if changed := [key for key, text in before.items() if after[key] != text]:
        return f"rows have changed: {changed}"
    counts = json.loads(out.with_name(f"{out.stem}.manifest.json").read_text())["counts"]
    return None if counts["answered"] + counts["failed"] == ROWS else f"the manifest says {counts}"


def new_folder(parent: Path, number: int) -> Path:
    folder = parent / f"t{number}"
    folder.mkdir()
    return folder / "a.jsonl"


@pytest.mark.slow
def test_kills_at_random_moments(source, tmp_path, ledger):
    """SIGKILL, SIGTERM and SIGINT at any moment of a batch: whole lines, and the next run goes on."""
    chance, out, turn, midst = random.Random(15), new_folder(tmp_path, 0), 0, 0
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.batch_worker"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with worker, ledger.kind("batches killed at random moments") as trials:
        for number in range(ledger.count(12, 60)):
            worker.stdin.write(f"{source}\t{out}\t{chance.choice((1, 4))}\n")
            worker.stdin.flush()
            child = int(worker.stdout.readline())
            if number % 2:  # not before it has written something, however fast or slow the machine is
                _wait_for_more(out)
            time.sleep(chance.uniform(0, 0.12 if number % 2 == 0 else 0.01))
            kind = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
            with suppress(ProcessLookupError):  # it was finished
                os.kill(child, kind)
            status = int(worker.stdout.readline())
            allowed = status in {0, -kind, 128 + kind}
            before = _kept(out)
            midst += 0 < len(before) < ROWS
            trials.record(f"{number} {kind.name}", None if allowed else f"it ended with {status}")
            if number % 4 == 3:  # else the next one goes on with what this one left
                trials.record(f"{number} in the end", problem_of(source, out, before))
                turn += 1
                out = new_folder(tmp_path, turn)
        worker.stdin.close()
    assert midst >= 3, "hardly a kill came in the midst of a batch"


def _wait_for_more(out: Path) -> None:
    """Until the file is longer than it was, or what it is waiting for will not come."""
    before, until = len(_kept(out)), time.monotonic() + 1
    while len(_kept(out)) == before < ROWS and time.monotonic() < until:
        time.sleep(0.001)


def _kept(out: Path) -> dict[str, object]:
    """The whole lines of a file that may end with a torn one."""
    found: dict[str, object] = {}
    for path in (out, errors_of(out)):
        if path.exists():
            whole = path.read_bytes().rpartition(b"\n")[0].splitlines()
            found |= {(row := json.loads(line))["custom_id"]: row.get("text", "failed") for line in whole}
    return found


@pytest.mark.slow
def test_cuts_at_any_byte(source, tmp_path, ledger, quick):
    """Answers or errors cut anywhere: what was cut is asked again, and nothing else."""
    whole = new_folder(tmp_path, 0)
    run(source, whole)
    chance = random.Random(7)
    with ledger.kind("outputs cut at a byte") as trials:
        for number in range(ledger.count(60, 600)):
            out = new_folder(tmp_path, number + 1)
            for path in whole.parent.iterdir():
                shutil.copy(path, out.parent)
            path = errors_of(out) if number % 5 == 4 else out
            size = path.stat().st_size
            last = size - path.read_bytes()[:-1].rfind(b"\n")  # of the last line each byte, then others
            at = size - 1 - number if number < last else chance.randrange(size)
            os.truncate(path, max(0, at))
            trials.record(f"{path.name} at {at}", problem_of(source, out, _kept(out)))
            shutil.rmtree(out.parent)


CALLS: dict[str, tuple[object, str]] = {
    "write": (os, "write"),
    "fsync": (os, "fsync"),
    "ftruncate": (os, "ftruncate"),
    "open": (os, "open"),
    "open to read": (io, "open"),
    "rename": (os, "replace"),
    "unlink": (os, "unlink"),
    "stat": (os, "stat"),
    "fstat": (os, "fstat"),
    "seek": (os, "lseek"),
    "read": (os, "read"),
    "chmod": (os, "fchmod"),
    "lock": (fcntl, "flock"),
}
NUMBERS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.EINTR)
MOMENTS = (1, 2, 3, 5, 8, 13, 21, 34)


@dataclass
class Failing:
    """A call of the system that fails once, or from then on, when it has been called so often."""

    real: Callable[..., object]
    number: int
    moment: int
    for_good: bool
    partly: bool  # whether a write writes some of its bytes first
    inside: str  # the folder whose files are meant; others, such as the test's own, are left alone
    calls: int = 0
    failed: int = 0

    def __call__(self, *arguments, **more):
        if isinstance(arguments[0], (str, os.PathLike)) and self.inside not in os.fspath(arguments[0]):
            return self.real(*arguments, **more)
        self.calls += 1
        if self.calls == self.moment or (self.for_good and self.calls > self.moment):
            self.failed += 1
            if self.partly and self.real.__name__ == "write":
                self.real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*arguments, **more)


@contextmanager
def failing(name, number, moment, chance, inside):
    module, attribute = CALLS[name]
    real = getattr(module, attribute)
    fault = Failing(real, number, moment, chance.random() < 0.5, chance.random() < 0.5, str(inside))
    setattr(module, attribute, fault)
    try:
        yield fault
    finally:
        setattr(module, attribute, real)


@pytest.mark.slow
def test_errors_of_the_system_lose_no_row(source, tmp_path, ledger, quick):
    """Each call that a batch makes fails in each way: one clear error at most; the next run does the rest."""
    cases = [(name, number, moment) for name in CALLS for number in NUMBERS for moment in MOMENTS]
    chance = random.Random(9)
    chance.shuffle(cases)
    reached = 0
    with ledger.kind("errors of the system during a batch") as trials:
        for number, (name, code, moment) in enumerate(cases[: ledger.count(90, len(cases))]):
            out = new_folder(tmp_path, number)
            half = number % 2  # half of them go on with an earlier run that ended in a torn line
            if half:
                run(source, out, ScriptedAnswers(stop_after=12))
                with out.open("ab") as file:
                    file.write(b'{"custom_id": "id-1')
            before = _kept(out)
            trouble = None
            with failing(name, code, moment, chance, out.parent) as fault:
                try:
                    run(source, out, ScriptedAnswers(parallel=chance.choice((1, 3))))
                except (WriteError, UsageError):
                    pass
                except Exception as error:  # noqa: BLE001 - that is what the trial is about
                    trouble = f"{type(error).__name__}: {error}"
            reached += bool(fault.failed)
            trouble = trouble or (None if before.items() <= _kept(out).items() else "rows are lost")
            trouble = trouble or problem_of(source, out, _kept(out))
            trials.record(f"{name} {errno.errorcode[code]} at call {moment}, {half=}", trouble)
            shutil.rmtree(out.parent)
    assert reached > len(trials.lost) + trials.tried // 3, "too few of the faults were reached"


def rename(path, chance):
    path.rename(path.with_name("elsewhere"))


def remove(path, chance):
    path.unlink()


def cut(path, chance):
    os.truncate(path, chance.randrange(path.stat().st_size))


def flip(path, chance):
    """One byte of a text becomes another."""
    data = bytearray(path.read_bytes())
    data[chance.choice([i for i, byte in enumerate(data) if byte == ord("e")])] = ord("a")
    with path.open("r+b") as file:
        file.write(data)


def insert(path, chance):
    data = path.read_bytes().splitlines(keepends=True)
    data.insert(chance.randrange(len(data)), b"{}\n")
    path.write_bytes(b"".join(data))


def move_a_copy(path, chance):
    shutil.copy(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def point_elsewhere(path, chance):
    path.unlink()
    path.symlink_to("nowhere")


MEDDLING = (rename, remove, cut, flip, insert, move_a_copy, point_elsewhere)


@pytest.mark.slow
def test_meddling_at_any_moment_is_never_silent(source, tmp_path, ledger, quick):
    """A file changed by something else at a random row: an error, and a manifest that counts what is left."""
    chance = random.Random(4)
    with ledger.kind("meddling with the files of a batch") as trials:
        for number in range(ledger.count(42, 280)):
            out = new_folder(tmp_path, number)
            meddle, path = MEDDLING[number % len(MEDDLING)], out
            moment = chance.randrange(6, ROWS + 1)
            if chance.random() < 0.3:
                path = errors_of(out)
            trouble = _meddled(source, out, partial(meddle, path, chance), moment)
            trials.record(f"{meddle.__name__} of {path.name} at row {moment}", trouble)
            shutil.rmtree(out.parent)


def _meddled(source, out, meddle, moment) -> str | None:
    def on_progress(progress):
        if progress.finished_now == moment:
            meddle()

    try:
        with opened(source, out) as batch:
            batch.answer(ScriptedAnswers(), lambda: False, on_progress)
    except WriteError:
        pass
    else:
        return "nothing was said"
    if any(path.is_file() and b"\0" in path.read_bytes() for path in out.parent.iterdir()):
        return "there are NUL bytes"
    try:
        kept = FinishedRows.read(scan(source)[0], BatchPaths.of(source, out)).progress(BatchOptions())
    except UsageError:
        return None  # what is there cannot be counted, and the next run says so
    counts = json.loads(out.with_name("a.manifest.json").read_text())["counts"]
    same = (counts["answered"], counts["failed"]) == (kept.answered, kept.failed)
    return None if same else f"the manifest says {counts}, the files hold {kept.answered} and {kept.failed}"


def test_rows_of_models_go_on_without_a_free_descriptor(tmp_path):
    """While answers are made nothing has to be opened, so no row fails for it."""
    import resource

    from blendin_local.pair.pair import Pair
    from blendin_local.pair.setup import PairSetup
    from blendin_local.settings import ModelSettings
    from tests.prompts import TEMPLATE
    from tests.toys import make_toy

    base = make_toy(tmp_path / "base.gguf", "sliding")
    guide = make_toy(tmp_path / "guide.gguf", "plain", seed=1)
    rows = [{**row, "max_tokens": 4} for row in questions(6)]
    source, out = write_rows(tmp_path / "q.jsonl", rows), new_folder(tmp_path, 0)
    model = ModelSettings(ctx_size=512, threads=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def on_progress(progress):
        if progress.finished_now == 1:
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        elif progress.finished_now == 5:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    try:
        with (
            Pair(PairSetup(base, guide, TEMPLATE, model, model, n_parallel=2)) as pair,
            opened(source, out) as batch,
        ):
            progress = batch.answer(pair, lambda: False, on_progress)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (progress.answered, progress.failed) == (6, 0)
