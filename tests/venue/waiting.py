"""Waiting for something to be so, and clocks that stand still: no sleep ever proves anything."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 60.0  # for anything that is waited for; reached only where something is broken


class Clock:
    """Monotonic ns that pass only when they are told to."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.ns

    def advance(self, ns: int) -> None:
        self.ns += ns


def wait_until(true: Callable[[], object], turn: Callable[[], object], why: Callable[[], object] = lambda: "") -> None:
    """Take turns until something is true. why : said where it never becomes true"""
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, f"waited in vain; {why()}"
        turn()
