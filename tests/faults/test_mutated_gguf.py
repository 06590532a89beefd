"""No damage to a model file ends, hangs or fills the process that opens it."""

import collections
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from time import monotonic

import pytest

from tests.faults.gguf_mutations import Mutator
from tests.paths import ROOT
from tests.toys import KINDS, make_toy

pytest.importorskip("resource", reason="memory is measured by a function of Unix")

HANG_S = 20
GIB_IN_KIB = 2**20


class Opener:
    """A process that opens files, started anew whenever it has ended."""

    def __init__(self, verdicts):
        self._verdicts = str(verdicts)
        self._process = None
        self.outcomes = collections.Counter()

    def _start(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.gguf_worker"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._lines = queue.SimpleQueue()
        self._receiver = threading.Thread(target=self._receive, args=(self._process.stdout,), daemon=True)
        self._receiver.start()

    def _receive(self, source):
        with source:
            for line in source:
                self._lines.put(line)
        self._lines.put(None)

    def problem(self, path):
        """What went wrong when the file was opened; None if nothing."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        started = monotonic()
        self._process.stdin.write(json.dumps([str(path), self._verdicts]) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=3 * HANG_S)
        except queue.Empty:
            self.close()
            return f"a hang of more than {3 * HANG_S} s"
        if line is None:
            status = self._process.wait()
            return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return self._fault(json.loads(line), path, monotonic() - started)

    def _fault(self, found, path, seconds):
        said = found.get("refused")
        self.outcomes["trial load failed" if said and "trial" in said else "refused" if said else "read"] += 1
        if "traceback" in found:
            return found["traceback"]
        if said is not None and ("\n" in said or len(said) > 2000 or found["exit"] not in {4, 5}):
            return f"not one line with exit 4 or 5: {said[:3000]!r}"
        most = max(found["own_kib"], found["child_kib"]) - os.path.getsize(path) // 1024
        if most > GIB_IN_KIB:
            self.close()  # it keeps its largest size
            return f"{most // 1024} MiB more than the file"
        return f"{seconds:.0f} s" if seconds > HANG_S else None

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with suppress(OSError):  # a line may still be in the buffer
                self._process.stdin.close()
            self._receiver.join()
            self._process = None


@pytest.fixture
def opener(tmp_path):
    one = Opener(tmp_path / "verdicts")
    yield one
    logging.getLogger(__name__).info("%s", dict(one.outcomes))
    one.close()


def try_patches(opener, trials, path, mutator, count):
    """Damage a file, open it, mend it, so many times."""
    for i in range(count):
        patch = mutator.patch()
        old = patch.apply(path)
        try:
            trials.record(f"{path.name} {i}: {patch.what}", opener.problem(path))
        finally:
            patch.undo(path, old)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_to_a_toy_is_fatal(tmp_path, ledger, opener, kind):
    """Headers, tensors, vocabularies and weights of the four kinds of memory may say what they like."""
    path = make_toy(tmp_path / f"{kind}.gguf", kind)
    assert opener.problem(path) is None
    assert opener.outcomes == {"read": 1}
    with ledger.kind("mutated GGUF files, toys") as trials:
        try_patches(opener, trials, path, Mutator(path, seed=KINDS.index(kind)), ledger.count(12, 750))


@pytest.mark.model
def test_no_damage_to_a_real_header_is_fatal(tmp_path, ledger, opener, demo_guide_path):
    """Nor may the header of the demo guide."""
    path = tmp_path / "guide.gguf"
    path.write_bytes(demo_guide_path.read_bytes())
    with ledger.kind("mutated GGUF files, a real header") as trials:
        mutator = Mutator(path, seed=4, weights=False)
        try_patches(opener, trials, path, mutator, ledger.count(6, 600))
