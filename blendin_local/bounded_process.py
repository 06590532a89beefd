"""A child process with limits on time and memory, in which possibly hostile files are handled.

Here: `BoundedProcess`, which asks and waits; `serve`, the child's side.
Not here: what is asked; each kind of question is a module that calls `serve` when it is run.
The child is started without the working directory on its module path, and in a session of its own: Ctrl-C
reaches the parent alone, which then ends the child. When the parent is gone its input ends, and so does it.
"""

from __future__ import annotations

import os
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO

import psutil

POLL_S = 0.02
MAX_ANSWER_BYTES = 2**28
MAX_LOG_BYTES = 2**24  # bytes that the child may write to stderr
LOG_TAIL = 2000  # bytes of it that an error quotes
MIB = 2**20
_LENGTH = struct.Struct(">Q")


class BoundedProcessError(Exception):
    """The child gave no answer.

    Attributes:
        log: The end of what it wrote to stderr.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class ProcessDiedError(BoundedProcessError):
    """It ended without an answer, by a signal or by itself."""


class ProcessTimeoutError(BoundedProcessError):
    """It took longer than it was given."""


class ProcessMemoryError(BoundedProcessError):
    """It took more memory than it was given."""


class BoundedProcess:
    """One child process; close it when done. It may be asked again and again, by one thread.

    Args:
        module: Name of the module to run; it calls `serve`.
        memory: Bytes it may take.
    """

    def __init__(self, module: str, memory: int) -> None:
        self._memory = memory
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._receive, args=(self._process.stdout,), daemon=True).start()

    def _receive(self, source: IO[bytes]) -> None:
        with source:
            while (answer := _read_frame(source, MAX_ANSWER_BYTES)) is not None:
                self._answers.put(answer)
        self._answers.put(None)

    def ask(self, request: bytes, seconds: float, should_stop: Callable[[], bool] = lambda: False) -> bytes:
        """The child's answer to a request.

        Args:
            request: As the module's function expects it.
            seconds: How long it may take.
            should_stop: Polled while waiting; the child is then ended.

        Raises:
            BoundedProcessError: There is no answer, for the reason that the class names; the child is ended.
            KeyboardInterrupt: `should_stop` became true.
        """
        try:
            return self._ask(request, monotonic() + seconds, should_stop)
        except BaseException:
            self.close()
            raise

    def _ask(self, request: bytes, deadline: float, should_stop: Callable[[], bool]) -> bytes:
        sender = threading.Thread(target=self._send, args=(request,), daemon=True)  # a pipe may be full
        sender.start()
        while True:
            try:
                answer = self._answers.get(timeout=POLL_S)
            except queue.Empty:
                if should_stop():
                    raise KeyboardInterrupt from None
                self._require_bounds(deadline)
                continue
            if answer is None:
                raise self._died()
            return answer

    def _send(self, request: bytes) -> None:
        assert self._process.stdin
        try:
            _write_frame(self._process.stdin, request)
        except (OSError, ValueError):
            return  # the process has ended, which the other pipe reports too

    def _require_bounds(self, deadline: float) -> None:
        if monotonic() > deadline:
            raise ProcessTimeoutError("it took too long")
        try:
            used = psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return  # the process has ended, which the pipe reports
        if used > self._memory:
            raise ProcessMemoryError(f"it took more than {self._memory // MIB} MiB")

    def _died(self) -> ProcessDiedError:
        status = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_TAIL))
        log = self._log.read().decode("utf-8", "replace").strip()
        if status < 0:
            return ProcessDiedError(f"it was ended by {signal.Signals(-status).name}", log)
        return ProcessDiedError(f"it ended with status {status}", log)

    def close(self) -> None:
        """End the child; calling it twice is harmless."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(OSError):  # a request may still be in the buffer
                self._process.stdin.close()
        self._log.close()


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer requests until there are no more; what is printed meanwhile goes to stderr."""
    _limit(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (request := _read_frame(source, 2**63)) is not None:
        _write_frame(sink, answer(request))


def _limit(memory: int) -> None:
    """Have the system itself hold the limits, where it can; the parent watches in any case."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    for name, limit in (("RLIMIT_AS", memory), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", MAX_LOG_BYTES)):
        try:
            _, hard_limit = resource.getrlimit(getattr(resource, name))
            value = limit if hard_limit == resource.RLIM_INFINITY else min(limit, hard_limit)
            resource.setrlimit(getattr(resource, name), (value, hard_limit))
        except (OSError, ValueError):
            continue  # macOS refuses some of them


def _read_frame(source: IO[bytes], max_bytes: int) -> bytes | None:
    """The body of the next frame; None at the end of the stream, or if the frame is invalid."""
    try:
        head = source.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        size: int = _LENGTH.unpack(head)[0]
        body = source.read(size) if size <= max_bytes else b""
    except (OSError, ValueError):
        return None
    return body if len(body) == size else None


def _write_frame(sink: IO[bytes], body: bytes) -> None:
    sink.write(_LENGTH.pack(len(body)) + body)
    sink.flush()
