"""What can happen to the standard streams.

Here: `close_stdout`, for a reader that went away.
"""

from __future__ import annotations

import os
import sys


def close_stdout() -> None:
    """Nobody reads stdout any more: let Python flush it into nothing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
