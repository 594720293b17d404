"""What a transport costs: a message there and back between two cores, transport by transport, in interleaved rounds.

    round 1:  tcp-spin  udp-spin  shm  udp-spin again  xdp-skb ...       each so many messages there and back
    round 2:  shm  udp-spin again  xdp-skb  tcp-spin  udp-spin ...       in a new order

The first of them that is a plain socket, asked again and again, is the base: every ratio is to it, round by round, and it runs
twice, which is the A/A control. It is a closed loop: a message is sent when the last one is back, so it tells what a hop costs,
and nothing about queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.engine.timing import Histogram
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.measurement import system
from hftlab.measurement.clock import clock_of
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import check_rounds, interleave
from hftlab.net.transports.netns import Veth, veth
from hftlab.net.transports.rungs import AGAIN, Ladder, Rung
from hftlab.net.transports.transports import engine

#: Bytes: a MoldUDP64 packet with one Add Order.
SIZE = 58
BASE = "udp-spin"
#: Messages of a round by how the transport waits: in memory alone, in a spin, asleep.
MESSAGES = {"memory": 50_000, "spins": 10_000, "sleeps": 1_000}
#: A round of one transport takes no longer, s.
LIMIT = 2.0

#: Gives the dictionary of `hftlab_rust.transport_pingpong` for so many messages.
Run = Callable[[int], dict[str, Any]]


def pingpong(
    transports: Iterable[str] = (),
    *,
    rounds: int = 11,
    size: int = SIZE,
    messages: int | None = None,
    cores: tuple[int, int] | None = None,
    fifo: bool = False,
    netns: bool = False,
    processes: bool = False,
    bare: bool = False,
    seed: int = 1,
) -> Ladder:
    """Time messages there and back over transports, interleaved.

    transports : names; default all that work here
    rounds     : 3 to 1000; one more is run first, to warm up, and not counted
    size       : bytes of a message, 16 to 1472
    messages   : of each transport and round; default by how it waits, see MESSAGES
    cores      : of the two threads; default the first two that are allowed
    fifo       : real-time scheduling, in bursts of 0.4 s with rests between them
    netns      : what goes over a wire goes over a veth pair between two namespaces, not over the loopback interface
    processes  : the two ends are two processes, not threads
    bare       : beside them the same in C, for those that have it, compiled with cc
    raises     : BackendMissing; UnknownName; ConfigError; HftlabError for a transport asked for that does not work here
    """
    check_rounds(rounds)
    if not 16 <= size <= 1472:
        raise ConfigError(f"size is {size}; allowed is 16 to 1472")
    if messages is not None and not 1 <= messages <= 10_000_000:
        raise ConfigError(f"messages is {messages}; allowed is 1 to 10,000,000")
    seats = {"cores": cores_of(cores), "fifo": fifo, "size": size}
    alone = seats["cores"] == (None, None)
    names, skipped = _chosen(tuple(transports), netns=netns, processes=processes, alone=alone)
    if netns:
        with veth() as wire:
            runs = {name: _run(name, seats, processes, wire) for name in names}
            return _measure(runs, skipped, bare, rounds, messages, seats, seed, "veth between two namespaces")
    runs = {name: _run(name, seats, processes, None) for name in names}
    return _measure(runs, skipped, bare, rounds, messages, seats, seed, "loopback")


def _chosen(asked: tuple[str, ...], *, netns: bool, processes: bool, alone: bool) -> tuple[list[str], list[str]]:
    """Names to be measured, and why the others are not, a sentence each. alone : both ends are on the only core there is."""
    module = engine()
    known = {row[0]: row[3] for row in module.transports()}
    for name in asked:
        if name not in known:
            raise UnknownName("transport", name, known)
    names, skipped = [], []
    for name in dict.fromkeys(asked or known):
        works, errno, why = module.transport_probe(name)
        if works and alone and not known[name]:
            why = "it spins, and there is one core for both ends"
        elif works and processes:
            why = _no_processes(name, netns=netns)
        if why:
            skipped.append(f"{name}: {why}" + (f" (errno {errno})" if errno else ""))
        else:
            names.append(name)
    if not names or (asked and skipped):
        raise HftlabError(f"not to be had here: {'; '.join(skipped)}")
    return names, skipped


def _no_processes(name: str, *, netns: bool) -> str:
    if name == "memory":
        return "its memory is that of one process"
    if not netns and (name == "packet" or name.startswith("xdp")):
        return "between two processes it needs a wire with a name: netns"
    return ""


def cores_of(cores: tuple[int, int] | None) -> tuple[int, int] | tuple[None, None]:
    """Of two sides: as asked, or the first two that are allowed; None where there is one. Raises ConfigError."""
    allowed = system.affinity()
    if cores is None:
        return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)
    for core in cores:
        if core not in allowed:
            raise ConfigError(f"core {core} is not allowed; this process may run on {', '.join(map(str, allowed))}")
    if cores[0] == cores[1]:
        raise ConfigError(f"cores are {cores[0]} and {cores[1]}; two ends that spin on one core wait for each other")
    return cores


def _run(name: str, seats: dict[str, Any], processes: bool, wire: Veth | None) -> Run:
    """A round of a transport, by the number of messages."""
    address = wire.address(name) if wire else None
    if processes:
        from hftlab.net.transports.processes import between

        return lambda messages: between(name, address, messages, limit=LIMIT, **seats)
    plan = {"limit": LIMIT, **seats}
    return lambda messages: timed(name, address, messages, plan)


def timed(name: str, address: str | None, messages: int, plan: dict[str, Any]) -> dict[str, Any]:
    """A round of a transport between two threads, as the Rust engine tells it. Raises HftlabError for what the transport says."""
    try:
        found: dict[str, Any] = engine().transport_pingpong(name, address, rounds=messages, warm=messages // 20 + 10, **plan)
    except (OSError, ValueError) as error:
        raise HftlabError(f"{name}: {error}") from None
    return found


def _measure(
    runs: dict[str, Run],
    skipped: Sequence[str],
    bare: bool,
    rounds: int,
    messages: int | None,
    seats: dict[str, Any],
    seed: int,
    wire: str,
) -> Ladder:
    base = BASE if BASE in runs else next(iter(runs))
    kinds = {
        row[0]: "sleeps" if row[3] else "memory" if row[0] in ("memory", "shm") else "spins" for row in engine().transports()
    }
    counts = {name: messages or MESSAGES[kinds[name]] for name in runs}
    contenders = {**runs, base + AGAIN: runs[base]}
    counts[base + AGAIN] = counts[base]
    if bare:
        from hftlab.net.transports.bare import programs

        found, why = programs(runs, seats)
        contenders.update(found)
        counts.update(dict.fromkeys(found, messages or MESSAGES["spins"]))
        skipped = [*skipped, *why]
    pools = {name: _Pool(run, counts[name]) for name, run in contenders.items()}
    series = interleave({name: pool.round for name, pool in pools.items()}, rounds, seed, "ping-pong")
    clock_ns = clock_of(engine()).cost_p50_ns
    rungs = tuple(Rung.of(name, pool.trip, pool.there, series[name], clock_ns) for name, pool in pools.items())
    refused = tuple(dict.fromkeys(text for pool in pools.values() for text in pool.refused))
    size, fifo, cores = seats["size"], seats["fifo"], seats["cores"]
    return Ladder(base, rungs, rounds, size, cores, fifo, wire, clock_ns, tuple(skipped), refused, fingerprint(), seed)


def _messages(name: str) -> int:
    if name in ("memory", "shm"):
        return MESSAGES["memory"]
    sleeps = next(row[3] for row in engine().transports() if row[0] == name)
    return MESSAGES["sleeps" if sleeps else "spins"]


class _Pool:
    """All rounds of one contender: its samples counted together, the median of each round by itself."""

    def __init__(self, run: Run, messages: int) -> None:
        self.run, self.messages = run, messages
        self.trip, self.there = Histogram(), Histogram()
        self.refused: list[str] = []
        self.warm = True

    def round(self) -> float:
        """Median of the round trips of one more round, ns. The first round warms up."""
        found = self.run(self.messages)
        self.refused += found["refused"]
        if not len(found["round_trip_ns"]):
            raise HftlabError("a round gave no sample: time was up before the first message was back")
        if not self.warm:
            self.trip.record(found["round_trip_ns"])
            self.there.record(found["there_ns"])
        self.warm = False
        return float(np.median(found["round_trip_ns"]))


make_callable(__name__)
