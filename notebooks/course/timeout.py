"""Time limit for code that may hang, in the process that runs it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEAT_S = 1.0  # a loop that catches the first interruption gets another one this much later, and so on


class TimeLimitExceeded(BaseException):
    """The time is up. Not an Exception, since code that hangs often catches those."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded in the enclosed code once it has run for `seconds`.

    It needs the main thread and a system with interval timers (Linux, macOS); elsewhere there is no limit. The exception comes
    between two steps of Python: a single call into compiled code runs to its end.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded

    before = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_S)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
