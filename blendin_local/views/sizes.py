"""Sizes of files in words.

Here: `megabytes`. It imports nothing, because a command that has only begun says how much it loads.
"""

from __future__ import annotations


def megabytes(size: int) -> str:
    """A size in decimal units: `351 MB`, `2.10 GB`."""
    if size >= 10**9:
        return f"{size / 10**9:.2f} GB"
    return f"{size / 10**6:.1f} MB" if size < 10**7 else f"{size / 10**6:.0f} MB"
