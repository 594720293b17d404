"""`hftlab net trader`: the trader as a process of its own, until its session is over or a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.session import Backend
from hftlab.errors import ConfigError
from hftlab.net.exchange.process import Announce, ended_by_signals, print_json, print_text
from hftlab.net.trader.settings import TraderSettings, find_password
from hftlab.net.trader.trader import Trader
from hftlab.presentation.output import check_writable, write_parquet


def serve(
    settings: TraderSettings,
    engine: str | Backend | Engine = "auto",
    accounts: str | None = None,
    *,
    orders_file: str | None = None,
    json: bool = False,
    **options: Any,
) -> None:
    """Trade one session; the addresses are printed first, the summary last. SIGUSR1 is the kill switch.

    accounts    : file of USERNAME PASSWORD lines; None for HFTLAB_PASSWORD or HFTLAB_ACCOUNTS
    orders_file : write the orders there as Parquet at the end
    json        : print one JSON object a line
    options     : as for hftlab.Engine (order_config, risk_config, ...)
    raises      : ConfigError for a setting, an address, a missing password, a login that is refused; OutputError
    """
    if orders_file:
        check_writable(orders_file)
    announce: Announce = print_json if json else print_text
    settings = replace(settings, password=settings.password or find_password(settings.username, accounts))
    trader = Trader(settings, engine, **options)
    with ended_by_signals() as asked, _killed_by_signal(trader):
        announce("listening", trader.start())
        try:
            while not asked.is_set() and trader.poll():
                pass
        finally:
            summary = trader.stop()
    if orders_file:
        write_parquet(orders_file, trader.orders.frame())
    announce("summary", summary)
    if trader.failed:
        raise ConfigError(f"orders {settings.orders}: {trader.failed}")


@contextmanager
def _killed_by_signal(trader: Trader) -> Iterator[None]:
    """SIGUSR1 is the kill switch. The handler runs between two steps of the loop's Python, so it only leaves word."""
    before = signal.signal(signal.SIGUSR1, lambda *_: trader.request_kill("SIGUSR1"))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
