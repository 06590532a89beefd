"""Where fetched model files live, and how it is known that they are whole.

Here: `Store`: places, records of checksums, locks, free disk.
Not here: how files get there (`models.package_download`, `models.hub`).
A record remembers path, size, time and sha256 of a file, so that 350 MB are hashed once, not at each start.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

from blendin_local.engine.verdicts import Verdicts
from blendin_local.errors import FetchError
from blendin_local.files import write_atomic
from blendin_local.models.entries import HubSource, PackageSource, PathSource, Source
from blendin_local.models.grammar import (
    is_package,
    is_relative_path,
    is_repo,
    is_revision,
    is_step,
    is_version,
)
from blendin_local.paths import from_home

APPLICATION = "blendin-local"
CHUNK = 2**20
SPARE_DISK = 64 * 2**20
RECORD_MODE = 0o644  # a checksum is no secret, and a cache may be shared

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Store:
    """A directory of model files, records and unfinished downloads.

    Attributes:
        root: The directory; made when something is first written.
    """

    root: Path

    @classmethod
    def default(cls, env: Mapping[str, str] | None = None) -> Store:
        """The store of this user: `BLENDIN_CACHE`, or the system's place for caches."""
        chosen = (os.environ if env is None else env).get("BLENDIN_CACHE")
        if chosen:
            return cls(from_home(chosen).absolute())
        return cls(Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False)))

    @property
    def models(self) -> Path:
        """Whole model files; nothing unfinished ever lies here."""
        return self.root / "models"

    def inside(self, path: Path) -> Path:
        """The path itself, once it is sure that it lies in the store, whatever links it leads through.

        Raises:
            FetchError: It leads out of the store.
        """
        try:
            root, found = self.root.resolve(), path.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL
            raise FetchError(f"{path} cannot be used: {error}", "look at the links on that path") from error
        if root not in found.parents:
            raise FetchError(
                f"{path} leads out of {self.root}, to {found}",
                "remove that link; BLENDIN_CACHE moves the whole store to another disk",
            )
        return path

    def place(self, source: Source) -> Path:
        """Where the file of a source lies, or will lie.

        Raises:
            FetchError: That would not be a place of its own inside the store.
        """
        if isinstance(source, PathSource):
            return source.path
        folder, file = _folder(source), source.file
        kind = "packages" if isinstance(source, PackageSource) else "hub"
        if not (is_step(folder) and is_relative_path(file)):
            raise FetchError(f"{folder!r}, {file!r} cannot be a place in {self.root}", "check its name")
        return self.inside((self.models / kind / folder).joinpath(*file.split("/")))

    @property
    def verdicts(self) -> Verdicts:
        """Which files llama.cpp has loaded well before."""
        return Verdicts(self.root / "first-loads")

    def workshop(self, target: Path) -> Path:
        """The directory for the unfinished parts of a file; it survives an interruption."""
        return self.inside(self.root / "unfinished" / _digest(str(target)))

    def files(self, folder: Path | None = None) -> list[Path]:
        """All model files here or in one folder, sorted; what only a link brings in is not among them.

        Raises:
            OSError: They may not be listed.
        """
        folder = folder or self.models
        with suppress(FileNotFoundError):
            os.scandir(folder).close()
        return sorted(path for path in folder.rglob("*.gguf") if path.is_file() and self.owns(path))

    def owns(self, path: Path) -> bool:
        """Whether a file was fetched by this program, and so may be removed by it."""
        try:
            models = self.inside(self.models).resolve()
            return models in self.inside(path).resolve().parents
        except FetchError:
            return False

    def sha256(self, path: Path) -> str:
        """The checksum of a file, from its record where the file has not changed since."""
        stat = path.stat()
        facts = {"path": str(path.absolute()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        record = self._record(path)
        try:
            known = json.loads(record.read_text(encoding="utf-8"))
            if all(known.get(key) == value for key, value in facts.items()):
                return str(known["sha256"])
        except (OSError, ValueError, KeyError, AttributeError):
            pass  # no record, or not one of ours: make it anew
        found = hash_file(path)
        self.remember(path, found)
        return found

    def remember(self, path: Path, sha256: str) -> None:
        """Record a checksum just computed; a store that cannot be written is no obstacle."""
        stat = path.stat()
        facts = {"path": str(path.absolute()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        record = self._record(path)
        try:
            self.inside(record.parent).mkdir(parents=True, exist_ok=True)
            write_atomic(record, [json.dumps({**facts, "sha256": sha256}).encode()], mode=RECORD_MODE)
        except (OSError, FetchError):
            return

    def forget(self, path: Path) -> None:
        """Drop the record of a file."""
        self.inside(self._record(path)).unlink(missing_ok=True)

    def fault(self, path: Path, size: int, sha256: str) -> str:
        """What is wrong with a file; empty if it is whole.

        Args:
            path: The file.
            size: The bytes it should have; 0 where not known.
            sha256: The checksum it should have; empty where not known.
        """
        found = path.stat().st_size
        if size and found != size:
            return f"{path} has {found:,} bytes, but should have {size:,}"
        if sha256 and (digest := self.sha256(path)) != sha256:
            return f"{path} has the sha256 {digest}, but should have {sha256}"
        return ""

    @contextmanager
    def lock(self, target: Path, note: Note) -> Iterator[None]:
        """Let one process at a time fetch `target`; `note` is told where another one is at it."""
        place = self.inside(self.root / "locks" / f"{_digest(str(target))}.lock")
        make_directory(place.parent)
        lock = filelock.FileLock(place)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            note(f"another blendin is fetching {target.name}; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def require_disk(self, needed: int) -> None:
        """Raise `FetchError` unless `needed` bytes fit, with a little to spare."""
        make_directory(self.root)
        free = shutil.disk_usage(self.root).free
        if free < needed + SPARE_DISK:
            raise FetchError(
                f"not enough disk in {self.root}: {needed + SPARE_DISK:,} bytes needed, {free:,} free",
                "free some, or set BLENDIN_CACHE to a directory on another disk",
            )

    def _record(self, path: Path) -> Path:
        return self.root / "records" / f"{_digest(str(path.absolute()))}.json"


def _folder(source: PackageSource | HubSource) -> str:
    """The name of the directory for a source's files; no two sources share one."""
    if isinstance(source, PackageSource):
        first = source.parts[0]
        fits = is_package(first.package) and is_version(first.version)
        return f"{first.package}-{first.version}" if fits else ""
    if not is_repo(source.repo) or (source.revision and not is_revision(source.revision)):
        return ""
    at = f"@{source.revision}" if source.revision else ""
    return f"{source.repo}{at}".replace("/", "--")


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_directory(path: Path) -> None:
    """Make a directory with its parents; `FetchError` where that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"{path} cannot be made: {error.strerror}", "set BLENDIN_CACHE to a directory that can be written"
        ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
