"""Numbers within an interval, and values as messages show them.

Here: `require_between`, `require_count`; `plain` for bounds, `quoted` for a wrong value.
Not here: which setting has which interval (`settings.table`).
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from blendin_local.errors import UsageError

HUGE = 2**31 - 1  # a bound from here on is that of a data type, which messages do not show
MAX_QUOTE_CHARS = 40  # characters of a wrong value that are repeated in a message


def require_between(name: str, value: Any, low: float, high: float) -> None:  # noqa: ANN401 - unchecked
    """Raise `UsageError` unless `value` is a number with `low <= value <= high` (`nan` is refused too)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} is {quoted(value)}", "give a number")
    number: Any = value
    if not low <= number <= high:
        if high >= HUGE and number > high:
            raise UsageError(f"{name} is {_shown(number)}, which is too large", "give a smaller number")
        bounds = f"lie between {plain(low)} and {plain(high)}" if high < HUGE else f"be at least {plain(low)}"
        raise UsageError(f"{name} is {_shown(number)}, but must {bounds}")


def plain(bound: float) -> str:
    """A bound as people write it: a whole number without exponent and point."""
    return str(int(bound)) if math.isfinite(bound) and bound == int(bound) else f"{bound:g}"


def require_count(name: str, value: Any, low: float, high: float) -> None:  # noqa: ANN401 - unchecked
    """Raise `UsageError` unless `value` is a whole number between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} is {quoted(value)}", "give a whole number")
    require_between(name, value, low, high)


def _shown(value: float) -> str:
    return "a number of more than 30 digits" if isinstance(value, int) and abs(value) > 10**30 else f"{value}"


def quoted(value: object) -> str:
    """A wrong value in a message, shortened."""
    if isinstance(value, int) and abs(value) > 10**MAX_QUOTE_CHARS:
        return "a number of more than 30 digits"
    text = repr(value)
    return text if len(text) <= MAX_QUOTE_CHARS + 2 else f"{text[:MAX_QUOTE_CHARS]}..."
