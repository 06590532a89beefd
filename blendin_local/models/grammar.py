"""The forms that names, packages, repositories and paths must have before anything is done with them.

Here: one predicate for each form; none of them touches a disk.
Not here: which key must have which form (`models.schema`), where files then lie (`models.store`).
Sources: PEP 508 (names of packages), PEP 440, appendix B (canonical versions), huggingface_hub's
`validate_repo_id` (repositories), and what file systems of Windows refuse in a name.
"""

from __future__ import annotations

import re

LONGEST_NAME = 200
LONGEST_PATH = 4096

_PACKAGE = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.I | re.A)
_VERSION = re.compile(
    r"(?:[1-9]\d*!)?(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*(?:(?:a|b|rc)(?:0|[1-9]\d*))?"
    r"(?:\.post(?:0|[1-9]\d*))?(?:\.dev(?:0|[1-9]\d*))?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?",
    re.A,
)
_REPO_PART = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.A)
_QUANT = re.compile(r"\w[\w.-]*", re.A)
_NOT_IN_A_STEP = frozenset('\\/:*?"<>|')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))]
)


def is_text(text: str) -> bool:
    """Whether a text is one that files and C functions take: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def is_name(text: str) -> bool:
    """Whether a text can name a model, pair or template: printable, not too long, no white space around."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()


def is_bare(text: str) -> bool:
    """Whether a name can be nothing else: neither a path nor a repository."""
    return not _NOT_IN_A_STEP & set(text) and not text.startswith((".", "~")) and not is_model_file(text)


def is_path(text: str) -> bool:
    """Whether a text can be a path of this machine."""
    return 0 < len(text) <= LONGEST_PATH and text.isprintable()


def is_step(text: str) -> bool:
    """Whether a text names one file or directory, on every system: no separator, drive, device, or `..`."""
    if not is_name(text) or len(text.encode()) > LONGEST_NAME or _NOT_IN_A_STEP & set(text):
        return False
    return not text.endswith(".") and text.partition(".")[0].rstrip().lower() not in _DEVICES


def is_relative_path(text: str) -> bool:
    """Whether a text is a path of steps downwards, parted by `/`."""
    return len(text) <= LONGEST_PATH and all(is_step(step) for step in text.split("/"))


def is_model_file(text: str) -> bool:
    """Whether a text is a plain file name that ends as those of model files do."""
    return is_step(text) and text.lower().endswith(".gguf")


def is_model_path(text: str) -> bool:
    """Whether a text is a relative path to a file that ends as those of model files do."""
    return is_relative_path(text) and text.lower().endswith(".gguf")


def is_package(text: str) -> bool:
    """Whether a text is the name of a package, and nothing more (no extras, address or option)."""
    return len(text) <= LONGEST_NAME and _PACKAGE.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether a text is one exact version in canonical form (no wildcard, no second spelling)."""
    return len(text) <= LONGEST_NAME and _VERSION.fullmatch(text) is not None


def is_repo(text: str) -> bool:
    """Whether a text is `user/repo`; `--` stands for the slash in names of directories and so is refused."""
    parts = text.split("/")
    return len(parts) == 2 and all(_is_repo_part(part) for part in parts)


def is_repo_and_quant(text: str) -> bool:
    """Whether a text is `user/repo` or `user/repo:QUANT`."""
    repo, colon, quant = text.partition(":")
    return is_repo(repo) and (not colon or is_quant(quant))


def is_quant(text: str) -> bool:
    """Whether a text can name a quantization, or the file that has it."""
    return len(text) <= LONGEST_NAME and _QUANT.fullmatch(text) is not None


def is_revision(text: str) -> bool:
    """Whether a text is a branch, tag or commit; `--` is refused for the same reason as in `is_repo`."""
    return len(text) <= LONGEST_NAME // 2 and all(_is_repo_part(step) for step in text.split("/"))


def _is_repo_part(text: str) -> bool:
    return _REPO_PART.fullmatch(text) is not None and "--" not in text and ".." not in text
