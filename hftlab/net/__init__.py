"""The network path: exchange and trader as processes, transports, and what each costs. Public names stand in `__init__.pyi`.

exchange/       the exchange as a process: `Exchange(feed, accounts)`
trader/         the engine as a process: `Trader(TraderSettings(...), "rust")`
transports/     how messages get from one thread or process to another, and what each way costs
tick_to_trade/  from a tick's bytes to an order's over transports, in interleaved rounds
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
