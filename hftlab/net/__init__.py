"""The wire: the protocols of a market data feed and of order entry, and the processes that speak them.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
exchange.py     the exchange as a process: `Exchange(feed, accounts)`
pingpong.py     what each costs, in interleaved rounds; rungs.py: what was found; bare.py: the same in C
processes.py    the two ends in two processes
netns.py        two network namespaces and a veth pair, for a while
trader.py       the engine as a process: `Trader(TraderSettings(...), "rust")`; retrace.py runs its day again from its journal
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`Exchange` and its `Settings`, `Trader` and its `TraderSettings`, imported when they are asked for."""
    if name in ("Exchange", "Settings"):
        from hftlab.net import exchange

        return getattr(exchange, name)
    if name in ("Trader", "TraderSettings"):
        from hftlab.net import trader

        return getattr(trader, name.removeprefix("Trader") or name)
    raise AttributeError(f"module 'hftlab.net' has no attribute {name!r}")
