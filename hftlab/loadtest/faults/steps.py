"""What can go wrong in a day: one step each, with when it begins, on what, and for how long.

A step changes the network, a process or a disk, and undoes that when its time is over. It draws its own chance, so that a plan
from which another step is taken away goes on as before, as far as it can.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

from hftlab.loadtest.faults.network import MS_NS, Fate, Host, Link, Network

_LARGEST = 65_507  # bytes that a datagram can have
_LATE_NS = 3 * MS_NS  # of a datagram that others overtake, at most
_HOUR_NS = 3_600_000 * MS_NS
ORDER, ANSWER = b"UO", b"SA"  # how a frame begins that brings an order, or says that one was accepted


class Step(NamedTuple):
    """One thing that goes wrong.

    at_us, for_us : since the day began; how long
    kind, on      : see KINDS
    share         : of the datagrams that it hits
    """

    at_us: int
    kind: str
    on: str = ""
    for_us: int = 0
    share: float = 1.0

    def __str__(self) -> str:
        share = f", {self.share:.0%} of them" if self.share < 1 else ""
        length = f" for {self.for_us / 1e3:g} ms" if self.for_us else ""
        return f"{self.at_us / 1e3:9.3f} ms  {KINDS[self.kind].format(self.on)}{share}{length}"


#: What happens, and {} to whom.
KINDS: dict[str, str] = {
    "lose": "datagrams on {} are lost",
    "repeat": "datagrams on {} come twice",
    "delay": "datagrams on {} are overtaken by others",
    "flip": "datagrams on {} have a bit flipped, in header or lengths",
    "shorten": "datagrams on {} are cut anywhere",
    "lengthen": "datagrams on {} are longer than they say, or say that they are",
    "garble": "a message of both lines is shorter than its type says",
    "cut": "the order connection breaks in the next packet going {}",
    "break": "the order connection breaks",
    "stall": "nothing that goes {} the order connection arrives",
    "swallow": "connections are taken, and nothing on them is answered",
    "forget": "the exchange cannot repeat an order message that we ask for at the next login",
    "pause": "the {} does not run",
    "crash": "the {} fails, and comes back",
    "change": "the exchange fails, and comes back with another session",
    "end": "the exchange ends its session in order, and comes back",
    "full": "the disk of the {} is full",
    "clock": "the wall clock of the {} is an hour ahead",
}


class World(Protocol):
    """What a step can change: a day."""

    network: Network
    hosts: dict[str, Host]
    exchange: Any
    awaited: int

    def kill(self, name: str) -> None:
        """A process fails."""

    def restart(self, name: str, session: str = "") -> None:
        """It is back."""

    def break_orders(self) -> None:
        """The order connection breaks."""


def begin(world: World, number: int, step: Step) -> None:
    """It begins; its end is put on the agenda."""
    over = _BEGIN[step.kind](world, number, step)
    if over is not None:
        world.network.at(world.network.now + 1_000 * step.for_us, over)


def _fated(make: Callable[[Random], Fate]) -> Callable[[World, int, Step], Callable[[], object]]:
    """A fate of the datagrams of one link, or of both lines, of each by its own chance."""

    def start(world: World, number: int, step: Step) -> Callable[[], object]:
        links = [world.network.links[name] for name in (step.on if step.on == "AB" else (step.on,))]
        for place, link in enumerate(links):
            link.fates[number] = _some(make, Random(f"{step.at_us}/{step.kind}/{step.on[place:]}"), step, link)
        return lambda: [link.fates.pop(number) for link in links]

    return start


def _some(make: Callable[[Random], Fate], random: Random, step: Step, link: Link) -> Fate:
    """It hits a share of them."""
    fate = make(random)

    def some(data: bytes) -> list[tuple[int, bytes]]:
        if random.random() >= step.share:
            return [(0, data)]
        link.counts[step.kind] += 1
        return fate(data)

    return some


def _flip(random: Random, data: bytes) -> bytes:
    """A bit of the header or of a length is flipped before UDP's checksum is made.

    Not in the low half of the number, nor in a message: with a right checksum no listener can tell that from the truth.
    """
    if len(data) <= 20:
        return data
    at, bit = random.choice((*range(14), 18, 19, 20, 21)), 1 << random.randrange(8)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def _lengthen(random: Random, data: bytes) -> bytes:
    """More bytes than messages, up to the largest datagram; more messages than bytes; a block longer than all."""
    kind = random.randrange(3) if len(data) > 22 else 0
    if kind == 0:
        return data + bytes(random.choice((1, 1_500, _LARGEST - len(data))))
    return data[:18] + b"\xff\xfe" + data[20:] if kind == 1 else data[:20] + b"\xff\xff" + data[22:]


def _garble(world: World, number: int, step: Step) -> Callable[[], object]:
    """The same message on both lines: the first one from here on that changes a book."""
    links, hit = [world.network.links[name] for name in "AB"], list[bytes]()

    def once(data: bytes) -> list[tuple[int, bytes]]:
        if data[22:23] not in (b"A", b"E", b"D") or (hit and data[:18] != hit[0]):
            return [(0, data)]
        hit[:] = [data[:18]]
        world.network.links["A"].counts["garble"] += 1
        return [(0, data[:18] + b"\0\1\0\x0f" + data[22:37])]

    for link in links:
        link.fates[number] = once
    return lambda: [link.fates.pop(number) for link in links]


def _cut(world: World, number: int, step: Step) -> Callable[[], object]:
    link = world.network.links[step.on]
    link.cut = ORDER if step.on == "up" else ANSWER
    return lambda: setattr(link, "cut", b"")


def _stall(world: World, number: int, step: Step) -> None:
    world.network.links[step.on].stall_ns = world.network.now + 1_000 * step.for_us


def _swallow(world: World, number: int, step: Step) -> Callable[[], object]:
    link = world.network.links["up"]
    link.swallow = True
    world.break_orders()
    return lambda: setattr(link, "swallow", False)


def _forget(world: World, number: int, step: Step) -> Callable[[], object]:
    """Answers are held up until the connection breaks; what the exchange says at the next login is one number more than was asked
    for, and that message does not come."""
    link = world.network.links["down"]

    def alter(data: bytes) -> bytes:
        login, message = 2 + 1 + 30, data[33:]
        if data[2:3] != b"A" or message[2:3] != b"S":
            return data
        link.alter = None
        link.counts["forget"] += 1
        sequence = int(data[13:login]) + 1
        return data[:13] + f"{sequence:>20}".encode() + message[2 + int.from_bytes(message[:2], "big") :]

    def arm() -> None:
        link.alter = alter
        world.break_orders()

    link.stall_ns = world.network.now + 1_000 * step.for_us
    return arm


def _pause(world: World, number: int, step: Step) -> Callable[[], object]:
    hosts = [world.hosts[name] for name in step.on.split(" and ")]
    for host in hosts:
        host.paused = True

    def resume() -> None:
        for host in hosts:
            host.resume()

    return resume


def _crash(world: World, number: int, step: Step) -> Callable[[], object]:
    world.kill(step.on)
    world.awaited += 1
    return lambda: world.restart(step.on)


def _change(world: World, number: int, step: Step) -> Callable[[], object]:
    world.kill("exchange")
    world.awaited += 1
    return lambda: world.restart("exchange", f"DAY{number + 2}")


def _end(world: World, number: int, step: Step) -> Callable[[], object]:
    if world.exchange is not None:
        world.exchange.finish()
    world.awaited += 1
    return lambda: world.restart("exchange")


def _full(world: World, number: int, step: Step) -> Callable[[], object]:
    host = world.hosts[step.on]
    host.full = True
    return lambda: setattr(host, "full", False)


def _clock(world: World, number: int, step: Step) -> Callable[[], object]:
    host = world.hosts[step.on]
    host.ahead_ns += _HOUR_NS
    return lambda: setattr(host, "ahead_ns", host.ahead_ns - _HOUR_NS)


_BEGIN: dict[str, Callable[[World, int, Step], Callable[[], object] | None]] = {
    "lose": _fated(lambda random: lambda data: []),
    "repeat": _fated(lambda random: lambda data: [(0, data), (int(random.random() * _LATE_NS), data)]),
    "delay": _fated(lambda random: lambda data: [(int(random.random() * _LATE_NS), data)]),
    "flip": _fated(lambda random: lambda data: [(0, _flip(random, data))]),
    "shorten": _fated(lambda random: lambda data: [(0, data[: random.randrange(1, len(data))])]),
    "lengthen": _fated(lambda random: lambda data: [(0, _lengthen(random, data))]),
    "garble": _garble,
    "cut": _cut,
    "break": lambda world, number, step: world.break_orders(),
    "stall": _stall,
    "swallow": _swallow,
    "forget": _forget,
    "pause": _pause,
    "crash": _crash,
    "change": _change,
    "end": _end,
    "full": _full,
    "clock": _clock,
}
