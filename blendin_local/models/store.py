"""The cache of downloaded model files, and the records of their checksums.

Here: `Store`: paths, checksum records, locks, free disk space.
Not here: downloading (`models.package_download`, `models.hub_download`).
A record holds the path, size, modification time and sha256 of a file, so that 350 MB are hashed once and not
at each start.
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
from typing import TYPE_CHECKING

import filelock
import platformdirs

from blendin_local.engine.trial_cache import TrialCache
from blendin_local.errors import FetchError
from blendin_local.files import write_atomic
from blendin_local.models.entries import HubSource, PackageSource, PathSource, Source
from blendin_local.models.grammar import (
    is_package,
    is_path_component,
    is_relative_path,
    is_repo,
    is_revision,
    is_version,
)
from blendin_local.paths import expand_user

if TYPE_CHECKING:
    from blendin_local.engine.vocabulary_cache import VocabularyCache

APPLICATION = "blendin-local"
CHUNK = 2**20
SPARE_DISK = 64 * 2**20
RECORD_MODE = 0o644  # a checksum is no secret, and a cache may be shared

Note = Callable[[str], None]  # a sentence for the user
Progress = Callable[[int, int], None]  # bytes downloaded, total bytes


@dataclass(frozen=True, slots=True)
class Store:
    """A directory with model files, checksum records and partial downloads.

    Attributes:
        root: The directory; created on the first write.
    """

    root: Path

    @classmethod
    def default(cls, env: Mapping[str, str] | None = None) -> Store:
        """Return the store of this user: `BLENDIN_CACHE`, or the system's cache directory."""
        directory = (os.environ if env is None else env).get("BLENDIN_CACHE")
        if directory:
            return cls(expand_user(directory).absolute())
        return cls(Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False)))

    @property
    def models(self) -> Path:
        """The directory of complete model files; it never holds partial ones."""
        return self.root / "models"

    def inside(self, path: Path) -> Path:
        """Return the path unchanged if it is in the store after all symbolic links are resolved.

        Raises:
            FetchError: It leads outside the store.
        """
        try:
            root, found = self.root.resolve(), path.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
            raise FetchError(
                f"{path} cannot be used: {error}", "check the symbolic links in that path"
            ) from error
        if root not in found.parents:
            raise FetchError(
                f"{path} leads outside {self.root}, to {found}",
                "remove that link; to use another disk for the whole cache, set BLENDIN_CACHE",
            )
        return path

    def path_of(self, source: Source) -> Path:
        """Return the path of a source's file, whether or not it exists.

        Raises:
            FetchError: That would not be a path of its own inside the store.
        """
        if isinstance(source, PathSource):
            return source.path
        folder, file = _folder(source), source.file
        kind = "packages" if isinstance(source, PackageSource) else "hub"
        if not (is_path_component(folder) and is_relative_path(file)):
            raise FetchError(f"{folder!r}, {file!r} cannot be a path in {self.root}", "check the names")
        return self.inside((self.models / kind / folder).joinpath(*file.split("/")))

    @property
    def trial_cache(self) -> TrialCache:
        """The files that llama.cpp has loaded successfully before."""
        return TrialCache(self.root / "first-loads")

    @property
    def vocabularies(self) -> VocabularyCache:
        """What llama.cpp has said of every token of the models that were loaded."""
        # completion of the shell must not wait for numpy
        from blendin_local.engine.vocabulary_cache import (  # noqa: PLC0415
            VocabularyCache,
        )

        return VocabularyCache(self.root / "vocabularies")

    @property
    def load_caches(self) -> tuple[TrialCache, VocabularyCache]:
        """What earlier loads have left for later ones."""
        return self.trial_cache, self.vocabularies

    def partial_dir(self, target: Path) -> Path:
        """The directory for the partial download of a file; it survives an interruption."""
        return self.inside(self.root / "unfinished" / _digest(str(target)))

    def files(self, folder: Path | None = None) -> list[Path]:
        """List the model files here or in one folder, sorted, without those outside that links point to.

        Raises:
            OSError: The directory cannot be listed.
        """
        folder = folder or self.models
        with suppress(FileNotFoundError):
            os.scandir(folder).close()
        return sorted(path for path in folder.rglob("*.gguf") if path.is_file() and self.owns(path))

    def owns(self, path: Path) -> bool:
        """Whether a file was downloaded by this program, which may then remove it."""
        try:
            models = self.inside(self.models).resolve()
            return models in self.inside(path).resolve().parents
        except FetchError:
            return False

    def reference_of(self, path: Path) -> str:
        """What to type for a downloaded file that no models.toml names: its repository, or its path."""
        kind, folder, *rest = path.relative_to(self.models).parts
        if kind != "hub" or not rest:
            return str(path)
        user, _, repo = folder.partition("--")
        return f"hf://{user}/{repo}/{'/'.join(rest)}"

    def sha256(self, path: Path, should_stop: Callable[[], bool] = lambda: False) -> str:
        """Return the checksum of a file, from its record if the file has not changed since.

        Raises:
            KeyboardInterrupt: `should_stop` became true.
        """
        facts, record = _file_facts(path), self._record(path)
        try:
            known = json.loads(record.read_text(encoding="utf-8"))
            if all(known.get(key) == value for key, value in facts.items()):
                return str(known["sha256"])
        except (OSError, ValueError, KeyError, AttributeError):
            pass  # no record, or not one of ours: write a new one
        found = hash_file(path, should_stop)
        self.record_checksum(path, found)
        return found

    def record_checksum(self, path: Path, sha256: str) -> None:
        """Record a checksum; if the store is not writable, it is computed again next time."""
        facts, record = _file_facts(path), self._record(path)
        try:
            self.inside(record.parent).mkdir(parents=True, exist_ok=True)
            write_atomic(record, [json.dumps({**facts, "sha256": sha256}).encode()], mode=RECORD_MODE)
        except (OSError, FetchError):
            return

    def forget_checksum(self, path: Path) -> None:
        """Remove the checksum record of a file."""
        self.inside(self._record(path)).unlink(missing_ok=True)

    def mismatch(self, path: Path, size: int, sha256: str) -> str:
        """Compare a file with its expected size and checksum.

        Args:
            path: The file.
            size: The expected bytes; 0 if unknown.
            sha256: The expected checksum; empty if unknown.

        Returns:
            What differs; empty if nothing does.
        """
        found = path.stat().st_size
        if size and found != size:
            return f"{path} has {found:,} bytes instead of {size:,}"
        if sha256 and (digest := self.sha256(path)) != sha256:
            return f"{path} has the sha256 {digest} instead of {sha256}"
        return ""

    @contextmanager
    def lock(self, target: Path, note: Note) -> Iterator[None]:
        """Let one process at a time download `target`; `note` reports that it has to wait for another."""
        path = self.inside(self.root / "locks" / f"{_digest(str(target))}.lock")
        make_directory(path.parent)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            note(f"another blendin process is downloading {target.name}; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def require_disk(self, needed: int) -> None:
        """Raise `FetchError` unless `needed` bytes and `SPARE_DISK` more are free."""
        make_directory(self.root)
        free = shutil.disk_usage(self.root).free
        if free < needed + SPARE_DISK:
            raise FetchError(
                f"not enough disk space in {self.root}: {needed + SPARE_DISK:,} bytes needed, {free:,} free",
                "free some space, or set BLENDIN_CACHE to a directory on another disk",
            )

    def _record(self, path: Path) -> Path:
        return self.root / "records" / f"{_digest(str(path.absolute()))}.json"


def _folder(source: PackageSource | HubSource) -> str:
    """The name of the directory of a source's files, unique to it; empty if it would not be a safe name."""
    if isinstance(source, PackageSource):
        first = source.parts[0]
        valid = is_package(first.package) and is_version(first.version)
        return f"{first.package}-{first.version}" if valid else ""
    if not is_repo(source.repo) or (source.revision and not is_revision(source.revision)):
        return ""
    at = f"@{source.revision}" if source.revision else ""
    return f"{source.repo}{at}".replace("/", "--")


def hash_file(path: Path, should_stop: Callable[[], bool] = lambda: False) -> str:
    """Return the sha256 of a file.

    Raises:
        KeyboardInterrupt: `should_stop` became true.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if should_stop():
                raise KeyboardInterrupt
            digest.update(chunk)
    return digest.hexdigest()


def make_directory(path: Path) -> None:
    """Create a directory with its parents; `FetchError` if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"{path} cannot be created: {error.strerror}", "set BLENDIN_CACHE to a writable directory"
        ) from error


def _file_facts(path: Path) -> dict[str, str | int]:
    stat = path.stat()
    return {"path": str(path.absolute()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
