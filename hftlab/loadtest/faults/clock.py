"""The time that exchange and trader are told, by itself or by the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any

MS_NS = 1_000_000


class Clock:
    """Monotonic ns. real : the machine's clock, and what was jumped; else it stands still until it is advanced.

    A clock of its own makes a second of silence free, and the same seed the same run.
    """

    def __init__(self, real: bool = False) -> None:
        self.real = real
        self._ns = 0 if real else 1_000_000_000_000

    def __call__(self) -> int:
        return self._ns + time.monotonic_ns() if self.real else self._ns

    def advance(self, ns: int) -> None:
        """So much has passed; the machine's clock needs no telling."""
        if not self.real:
            self._ns += ns

    def jump(self, ns: int) -> None:
        """So much has passed at once: the machine was asleep."""
        self._ns += ns


@contextmanager
def stepped_wall_clock(seconds: float) -> Iterator[None]:
    """Every wall clock is off by so many seconds: `time.time`, `time.time_ns`, and the `datetime` of the audit log."""
    from hftlab.net.exchange import audit

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    before: list[tuple[Any, str, Any]] = [
        (time, "time", time.time),
        (time, "time_ns", time.time_ns),
        (audit, "datetime", datetime),
    ]
    wall, wall_ns = time.time, time.time_ns
    now: list[Any] = [lambda: wall() + seconds, lambda: wall_ns() + int(seconds * 1e9), Stepped]
    for (place, name, _), stepped in zip(before, now, strict=True):
        setattr(place, name, stepped)
    try:
        yield
    finally:
        for place, name, kept in before:
            setattr(place, name, kept)
