"""Files that keep what llama.cpp said of every token, so that a later start need not ask again.

Here: `VocabularyCache`, `VocabularyEntry`, the place of one file in it, and `vocabulary_key`, which names a
vocabulary by its content.
Not here: the tables (`engine.vocabulary_tables`).
A file is numpy's `.npz`, read without pickle; zip checks every array's CRC. What is damaged, foreign or of
another version counts as absent. The name is a digest of the model file's header, which holds all that
llama.cpp makes the vocabulary of.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local._version import __version__
from blendin_local.core.byte_strings import ByteStrings
from blendin_local.engine.gguf.header import Header
from blendin_local.engine.library import LIBRARY, VERSION
from blendin_local.engine.vocabulary_tables import TokenReader, VocabularyTables, agrees, read_tables
from blendin_local.files import write_atomic

FORMAT = 1  # raise it when the content of a file, or how tables are made, changes
SUFFIX = ".npz"
MAX_FILES = 32  # the least recently used go first; one of 262,144 tokens has 5 MB
MAX_BYTES = 2**28  # of one file
MAX_HEADER_BYTES = 2**28  # as in `engine.gguf.reader`
ARRAYS = {"key": "u1", "joined": "u1", "offsets": "u4", "attributes": "u4", "ends": "u4", "duplicates": "u4"}


def vocabulary_key(header: Header) -> str:
    """A name for the vocabulary in a file, read by this version with this llama.cpp.

    Raises:
        OSError: The file cannot be read.
    """
    made_by = json.dumps([FORMAT, __version__, VERSION])
    digest = hashlib.sha256(made_by.encode())
    with header.path.open("rb") as file:
        digest.update(file.read(min(header.file_size - header.weight_bytes, MAX_HEADER_BYTES)))
    return digest.hexdigest()


class VocabularyEntry:
    """The place of one model file's vocabulary in a cache. Make it before llama.cpp loads the file.

    Args:
        cache: The cache.
        header: The header of the file.
    """

    def __init__(self, cache: VocabularyCache, header: Header) -> None:
        self._cache, self._header = cache, header
        self._key = self._current_key()
        self._kept = cache.load(self._key) if self._key else None

    def _current_key(self) -> str:
        """The file's key now; empty where nothing may be kept under it."""
        if os.environ.get(LIBRARY):  # another llama.cpp, which nothing here tells from the next one
            return ""
        try:
            return vocabulary_key(self._header)
        except OSError:
            return ""

    def tables(self, reader: TokenReader, n_tokens: int) -> VocabularyTables:
        """The kept tables, if they fit the vocabulary that was loaded; else they are read, and kept.

        A file that was replaced while it was loaded has another key now: then nothing is kept.
        """
        if self._kept is not None and agrees(self._kept, reader, n_tokens):
            return self._kept
        found = read_tables(reader, n_tokens)
        if self._key and self._current_key() == self._key:
            self._cache.keep(self._key, found)
        return found


@dataclass(frozen=True, slots=True)
class VocabularyCache:
    """A directory with a file for each vocabulary; all of it may be deleted at any time.

    Attributes:
        directory: Made when something is first kept; one that cannot be written is no obstacle.
    """

    directory: Path

    def entry(self, header: Header) -> VocabularyEntry:
        """The place of a file's vocabulary."""
        return VocabularyEntry(self, header)

    def load(self, key: str) -> VocabularyTables | None:
        """The tables kept under a key; None if there are none, or they are damaged."""
        path = self._path(key)
        try:
            if path.stat().st_size > MAX_BYTES:
                return None
            arrays = _arrays(path.read_bytes())
        except Exception:  # noqa: BLE001 - whatever zip and numpy say of bytes that are not theirs
            return None
        if arrays["key"].tobytes() != key.encode() or not _is_sound(arrays):
            return None
        with suppress(OSError):
            os.utime(path)  # the least recently used are removed first
        offsets = arrays["offsets"]
        return VocabularyTables(
            ByteStrings(arrays["joined"].tobytes(), offsets[:-1], offsets[1:]),
            arrays["attributes"],
            arrays["ends"].astype(np.intp),
            arrays["duplicates"].astype(np.intp),
        )

    def keep(self, key: str, tables: VocabularyTables) -> None:
        """Keep tables; where that fails they are read again next time."""
        pieces = tables.pieces
        offsets = np.append(pieces.starts, np.uint32(len(pieces.joined)))
        values: dict[str, NDArray[Any]] = {
            "key": np.frombuffer(key.encode(), np.uint8),
            "joined": np.frombuffer(pieces.joined, np.uint8),
            "offsets": offsets,
            "attributes": tables.attributes,
            "ends": tables.end_ids,
            "duplicates": tables.duplicates,
        }
        content = io.BytesIO()
        arrays = {name: values[name].astype(kind) for name, kind in ARRAYS.items()}
        np.savez(content, allow_pickle=False, **arrays)
        with suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(key), [content.getvalue()])
            self._remove_oldest()

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}{SUFFIX}"

    def _remove_oldest(self) -> None:
        files = sorted(self.directory.glob(f"*{SUFFIX}"), key=lambda path: -path.stat().st_mtime_ns)
        for path in files[MAX_FILES:]:
            path.unlink(missing_ok=True)


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in a file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in ARRAYS}


def _is_sound(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether kinds and shapes are right and every number lies within what it refers to."""
    if any(arrays[name].dtype != np.dtype(kind) for name, kind in ARRAYS.items()):
        return False
    joined, offsets, ends, twins = (arrays[name] for name in ("joined", "offsets", "ends", "duplicates"))
    n_tokens = len(offsets) - 1 if offsets.ndim == 1 else -1
    return (
        joined.ndim == 1
        and n_tokens > 0
        and arrays["attributes"].shape == (n_tokens,)
        and ends.ndim == 1
        and twins.ndim == 2
        and twins.shape[1] == 2
        and offsets[0] == 0
        and offsets[-1] == len(joined)
        and bool(np.all(offsets[1:] >= offsets[:-1]))
        and bool(np.all(ends < n_tokens) and np.all(twins < n_tokens))
    )
