"""One model file of another program.

Here: `OtherModel`; `inspected`, which says of a path what it is; `listing`, which reads a directory that may
be missing or closed.
Not here: where the programs keep their files (the other modules of this package).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blendin_local.engine.gguf.header import check_whole_file
from blendin_local.errors import BlendinError
from blendin_local.models.quantizations import all_parts, is_projector, quantization_of

PREFIXES = {"ollama:": "ollama", "lmstudio:": "LM Studio", "llama.cpp:": "llama.cpp"}
"""How a reference to a file of another program begins, and the name of the program."""


@dataclass(frozen=True, slots=True)
class OtherModel:
    """A model file that another program fetched and keeps.

    Attributes:
        reference: What to type for it.
        tool: Name of the program.
        path: Its file (of a split model the first part); None if the file is missing.
        size: Bytes on disk, over all parts.
        quantization: According to the program or the file name; empty if neither says.
        problem: Why it cannot be used; empty if it can.
    """

    reference: str
    tool: str
    path: Path | None
    size: int = 0
    quantization: str = ""
    problem: str = ""


def tool_of(reference: str) -> str:
    """The program whose file a reference names; empty if it names no program's."""
    return next((tool for prefix, tool in PREFIXES.items() if reference.startswith(prefix)), "")


def inspected(reference: str, tool: str, path: Path, quantization: str = "") -> OtherModel:
    """A file as a record: its size, and whether it can be a model at all; reads its first bytes."""
    size, problem = 0, ""
    try:
        check_whole_file(path)
        parts = [path.with_name(name) for name in all_parts(path.name)]
        missing = next((part.name for part in parts if not part.is_file()), "")
        problem = f"its part {missing} is missing" if missing else ""
        size = sum(part.stat().st_size for part in parts if part.is_file())
    except BlendinError as error:
        problem = error.message.removeprefix(f"{path} ")
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    if is_projector(path.name):
        problem = "a projector or an importance matrix, not a model"
    if not reference.isprintable():
        problem = "its name has characters that cannot be typed"
    return OtherModel(reference, tool, path, size, quantization or quantization_of(path.name), problem)


def listing(folder: Path, *patterns: str) -> list[Path]:
    """The paths in a folder that match glob patterns, sorted; empty if it is missing or closed."""
    try:
        return sorted(path for pattern in patterns for path in folder.glob(pattern))
    except OSError:
        return []
