"""Which way: the transport of the feed and that of the orders, by name: "udp-spin+tcp-spin", or "shm" for both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.net.transports.netns import Veth
from hftlab.net.transports.transports import engine

#: What is measured unless something else is asked for, as far as it can be had: those the goals are about, and their neighbours.
PATHS = ("memory", "shm", "xdp-skb", "udp-spin", "udp-spin+tcp-spin", "multicast+tcp-spin", "tcp-spin", "udp+tcp")
#: The path that every other is held against, and that runs twice.
BASE = "udp-spin+tcp-spin"


@dataclass(frozen=True)
class Path:
    """feed, orders : names of transports; the same name twice is one connection for both ways."""

    feed: str
    orders: str

    @classmethod
    def parse(cls, text: str) -> Path:
        """From "udp-spin+tcp-spin" or "shm". raises : ConfigError, UnknownName"""
        parts = text.split("+")
        if len(parts) > 2 or not all(parts):
            raise ConfigError(f"path is {text!r}; allowed is the name of a transport, or two: FEED+ORDERS")
        known = [row[0] for row in engine().transports()]
        for name in parts:
            if name not in known:
                raise UnknownName("transport", name, known)
        return cls(parts[0], parts[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """Its transports, each once."""
        return (self.feed,) if self.feed == self.orders else (self.feed, self.orders)

    def __str__(self) -> str:
        return "+".join(self.names)

    def ends(self, wire: Veth | None) -> tuple[tuple[str, str | None], tuple[str, str | None] | None]:
        """Name and address of either transport, as the Rust engine takes them; None for one connection."""
        ends = [(name, wire.address(name) if wire else None) for name in self.names]
        return ends[0], ends[1] if len(ends) > 1 else None


def chosen(asked: Iterable[str], *, alone: bool) -> tuple[list[Path], list[str]]:
    """Paths to be measured, and why others are not, a sentence each.

    alone  : there is one core for both sides
    raises : UnknownName, ConfigError; HftlabError for a path asked for that cannot be had here
    """
    asked = list(dict.fromkeys(str(Path.parse(text)) for text in asked))
    sleeps = {row[0]: row[3] for row in engine().transports()}
    paths, skipped, tried = [], [], dict[str, str]()
    for path in map(Path.parse, asked or PATHS):
        for name in path.names:
            if name not in tried:
                tried[name] = why_not(name, alone and not sleeps[name])
        if why := next(filter(None, (tried[name] for name in path.names)), ""):
            skipped.append(f"{path}: {why}")
        else:
            paths.append(path)
    if not paths or (asked and skipped):
        raise HftlabError(f"not to be had here: {'; '.join(skipped)}")
    return paths, skipped


def why_not(name: str, alone: bool) -> str:
    """Why a transport cannot be had; "" if it can. alone: it spins, and there is one core for both sides."""
    probed: tuple[Any, int, str] = engine().transport_probe(name)
    works, errno, why = probed
    if not works:
        return why + (f" (errno {errno})" if errno else "")
    return f"{name} spins, and there is one core for both sides" if alone else ""
