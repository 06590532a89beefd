"""The paper's numbers, shown beside ours.

Here: `paper_numbers`, the file `paper.json`, transcribed from the paper's tables and figure 2.
Not here: how they are shown (`tables`, `figures`). They are the authors' measurements; nothing is scored by
them.
Source: Gan, Li and Luo, BlendIn, ACL 2026, tables 1 to 6 and figure 2.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def paper_numbers() -> dict[str, Any]:
    """Source, what differs from our set-up, and rows with the names of their columns, by table and figure."""
    file = resources.files("blendin_local.reports.paper").joinpath("paper.json")
    numbers: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return numbers
