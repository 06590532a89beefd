"""Validation of names, packages, repositories and paths before they are used.

Here: one predicate for each kind of text; none accesses the disk.
Not here: which key takes which kind (`models.schema`), the paths of files (`models.store`).
Sources: PEP 508 (package names), PEP 440, appendix B (canonical versions), huggingface_hub's
`validate_repo_id` (repositories), and the names that Windows file systems refuse.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 200
MAX_PATH_LENGTH = 4096

_PACKAGE = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.I | re.A)
_VERSION = re.compile(
    r"(?:[1-9]\d*!)?(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*(?:(?:a|b|rc)(?:0|[1-9]\d*))?"
    r"(?:\.post(?:0|[1-9]\d*))?(?:\.dev(?:0|[1-9]\d*))?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?",
    re.A,
)
_REPO_PART = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.A)
_QUANT = re.compile(r"\w[\w.-]*", re.A)
_RESERVED = frozenset('\\/:*?"<>|')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))]
)


def is_text(text: str) -> bool:
    """Whether a text can be written to files and passed to C: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def is_name(text: str) -> bool:
    """Whether a text can name a model, pair or template: printable, not too long, no outer white space."""
    return 0 < len(text) <= MAX_NAME_LENGTH and text.isprintable() and text == text.strip()


def is_bare(text: str) -> bool:
    """Whether a name cannot be read as a path or a repository."""
    return not _RESERVED & set(text) and not text.startswith((".", "~")) and not is_model_file(text)


def is_path(text: str) -> bool:
    """Whether a text can be a path on this machine."""
    return 0 < len(text) <= MAX_PATH_LENGTH and text.isprintable()


def is_path_component(text: str) -> bool:
    """Whether a text is a file or directory name on every system: no separator, drive, device or `..`."""
    if not is_name(text) or len(text.encode()) > MAX_NAME_LENGTH or _RESERVED & set(text):
        return False
    return not text.endswith(".") and text.partition(".")[0].rstrip().lower() not in _DEVICES


def is_relative_path(text: str) -> bool:
    """Whether a text is a relative path without `..`, separated by `/`."""
    return len(text) <= MAX_PATH_LENGTH and all(is_path_component(part) for part in text.split("/"))


def is_model_file(text: str) -> bool:
    """Whether a text is a file name that ends in .gguf."""
    return is_path_component(text) and text.lower().endswith(".gguf")


def is_model_path(text: str) -> bool:
    """Whether a text is a relative path that ends in .gguf."""
    return is_relative_path(text) and text.lower().endswith(".gguf")


def is_package(text: str) -> bool:
    """Whether a text is a bare package name (no extras, address or option)."""
    return len(text) <= MAX_NAME_LENGTH and _PACKAGE.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether a text is one exact version in canonical form (no wildcard)."""
    return len(text) <= MAX_NAME_LENGTH and _VERSION.fullmatch(text) is not None


def is_repo(text: str) -> bool:
    """Whether a text is `user/repo`; `--` is refused, since it replaces the slash in directory names."""
    parts = text.split("/")
    return len(parts) == 2 and all(_is_repo_part(part) for part in parts)


def is_repo_and_quant(text: str) -> bool:
    """Whether a text is `user/repo` or `user/repo:QUANT`."""
    repo, colon, quant = text.partition(":")
    return is_repo(repo) and (not colon or is_quant(quant))


def is_quant(text: str) -> bool:
    """Whether a text can name a quantization, or a file of it."""
    return len(text) <= MAX_NAME_LENGTH and _QUANT.fullmatch(text) is not None


def is_revision(text: str) -> bool:
    """Whether a text is a branch, tag or commit; `--` is refused as in `is_repo`."""
    return len(text) <= MAX_NAME_LENGTH // 2 and all(_is_repo_part(part) for part in text.split("/"))


def _is_repo_part(text: str) -> bool:
    return _REPO_PART.fullmatch(text) is not None and "--" not in text and ".." not in text
