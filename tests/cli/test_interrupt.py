"""Signals as requests to stop, and where they end the program at once."""

from __future__ import annotations

import os
import signal

import pytest

from blendin_local.cli.common.interrupt import ordinary_interrupts, stop_on_interrupt

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def test_questions_and_downloads_within_a_job_can_be_broken_off():
    """Inside, Ctrl-C raises and SIGTERM has its default effect; outside, both are requests again."""
    with stop_on_interrupt(terminate=True) as interrupt:
        with ordinary_interrupts():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert not interrupt.requested
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.exit_code == 128 + signal.SIGTERM


def test_other_handlers_are_left_alone():
    """Without a job around it, SIGTERM keeps the handler that was there."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ordinary_interrupts():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
