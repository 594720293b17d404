"""The network path: exchange and trader as processes, transports, and what each costs. Public names stand in `__init__.pyi`.

exchange/       the exchange as a process: `Exchange(feed, accounts)`
trader/         the engine as a process: `Trader(TraderSettings(...), "rust")`
transports/     how messages get from one thread or process to another, and what each way costs
tick_to_trade/  from a tick's bytes to an order's over transports, in interleaved rounds
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# What is public, and where it is: module and name.
_NAMES = {
    "Exchange": ("exchange.server", "Exchange"),
    "ExchangeSettings": ("exchange.settings", "ExchangeSettings"),
    "Trader": ("trader.trader", "Trader"),
    "TraderSettings": ("trader.settings", "TraderSettings"),
    "list_transports": ("transports.transports", "list_transports"),
    "measure_round_trip": ("transports.round_trip", "measure_round_trip"),
    "measure_tick_to_trade": ("tick_to_trade.measure", "measure_tick_to_trade"),
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for."""
    if name in _NAMES:
        module, there = _NAMES[name]
        return getattr(import_module(f"hftlab.net.{module}"), there)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
