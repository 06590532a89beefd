"""What the program is doing, in one line on the terminal that is gone when it is done.

Here: `StatusLine`, shown while models load and prompts are read; `loading_text` and `reading_text`.
Not here: jobs, whose progress is counted and stays (`cli.common.progress`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock, Timer
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from blendin_local.cli.common.keyboard import quiet_keyboard
from blendin_local.core.percent import percent
from blendin_local.views.sizes import megabytes

if TYPE_CHECKING:
    from blendin_local.decode.loaded_model import LoadProgress

DELAY_S = 0.3  # what takes less is not shown
FIRST_DELAY_S = 0.05  # of a command, which has taken a third of a second to start
FRAMES_PER_S = 8


class Reading(Protocol):
    """How far a model has read its prompt, such as `decode.role_context.PromptReading`."""

    @property
    def role(self) -> str:
        """Which model."""
        ...

    @property
    def n_read(self) -> int:
        """Tokens that are read."""
        ...

    @property
    def n_prompt(self) -> int:
        """All tokens of the prompt."""
        ...


class StatusLine:
    """One line on stderr with a moving sign; nothing where that is no terminal, or quiet.

    Before anything is written to the terminal but through this console, `clear` it.

    Attributes:
        console: Where it is shown; what is printed there meanwhile appears above the line.

    Args:
        err: The console.
        delay_s: Seconds before it is drawn for the first time.
    """

    def __init__(self, err: Console, delay_s: float = DELAY_S) -> None:
        self.console = err
        self._delay_s = delay_s
        self._spinner = Spinner("dots" if err.encoding.startswith("utf") else "line")
        self._describe: Callable[[], str] = str
        self._lock = RLock()
        self._timer: Timer | None = None
        self._live: Live | None = None

    def show(self, text: str | Callable[[], str]) -> None:
        """Show a text from now on, or what a function returns whenever the line is drawn."""
        if self.console.quiet or not self.console.is_terminal or self.console.is_dumb_terminal:
            return
        with self._lock:
            self._describe = text if callable(text) else lambda: text
            if self._timer is None:
                self._timer = Timer(self._delay_s, self._begin)
                self._timer.daemon = True
                self._timer.start()

    def show_loading(self, progress: LoadProgress) -> None:
        """Show which file is read."""
        self.show(loading_text(progress))

    def show_reading(self, reading: Callable[[], Reading | None]) -> None:
        """Show how far a prompt has been read; the function is called whenever the line is drawn."""
        self.show(lambda: reading_text(reading()))

    def clear(self) -> None:
        """Erase the line; the next `show` waits again before it draws one."""
        if self._timer is None:
            return
        with self._lock:
            self._timer.cancel()
            self._timer = None
            self._delay_s = DELAY_S
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _begin(self) -> None:
        with self._lock:
            if self._timer is None:  # cleared while this thread waited for the lock
                return
            self._live = Live(
                get_renderable=self._line,
                console=self.console,
                refresh_per_second=FRAMES_PER_S,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _line(self) -> Text:
        frame = self._spinner.render(self.console.get_time())
        sign = frame if isinstance(frame, Text) else Text()
        return Text.assemble(sign, " ", (self._describe(), "footer"), no_wrap=True, overflow="ellipsis")


@contextmanager
def status_line(err: Console, delay_s: float = DELAY_S) -> Iterator[StatusLine]:
    """A status line that is erased at the end of the block.

    Args:
        err: Where it is shown.
        delay_s: Seconds before it is drawn for the first time.
    """
    status = StatusLine(err, delay_s)
    try:
        yield status
    finally:
        status.clear()


@contextmanager
def starting(err: Console, *, answers_keys: bool = False) -> Iterator[StatusLine]:
    """The terminal of a command from its start: keys wait for the next prompt, and the status line begins.

    Args:
        err: Where the line is shown.
        answers_keys: Whether the command has a prompt of its own. It reads key by key, unless the terminal is
            dumb; where stdin is no terminal, keys belong to the program that feeds it, and are left alone.
    """
    hides = not answers_keys or sys.stdin.isatty()
    lines = not answers_keys or err.is_dumb_terminal
    with (
        quiet_keyboard(lines=lines) if hides else nullcontext(),
        status_line(err, FIRST_DELAY_S) as status,
    ):
        status.show("starting")
        yield status


def loading_text(progress: LoadProgress) -> str:
    """`loading the base: 1.1 GB`."""
    what = "loading" if progress.stage == "load" else "trying"
    return f"{what} the {progress.role}: {megabytes(progress.n_bytes)}"


def reading_text(reading: Reading | None) -> str:
    """`the base reads 2,031 tokens: 45 %`; None is for a prompt that has been read."""
    if reading is None:
        return "waiting for the first word"
    share = reading.n_read / reading.n_prompt
    return f"the {reading.role} reads {reading.n_prompt:,} tokens: {percent(share, 0)}"
