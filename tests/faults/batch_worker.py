"""A process that starts batches: loaded once, it forks one for each line that it is told.

A line is `SOURCE<tab>OUT<tab>LANES`; it says the number of the process that runs the batch, and its status.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.errors import BlendinError
from tests.jobs.batches import ScriptedAnswers, opened

PACE_S = 0.002  # of one answer


class SlowAnswers(ScriptedAnswers):
    """Leaves time for something to happen."""

    def answer_all(self, requests, **more) -> Iterator:
        for result in super().answer_all(requests, **more):
            time.sleep(PACE_S)
            yield result


def batch(source: str, out: str, sequences: str) -> int:
    with stop_on_interrupt(terminate=True) as interrupt:
        try:
            with opened(Path(source), Path(out)) as running:
                running.answer(SlowAnswers(int(sequences)), lambda: interrupt.requested, lambda _: None)
        except BlendinError as error:
            return error.exit_code
        except BaseException:  # noqa: BLE001 - in a forked process nothing else reports it
            traceback.print_exc()
            return 99
        return interrupt.exit_code if interrupt.requested else 0


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(batch(*line.rstrip("\n").split("\t")))
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
