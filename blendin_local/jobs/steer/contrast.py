"""A file of contrasting prompts: JSON Lines with `prompt` and `label`, which is `harmful` or `harmless`.

Here: `read_contrast` and `ContrastPrompts`, with which prompts are held out.
Not here: what is learned from them (`core.steering`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blendin_local.core.steering import FOLDS, Flags
from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8, read_bytes

LABELS = ("harmless", "harmful")
MAX_BYTES = 16 * 2**20
HELD_OUT_EVERY = 4
MIN_PROMPTS = 2 * FOLDS  # of each kind: two are held out, and six are left for four folds


@dataclass(frozen=True)
class ContrastPrompts:
    """Prompts of both kinds.

    Attributes:
        name: The file's.
        sha256: Of the file.
        texts: The prompts, in the file's order.
        harmful: Which are harmful.
    """

    name: str
    sha256: str
    texts: tuple[str, ...]
    harmful: Flags

    @property
    def held_out(self) -> Flags:
        """Every fourth prompt of each kind; they are used for the gate's AUC and for nothing else."""
        held_out = np.zeros(len(self.texts), bool)
        for kind in (True, False):
            held_out[np.flatnonzero(self.harmful == kind)[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]] = True
        return held_out


def read_contrast(path: Path) -> ContrastPrompts:
    """Read a file of contrasting prompts.

    Raises:
        UsageError: It cannot be read, a line has no prompt or no label, a prompt comes twice, or there are
            too few of a kind.
    """
    try:
        data = read_bytes(path, MAX_BYTES, regular_only=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    lines = enumerate(decode_utf8(data, str(path)).splitlines(), 1)
    rows = [_row(f"{path}:{number}", line) for number, line in lines if line.strip()]
    counts = Counter(label for _, label in rows)
    for label in LABELS:
        if counts[label] < MIN_PROMPTS:
            raise UsageError(
                f"{path} has {counts[label]} {label} prompts, and {MIN_PROMPTS} are the least",
                "add more; some dozens of each kind are better",
            )
    texts = tuple(text for text, _ in rows)
    if len(set(texts)) < len(texts):
        twice = Counter(texts).most_common(1)[0][0]
        raise UsageError(f"{path} has the prompt {twice[:60]!r} twice", "leave one out")
    harmful = np.array([label == "harmful" for _, label in rows])
    return ContrastPrompts(path.name, hashlib.sha256(data).hexdigest(), texts, harmful)


def _row(where: str, line: str) -> tuple[str, str]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    text, label = (row.get("prompt"), row.get("label")) if isinstance(row, dict) else (None, None)
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{where} has no prompt", 'write lines like {"prompt": "...", "label": "harmless"}')
    if label not in LABELS:
        raise UsageError(f"{where} has the label {label!r:.40}", f"choose {' or '.join(LABELS)}")
    return require_text(text, f"the prompt of {where}"), label
