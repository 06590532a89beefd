"""Progress of downloads on stderr.

Here: `download_bars`: a bar per file on a terminal, a line every few seconds elsewhere, and each licence.
Not here: the downloads (`models.fetch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from blendin_local.models.licenses import license_text
from blendin_local.models.references import Resolved
from blendin_local.views.visible import escape_controls

LINE_EVERY_S = 5.0


class DownloadBars:
    """Progress bars for several downloads.

    Args:
        err: Where they are drawn.
        told: References whose licence the user has seen already.
    """

    def __init__(self, err: Console, told: Set[str] = frozenset()) -> None:
        self._err, self._told = err, told
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=err,
        )
        self._started = False

    def note(self, sentence: str) -> None:
        """Print a line above the bars."""
        self._err.print(sentence, style="footer", soft_wrap=True)

    def start(self, item: Resolved) -> Callable[[int, int], None]:
        """Print the licence of a file and return the progress callback of its download."""
        if item.reference not in self._told:
            self.note(escape_controls(license_text(item)))
        return self._bar(item.reference) if self._err.is_terminal else self._lines(item.reference)

    def _bar(self, name: str) -> Callable[[int, int], None]:
        if not self._started:
            self._progress.start()
            self._started = True
        task = self._progress.add_task(name, total=None)
        return lambda done, total: self._progress.update(task, completed=done, total=total)

    def _lines(self, name: str) -> Callable[[int, int], None]:
        last = [monotonic() - LINE_EVERY_S, 0.0]  # time of the last line, and its bytes

        def on_progress(done: int, total: int) -> None:
            if done > last[1] and (monotonic() - last[0] >= LINE_EVERY_S or done == total):
                last[:] = [monotonic(), done]
                self.note(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

        return on_progress

    def close(self) -> None:
        """Stop drawing; the bars stay as they are."""
        if self._started:
            self._progress.stop()


@contextmanager
def download_bars(err: Console, told: Set[str] = frozenset()) -> Iterator[DownloadBars]:
    """Progress bars that are stopped at the end of the block; arguments as of `DownloadBars`."""
    bars = DownloadBars(err, told)
    try:
        yield bars
    finally:
        bars.close()
