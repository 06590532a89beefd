"""Files that have passed a trial load, remembered by their content.

Here: `identity` and `TrialCache`.
Not here: the trial load itself (`engine.trial_load`).
A file's header, which decides all that llama.cpp allocates and computes, is hashed whole. So is all of a
small file; of a large one's weights samples are, with its times of change. Only good trial_cache are kept:
a bad one may have been the machine's, and is quickly found again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from blendin_local.engine.gguf.header import Header, split_parts
from blendin_local.engine.library import VERSION
from blendin_local.settings import ModelSettings

FORMAT = 1  # of what a first load tries: raise it when more is tried
WHOLE = 2**24  # bytes of every file that are hashed, from its beginning
SAMPLES, SAMPLE = 64, 2**16


@dataclass(frozen=True, slots=True)
class TrialCache:
    """A directory with an entry for every file that was loaded well.

    Attributes:
        directory: Made when something is first remembered; one that cannot be written is no obstacle.
    """

    directory: Path

    def knows(self, name: str) -> bool:
        """Whether a file was loaded well before.

        Args:
            name: Its `identity`.
        """
        return (self.directory / name).is_file()

    def remember(self, name: str, header: Header) -> None:
        """Note that a file was loaded well."""
        with suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_text(f"{header.path.name}\n", encoding="utf-8", errors="replace")


def identity(header: Header, settings: ModelSettings, what: str) -> str:
    """A name for a file's content, how it is to be run and what of it was tried.

    Args:
        header: The metadata of the file.
        settings: The settings that change how llama.cpp loads it.
        what: What is loaded.

    Raises:
        OSError: The file cannot be read.
    """
    how = [settings.kv_type, settings.flash_attention, settings.swa_full, settings.mmap]
    digest = hashlib.sha256(json.dumps([FORMAT, VERSION, what, how]).encode())
    beginning = max(WHOLE, header.file_size - header.weight_bytes)  # at least every part's header
    for part in split_parts(header.path, header.n_parts):
        status = part.stat()
        digest.update(f"{status.st_size}:".encode())
        with part.open("rb") as file:
            digest.update(file.read(beginning))
            if status.st_size > beginning:
                digest.update(f"{status.st_mtime_ns}:{status.st_ctime_ns}:".encode())
                for sample in _samples(file, beginning, status.st_size):
                    digest.update(sample)
    return digest.hexdigest()


def _samples(file: IO[bytes], start: int, end: int) -> list[bytes]:
    """Stretches of a file, evenly spread, its end among them."""
    last = max(start, end - SAMPLE)
    found = []
    for i in range(SAMPLES):
        file.seek(start + (last - start) * i // (SAMPLES - 1))
        found.append(file.read(SAMPLE))
    return found
