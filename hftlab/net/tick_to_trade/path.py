"""Paths by name: the transport of the feed and that of the orders, "udp-spin+tcp-spin", or "shm" for both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hftlab.errors import ConfigError, check_choice
from hftlab.net.transports.netns import Veth
from hftlab.net.transports.transports import choose_working, probe, transport_names

#: Measured unless others are asked for, as far as they work here: those of the goals, and their neighbours.
PATHS = ("memory", "shm", "xdp-skb", "udp-spin", "udp-spin+tcp-spin", "multicast+tcp-spin", "tcp-spin", "udp+tcp")
#: The path that every other is compared with, and that runs twice.
BASE = "udp-spin+tcp-spin"
#: Transports that lose nothing on the way; over any other an order may get lost, since SoupBinTCP leaves that to TCP.
RELIABLE = ("memory", "shm", "tcp", "tcp-spin")

#: Name and address of a transport, as the Rust engine takes it.
End = tuple[str, str | None]


@dataclass(frozen=True)
class NetworkPath:
    """feed, orders : names of transports; the same name twice is one connection for both ways."""

    feed: str
    orders: str

    @classmethod
    def parse(cls, text: str) -> NetworkPath:
        """From "udp-spin+tcp-spin" or "shm". raises : ConfigError, UnknownName"""
        parts = text.split("+")
        if len(parts) > 2 or not all(parts):
            raise ConfigError(f"path must be the name of a transport, or two: FEED+ORDERS, got {text!r}")
        for name in parts:
            check_choice("transport", name, transport_names())
        return cls(parts[0], parts[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """Its transports, each once."""
        return (self.feed,) if self.feed == self.orders else (self.feed, self.orders)

    @property
    def reliable(self) -> bool:
        """Whether nothing gets lost on the way."""
        return all(name in RELIABLE for name in self.names)

    def reason(self, single_core: bool) -> str:
        """Why it cannot be measured here, "" if it can. single_core : both sides share one core"""
        reasons = ((name, probe(name).reason(single_core)) for name in self.names)
        return next((f"{name}: {why}" for name, why in reasons if why), "")

    def ends(self, link: Veth | None = None) -> tuple[End, End | None]:
        """Either transport; None for one connection."""
        ends = [(name, link.address(name) if link else None) for name in self.names]
        return ends[0], ends[1] if len(ends) > 1 else None

    def __str__(self) -> str:
        return "+".join(self.names)


def available_paths(asked: Iterable[str], *, single_core: bool) -> tuple[list[NetworkPath], list[str]]:
    """Paths to be measured, and why others are not, a sentence each.

    raises : UnknownName, ConfigError; HftlabError for a path asked for that does not work here
    """
    every = map(NetworkPath.parse, PATHS)
    return choose_working(map(NetworkPath.parse, asked), every, lambda path: path.reason(single_core))


def base_of(paths: list[NetworkPath]) -> NetworkPath:
    """The path that every other is compared with."""
    return next((path for path in paths if str(path) == BASE), paths[0])
