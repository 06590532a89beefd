"""Where the files of a batch lie.

Here: `BatchPaths`, from an input and an output to all four files.
Not here: what is in them (`formats`, `manifest`), writing them (`jsonl_file`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from blendin_local.errors import UsageError


@dataclass(frozen=True, slots=True)
class BatchPaths:
    """The files of a batch."""

    source: Path
    answers: Path
    errors: Path
    manifest: Path

    @classmethod
    def of(cls, source: Path, out: Path) -> BatchPaths:
        """The files that belong to an output.

        Raises:
            UsageError: The output is the input, or cannot be a file.
        """
        stem = out.name.removesuffix(".jsonl")
        names = [out.name, f"{stem}.errors.jsonl", f"{stem}.manifest.json"]
        try:
            paths = cls(source, *(out.with_name(name) for name in names))
            paths._require_usable()
        except (OSError, ValueError) as error:  # ValueError: a path without a name, such as /
            why = error.strerror if isinstance(error, OSError) else "it has no name"
            raise UsageError(f"{out} cannot be written: {why}", "choose another -o") from error
        return paths

    def _require_usable(self) -> None:
        for path in (self.answers, self.errors, self.manifest):
            if path.exists() and self.source.exists() and os.path.samefile(path, self.source):
                raise UsageError(f"{path} is the input itself", "choose another -o")
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", "choose another -o")
        if not self.answers.parent.is_dir():
            raise UsageError(
                f"there is no directory {self.answers.parent}", "create it, or choose another -o"
            )
