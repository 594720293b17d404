"""A time limit on code that may never come back, in the process that runs it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_S = 1.0  # a loop that swallows the first interruption gets another, and another


class TooLong(BaseException):
    """The time is up. Not an Exception, since what hangs often catches those."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooLong in the code within, once it has run for so many seconds.

    It needs the main thread and a system with interval timers (Linux, macOS); elsewhere there is no limit. It comes between two
    steps of Python: a single call into compiled code is waited for.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def up(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, up)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
