"""The wire: the protocols of a market data feed and of order entry, and the processes that speak them.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
pingpong.py     what each costs, in interleaved rounds; rungs.py: what was found; bare.py: the same in C
wire.py         from a tick's bytes to an order's over transports, in interleaved rounds; wire_found.py: what was found
stored.py       what needs root, measured once: for those who are not
processes.py    the two ends in two processes
netns.py        two network namespaces and a veth pair, for a while
exchange.py     the exchange as a process: `Exchange(feed, accounts)`
trader.py       the engine as a process: `Trader(TraderSettings(...), "rust")`; retrace.py runs its day again from its journal
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftlab.net.exchange import Exchange as Exchange
    from hftlab.net.exchange_settings import Settings as Settings
    from hftlab.net.pingpong import pingpong as pingpong
    from hftlab.net.trader import Trader as Trader
    from hftlab.net.trader_settings import Settings as TraderSettings  # noqa: F401
    from hftlab.net.transports import transports as transports
    from hftlab.net.wire import wire as wire

# Modules that are called like functions; see callable_module.py.
_MODULES = ("pingpong", "transports", "wire")
# What is public, and where it is: module and name.
_NAMES = {
    "Exchange": ("exchange", "Exchange"),
    "Settings": ("exchange", "Settings"),
    "Trader": ("trader", "Trader"),
    "TraderSettings": ("trader", "Settings"),
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for."""
    if name in _MODULES:
        return import_module(f"hftlab.net.{name}")
    if name in _NAMES:
        module, there = _NAMES[name]
        return getattr(import_module(f"hftlab.net.{module}"), there)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
