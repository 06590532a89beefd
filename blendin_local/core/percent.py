"""How a share is written in per cent, the same everywhere: terminal, reports, pages, messages and help.

Here: `percent` and `percent_interval`. The rule: a point, one digit after it, a space, the sign: `22.5 %`. No
digit after the point where the program sets the number itself (a limit of 20 %, an axis), and in a table that
must fit into a narrow terminal. What would round to zero is `<0.1 %`.
No other code formats a percentage; a test looks for it.
"""

from __future__ import annotations


def percent(share: float, digits: int = 1, *, signed: bool = False) -> str:
    """A share in per cent, such as `22.5 %`; `<0.1 %` for what would round to zero.

    Args:
        share: The share, 1 for all.
        digits: Digits after the point.
        signed: Whether a positive number has a plus, as a difference has.
    """
    smallest = 10.0**-digits
    if not signed and 0 < share * 100 < smallest / 2:
        return f"<{smallest:.{digits}f} %"
    return f"{share * 100:{'+' if signed else ''}.{digits}f} %"


def percent_interval(share: float, low: float, high: float) -> str:
    """A share with its interval: `22.5 % (20.1 to 25.0)`."""
    return f"{percent(share)} ({low * 100:.1f} to {high * 100:.1f})"
