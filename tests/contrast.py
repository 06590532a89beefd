"""The contrast of two colours, written again from WCAG 2.2, apart from the program's own formula."""

from __future__ import annotations


def rgb(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def channel(value):
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def contrast(one, other):
    """WCAG 2.2, written again from the standard: (L1 + 0.05) / (L2 + 0.05), the lighter first."""
    low, high = sorted(
        0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b) for r, g, b in (one, other)
    )
    return (high + 0.05) / (low + 0.05)
