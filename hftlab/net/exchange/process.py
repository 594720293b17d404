"""`hftlab net exchange`: the exchange as a process of its own, until its session is over or a signal ends it.

Signals, and events printed for people or programs, are those of every process of the network path.
"""

from __future__ import annotations

import json as json_format
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.net.exchange.audit import SessionState
from hftlab.net.exchange.server import Exchange
from hftlab.net.exchange.settings import ExchangeSettings, load_accounts

#: Prints one event of a process: its name, and its values.
Announce = Callable[[str, dict[str, Any]], None]


def serve(
    feed: Feed, settings: ExchangeSettings, accounts: str | None = None, *, resume: bool = False, json: bool = False
) -> None:
    """Run one session; the addresses are printed before anything is published, the summary after everything.

    feed     : one of wire bytes
    accounts : file of USERNAME PASSWORD lines; None for HFTLAB_ACCOUNTS
    resume   : take up the latest session in the audit log again
    json     : print one JSON object a line, the addresses first, the summary last
    raises   : ConfigError for a setting, an address, an account; FeedError, after the summary, for a feed that broke off
    """
    announce: Announce = print_json if json else print_text
    state = _state(settings) if resume else None
    exchange = Exchange(feed, load_accounts(accounts), settings, state=state)
    with ended_by_signals() as asked:
        announce("listening", exchange.start())
        while exchange.poll():
            if asked.is_set():
                exchange.finish()
    announce("summary", exchange.summary())
    if exchange.publisher.error:
        raise exchange.publisher.error


def _state(settings: ExchangeSettings) -> SessionState:
    """The session to be taken up. raises : ConfigError"""
    if not settings.audit:
        raise ConfigError("--resume takes up the session in the audit log; name its file with --audit FILE")
    state = SessionState.read(settings.audit)
    if settings.session not in ("", state.session):
        raise ConfigError(f"session must be {state.session!r}, the latest in {settings.audit}, got {settings.session!r}")
    return state


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
    print(json_format.dumps({"event": event, **values}), flush=True)


def _text(value: Any) -> str:
    """A value for people: `sent 7, lost 2`, one level of names in brackets."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    parts = [f"{name} ({_text(inner)})" if isinstance(inner, dict) else f"{name} {_text(inner)}" for name, inner in value.items()]
    return ", ".join(parts) or "none"
