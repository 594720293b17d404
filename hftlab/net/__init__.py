"""The wire: the protocols of a market data feed and of order entry, and the processes that speak them.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
pingpong.py     what each costs, in interleaved rounds; rungs.py: what was found; bare.py: the same in C
processes.py    the two ends in two processes
netns.py        two network namespaces and a veth pair, for a while
exchange.py     the exchange as a process: `Exchange(feed, accounts)`
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`Exchange` and `Settings`, imported when they are asked for."""
    if name in ("Exchange", "Settings"):
        from hftlab.net import exchange

        return getattr(exchange, name)
    raise AttributeError(f"module 'hftlab.net' has no attribute {name!r}")
