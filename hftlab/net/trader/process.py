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
from hftlab.net.exchange.process import Announce, Signs, StatusFile, ended_by_signals, print_json, print_text
from hftlab.net.trader.settings import TraderSettings, find_password
from hftlab.net.trader.trader import Trader
from hftlab.presentation.output import check_writable, write_parquet


def serve(
    settings: TraderSettings,
    engine: str | Backend | Engine = "auto",
    accounts: str | None = None,
    *,
    orders_file: str | None = None,
    status: str | None = None,
    json: bool = False,
    **options: Any,
) -> bool:
    """Trade one session, and say whether nothing wants attention. The addresses are printed first, the summary last.

    SIGUSR1 is the kill switch.

    accounts    : file of USERNAME PASSWORD lines; None for HFTLAB_PASSWORD or HFTLAB_ACCOUNTS
    orders_file : write the orders there as Parquet at the end
    status      : write there twice a second how things are, for `hftlab net status`
    json        : print one JSON object a line
    options     : as for hftlab.Engine (order_config, risk_config, ...)
    raises      : ConfigError for a setting, an address, a missing password, a login that is refused; OutputError
    """
    if orders_file:
        check_writable(orders_file)
    announce: Announce = print_json if json else print_text
    settings = replace(settings, password=settings.password or find_password(settings.username, accounts))
    trader, signs, live = Trader(settings, engine, **options), Signs("" if json else "trader"), StatusFile(status, "trader")
    with ended_by_signals() as asked, _killed_by_signal(trader):
        announce("listening", trader.start())
        try:
            while not asked.is_set() and trader.poll():
                live.write(trader.status)
                signs.see(_state(trader), lambda: f"{trader.live.messages:,} messages, {trader.times['total'].n:,} orders")
        finally:
            summary = trader.stop()
            live.write(trader.status, last=True)
    if orders_file:
        write_parquet(orders_file, trader.orders.frame())
    attention = summary["attention"]
    sentences = [ATTENTION[name].format(n) for name, n in attention.items()]
    announce("summary", summary if json else {**summary, "attention": sentences})
    if trader.failed:
        raise ConfigError(f"orders {settings.orders}: {trader.failed}")
    return not attention


def _state(trader: Trader) -> str:
    """What it does, for people."""
    connection = trader.gateway.state.value + (f" ({trader.gateway.why})" if trader.gateway.why else "")
    return f"{f'held, {trader.gates.describe(trader.held)}' if trader.held else 'trading'}; orders {connection}"


#: What wants attention, for people; see `Trader.attention`.
ATTENTION = {
    "never_connected": "no login to the exchange was ever accepted",
    "missing_reports": "{:,} messages of the order session are missing: positions may be wrong",
    "unreadable_reports": "{:,} messages of the order session could not be read",
    "unexpected_reports": "{:,} messages of the order session did not fit any order",
    "overfills": "{:,} fills were larger than what was left of their order",
    "unknown_fills": "{:,} fills were of orders that nobody knows: they are in no position",
    "possibly_live": "{:,} orders may still be working",
    "unknown_fate": "of {:,} orders nobody knows what became",
    "missing_messages": "{:,} messages of the feed were missing at the end",
    "unwritten": "{:,} lines of the journal were lost",
    "numbers_used_up": "no order number is left",
    "too_many_rejects": "orders were held back {:,} times because too many were rejected",
    "unacknowledged": "orders were held back {:,} times because one was not answered in time",
}


@contextmanager
def _killed_by_signal(trader: Trader) -> Iterator[None]:
    """SIGUSR1 is the kill switch. The handler runs between two steps of the loop's Python, so it only leaves word."""
    before = signal.signal(signal.SIGUSR1, lambda *_: trader.request_kill("SIGUSR1"))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
