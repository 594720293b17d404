"""The wire.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
pingpong.py     what each costs, in interleaved rounds; rungs.py: what was found; bare.py: the same in C
processes.py    the two ends in two processes
netns.py        two network namespaces and a veth pair, for a while
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftlab.net.pingpong import pingpong as pingpong
    from hftlab.net.transports import transports as transports

# Modules that are called like functions; see callable_module.py.
_MODULES = ("pingpong", "transports")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"hftlab.net.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
