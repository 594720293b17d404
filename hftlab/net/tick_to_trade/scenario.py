"""What goes over the network, how and when, and what must come back: made before anything runs, by the same engine without one.

feed:     | warm: run by the trader's engine before it logs in | data: packets over the network              |
packet:   MoldUDP64, one message or a few                        due: ns after the beginning, or at once
orders:   those that the engine makes of the same feed alone: their bytes, and the packet that causes each
path:     the transport of the feed and that of the orders, "udp-spin+tcp-spin", or "shm" for both
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, decode
from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError, HftlabError, check_choice
from hftlab.feeds.frames import walk
from hftlab.feeds.itch import ItchFeed
from hftlab.net.transports.netns import Veth
from hftlab.net.transports.transports import choose_working, probe, transport_names
from hftlab.protocols.channel import Pace
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES
from hftlab.settings import OrderConfig, RiskConfig, Settings

#: When the next tick leaves: once the order of the last is back; in the feed's own time; in bursts.
LOAD_PROFILES = ("closed", "1x", "8x", "bursts")
#: Messages of a burst, ns from one of them to the next, ns from one burst to the next: two million a second for 25 us.
BURST, WITHIN_NS, BETWEEN_NS = 50, 500, 2_000_000
#: Applied events of an instrument from one order to the next: in a closed loop every tick shall act, else every fourth.
COOLDOWNS = {True: 1, False: 4}
#: Bytes of messages in a packet, at most.
MAX_PACKET = 1400
#: Share of the packets whose orders are not counted: the path warms up.
WARMUP_SHARE = 0.05
#: Limits that stop nothing: each tick that may act shall be answered.
LOOSE = RiskConfig(
    max_order_qty=999_999, max_notional=10**15, collar_bps=10**6, position_limit=10**12, max_orders_per_sec=100_000
)
#: Measured unless others are asked for, as far as they work here: those of the goals, and their neighbours.
PATHS = ("memory", "shm", "xdp-skb", "udp-spin", "udp-spin+tcp-spin", "multicast+tcp-spin", "tcp-spin", "udp+tcp")
#: The path that every other is compared with, and that runs twice.
BASE = "udp-spin+tcp-spin"
#: Transports that lose nothing on the way; over any other an order may get lost, since SoupBinTCP leaves that to TCP.
RELIABLE = ("memory", "shm", "tcp", "tcp-spin")

#: Name and address of a transport, as the Rust engine takes it.
End = tuple[str, str | None]

Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Scenario:
    """One feed under one load profile.

    engine     : its label
    warm, data : framed messages, those before the network and those over it
    ends       : (packets,) where each packet ends in `data`, bytes
    due_ns     : (packets,) when it is due, ns from the beginning; -1: as soon as the orders before it have come
    orders     : (packets,) orders that the packets up to and with each one cause
    cause      : (orders,) the packet that causes each order
    stream     : the orders' bytes, 47 each
    first      : UserRefNum of the first of them
    """

    load_profile: str
    engine: str
    settings: Settings
    warm: bytes
    data: bytes
    ends: Numbers
    due_ns: Numbers
    orders: Numbers
    cause: Numbers
    stream: bytes
    first: int

    @property
    def skipped(self) -> int:
        """Packets at the beginning whose orders are not counted."""
        return int(len(self.ends) * WARMUP_SHARE)

    @property
    def closed(self) -> bool:
        return bool(len(self.due_ns)) and int(self.due_ns[0]) < 0

    @property
    def messages(self) -> int:
        """Over the network."""
        return len(offsets(self.data)) - 1

    @property
    def messages_per_s(self) -> float | None:
        """Messages a second that are due; None in a closed loop."""
        span = 0 if self.closed else int(self.due_ns[-1] - self.due_ns[0])
        return self.messages / span * 1e9 if span > 0 else None


def eager_engine(engine: Any, load_profile: str, threshold: float = 0.0, cooldown: int | None = None) -> Engine:
    """The engine, set to act often and limited by nothing.

    raises : ConfigError for one that is not Rust's: both sides of the measurement are in Rust
    """
    every = COOLDOWNS[load_profile == "closed"] if cooldown is None else cooldown
    eager = as_engine(engine, order_config=OrderConfig(threshold=threshold, cooldown=every), risk_config=LOOSE)
    if eager.backend != "rust":
        raise ConfigError(f"engine must be rust in any variant, got {eager.label}: both sides of the network are in Rust")
    return eager.replace(until="order", strict=False)


def make_scenario(load_profile: str, data: bytes, warm: int, engine: Engine, *, messages: int, seconds: float) -> Scenario:
    """The scenario of a feed under a load profile.

    data     : framed ITCH; the first `warm` messages are not sent
    messages : over the network in a closed loop, at most
    seconds  : of messages otherwise, by when they are due
    raises   : ConfigError for an unknown profile; HftlabError for a feed that is too short, or that causes no order
    """
    at = offsets(data)
    if warm + 2 > len(at):
        raise HftlabError(f"the feed must have more than the {warm:,} messages that warm up, got {len(at) - 1:,}")
    due = due_times(load_profile, data, warm)
    count = len(at) - 1 - warm
    count = min(count, messages) if due is None else int(np.searchsorted(due, seconds * 1e9, "right"))
    at = at[: warm + count + 1]
    run = engine.run(ItchFeed(data[: at[-1]]), record="none")
    index = run.orders["index"].to_numpy().astype(np.int64)
    before = int(np.searchsorted(index, warm))
    index, starts = index[before:] - warm, at[warm:] - at[warm]
    if not len(index):
        raise HftlabError(f"the feed causes no order in {count:,} messages: lower the threshold")
    last = _answered(index, starts) if due is None else _simultaneous(due[:count], starts)
    return Scenario(
        load_profile=load_profile,
        engine=engine.label,
        settings=engine.settings(record="none"),
        warm=data[: at[warm]],
        data=data[at[warm] : at[-1]],
        ends=starts[last + 1],
        due_ns=np.full(len(last), -1) if due is None else due[last],
        orders=np.searchsorted(index, last, "right").astype(np.int64),
        cause=np.searchsorted(last, index).astype(np.int64),
        stream=run.order_stream[ENTER_ORDER_BYTES * before :],
        first=before + 1,
    )


def offsets(data: bytes) -> Numbers:
    """Where each framed message begins, and where the last one ends: (messages + 1,). Raises FeedError for bytes cut off."""
    return np.array([0, *(at + size for _, at, size in walk([data], "the feed"))], np.int64)


def due_times(load_profile: str, data: bytes, warm: int) -> Numbers | None:
    """When each message after the first `warm` is due, ns from the first; None in a closed loop.

    raises : ConfigError
    """
    if load_profile == "closed":
        return None
    if load_profile == "bursts":
        number = np.arange(len(offsets(data)) - 1 - warm)
        return number // BURST * BETWEEN_NS + number % BURST * WITHIN_NS
    if not re.fullmatch(r"[0-9.]+(x|/s)", load_profile):
        raise ConfigError(f"load profile must be closed, bursts, a speed (8x) or a rate (50000/s), got {load_profile!r}")
    kind, value = Pace.parse(load_profile)
    if kind == "rate":
        return (np.arange(len(offsets(data)) - 1 - warm) * (1e9 / value)).astype(np.int64)
    stamps = decode(ItchFeed(data), "rust")["ts_ns"][warm:].astype(np.int64)
    due: Numbers = (np.maximum.accumulate(stamps - stamps[0]) / value).astype(np.int64)
    return due


def _answered(index: Numbers, starts: Numbers) -> Numbers:
    """Last message of each packet of a closed loop: one that causes an order ends it, so that this is what follows at once."""
    acts, last, begin = set(index.tolist()), [], 0
    for i in range(len(starts) - 1):
        if i > begin and starts[i + 1] - starts[begin] > MAX_PACKET:
            last.append(i - 1)
            begin = i
        if i in acts:
            last.append(i)
            begin = i + 1
    return np.array(last, np.int64)  # what comes after the last order is not sent


def _simultaneous(due: Numbers, starts: Numbers) -> Numbers:
    """Last message of each packet with due times: those that are due at once leave together, as many as a packet holds."""
    last, begin = [], 0
    for i in range(1, len(due)):
        if due[i] != due[begin] or starts[i + 1] - starts[begin] > MAX_PACKET:
            last.append(i - 1)
            begin = i
    return np.array([*last, len(due) - 1], np.int64)


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
