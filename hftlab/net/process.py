"""Shared by the exchange and the trader as processes: signals, and events printed for people or programs."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Prints one event of a process: its name, and its values.
Announce = Callable[[str, dict[str, Any]], None]


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """The event is set by SIGTERM and by Ctrl-C; a second one interrupts at once."""
    asked = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_text(_event: str, values: dict[str, Any]) -> None:
    """An event for people: a value a line, empty ones left out."""
    for name, value in values.items():
        if (text := _text(value)) != "":
            print(f"{name.replace('_', ' '):<12} {text}", flush=True)


def print_json(event: str, values: dict[str, Any]) -> None:
    """An event for programs: one JSON object a line."""
    print(json.dumps({"event": event, **values}), flush=True)


def _text(value: Any) -> str:
    """A value for people: `sent 7, lost 2`, one level of names in brackets."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    parts = [f"{name} ({_text(inner)})" if isinstance(inner, dict) else f"{name} {_text(inner)}" for name, inner in value.items()]
    return ", ".join(parts) or "none"
