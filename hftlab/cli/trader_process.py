"""`hftlab net trade`: the trader as a process of its own, until its session is over or a signal ends it."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from hftlab.cli.exchange_options import LINE_A, LINE_B
from hftlab.cli.exchange_process import ended_by_signals
from hftlab.errors import ConfigError
from hftlab.net.trader.trade_report import lines, orders_frame
from hftlab.net.trader.trader import Settings, Trader
from hftlab.net.trader.trader_settings import secret
from hftlab.settings import OrderConfig, RiskConfig

_FORWARDED = {field.name for field in fields(Settings)} - {"lines", "password"}


def trade(arguments: argparse.Namespace) -> int:
    """Trade one session; the addresses are printed first, the summary last.

    raises : ConfigError for a setting, an address, a missing password, a login that is refused
    """
    if arguments.out and not os.access(Path(arguments.out).parent, os.W_OK):
        raise ConfigError(f"{arguments.out}: cannot be written: no directory, or permission denied")
    trader = Trader(settings(arguments), arguments.backend, **constants(arguments))
    with ended_by_signals() as asked, killed_by_signal(trader):
        _print(arguments, "listening", trader.start())
        try:
            while not asked.is_set() and trader.poll():
                pass
        finally:
            told = trader.stop()
    if arguments.out:
        orders_frame(trader).write_parquet(arguments.out)
    _print(arguments, "summary", told)
    if trader.failed:
        raise ConfigError(f"orders {arguments.orders}: {trader.failed}")
    return 0


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the options name. raises : ConfigError"""
    values = {name: value for name, value in vars(arguments).items() if name in _FORWARDED}
    password = secret(arguments.username, arguments.accounts)
    return Settings(lines=tuple(arguments.lines or (LINE_A, LINE_B)), password=password, **values)


def constants(arguments: argparse.Namespace) -> dict[str, Any]:
    """The constants of orders and risk. raises : ConfigError"""
    given = vars(arguments)
    chosen = {
        made: {one.name: given[one.name] for one in fields(made) if one.name in given} for made in (OrderConfig, RiskConfig)
    }
    return {"order": OrderConfig(**chosen[OrderConfig]), "risk": RiskConfig(**chosen[RiskConfig])}


@contextmanager
def killed_by_signal(trader: Trader) -> Iterator[None]:
    """SIGUSR1 is the kill switch. The handler runs between two steps of the loop's Python, so it only leaves word."""
    before = signal.signal(signal.SIGUSR1, lambda *_: trader.asked_to_kill("SIGUSR1"))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _print(arguments: argparse.Namespace, event: str, said: dict[str, Any]) -> None:
    if arguments.json:
        print(json.dumps({"event": event, **said}), flush=True)
    elif event == "summary":
        print("\n".join(lines(said)), flush=True)
    else:
        print("\n".join(f"{name:<12} {value}" for name, value in said.items()), flush=True)
