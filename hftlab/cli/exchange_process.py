"""`hftlab net exchange`: the exchange as a process of its own, until its session is over or a signal ends it."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hftlab.errors import ConfigError
from hftlab.net.exchange import accounts
from hftlab.net.exchange.exchange import Exchange, Settings
from hftlab.net.exchange.state import State
from hftlab.protocols.lines import Chances

_FORWARDED = {field.name for field in fields(Settings)} - {"chances", "seed"}


def exchange(arguments: argparse.Namespace) -> int:
    """Run one session; the addresses are printed before anything is published, the summary after everything.

    raises : ConfigError for a setting or an address; FeedError, after the summary, for a feed that broke off
    """
    from hftlab.engine.engine import load, synthetic

    feed = (
        load(arguments.file)
        if arguments.file
        else synthetic(arguments.regime, arguments.messages, arguments.seed, arguments.symbols)
    )
    made = Exchange(feed, accounts.load(arguments.accounts), settings(arguments), state=_state(arguments))
    with ended_by_signals() as asked:
        _print(arguments, "listening", made.start())
        while made.poll():
            if asked.is_set():
                made.finish()
    _print(arguments, "summary", made.summary())
    if made.publisher.error:
        raise made.publisher.error
    return 0


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the options name. raises : ConfigError"""
    values = {name: value for name, value in vars(arguments).items() if name in _FORWARDED}
    return Settings(**values, seed=arguments.line_seed, chances=_chances(arguments))


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


def _state(arguments: argparse.Namespace) -> State | None:
    if not arguments.resume:
        return None
    if not arguments.audit:
        raise ConfigError("--resume takes up the session in the --audit log; no --audit FILE is named")
    state = State.read(arguments.audit)
    if arguments.session not in ("", state.session):
        raise ConfigError(f"--session is {arguments.session!r}; the latest in {arguments.audit} is {state.session!r}")
    return state


def _chances(arguments: argparse.Namespace) -> tuple[Chances, Chances]:
    pairs = [_pair(name, getattr(arguments, name)) for name in ("loss", "duplicate", "reorder")]
    (loss_a, loss_b), (duplicate_a, duplicate_b), (reorder_a, reorder_b) = pairs
    return Chances(loss_a, duplicate_a, reorder_a), Chances(loss_b, duplicate_b, reorder_b)


def _pair(name: str, text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        if len(parts) > 2:
            raise ValueError
        return float(parts[0]), float(parts[-1])
    except ValueError:
        raise ConfigError(f"--{name} is {text!r}; allowed is a probability for both lines, or two as 0.1,0.2") from None


def _print(arguments: argparse.Namespace, event: str, said: dict[str, Any]) -> None:
    if arguments.json:
        print(json.dumps({"event": event, **said}), flush=True)
        return
    for name, value in said.items():
        if (text := _text(value)) != "":
            print(f"{name.replace('_', ' '):<12} {text}", flush=True)


def _text(value: Any) -> str:
    """A value for people: `sent 7, lost 2`, one level of names in brackets."""
    if not isinstance(value, dict):
        return str(value)
    parts = [f"{name} ({_text(inner)})" if isinstance(inner, dict) else f"{name} {inner}" for name, inner in value.items()]
    return ", ".join(parts) or "none"
