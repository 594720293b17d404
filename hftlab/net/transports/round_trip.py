"""What a transport costs: a message there and back between two cores, transport by transport, in interleaved rounds.

    round 1:  tcp-spin  udp-spin  shm  udp-spin again  xdp-skb ...       each MESSAGES there and back
    round 2:  shm  udp-spin again  xdp-skb  tcp-spin  udp-spin ...       in a new order

The first of them that is a plain polled socket is the base: every ratio is to it, round by round, and it runs twice, which is the
A/A control. It is a closed loop: a message is sent when the last one is back, so it measures a hop and nothing about queues.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.errors import HftlabError, check_range
from hftlab.measurement.clock import clock_of
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Series, check_rounds, interleave
from hftlab.net.transports.netns import veth
from hftlab.net.transports.round_trip_report import AGAIN, RoundTripReport, TransportResult
from hftlab.net.transports.transports import ThreadPlacement, choose_working, probe, rust_transports, transport_names

#: Bytes: a MoldUDP64 packet with one Add Order.
SIZE = 58
BASE = "udp-spin"
#: Messages of a round by how the transport waits: in memory alone, in a spin, asleep.
MESSAGES = {"memory": 50_000, "spins": 10_000, "sleeps": 1_000}
#: A round of one transport takes no longer, s.
MAX_ROUND_S = 2.0

#: Messages -> the dictionary of `hftlab_rust.transport_pingpong`.
Run = Callable[[int], dict[str, Any]]


def measure_round_trip(
    transports: Iterable[str] = (),
    *,
    rounds: int = 11,
    size: int = SIZE,
    messages: int | None = None,
    cores: tuple[int, int] | None = None,
    realtime: bool = False,
    netns: bool = False,
    processes: bool = False,
    seed: int = 1,
) -> RoundTripReport:
    """Time messages there and back over transports, interleaved.

    transports : names; default all that work here
    rounds     : 3 to 1000; one more is run first, to warm up, and not counted
    size       : bytes of a message, 16 to 1472
    messages   : of each transport and round; default by how it waits, see MESSAGES
    cores      : of the two threads; default the first two that are allowed
    realtime   : real-time scheduling, in bursts of 0.4 s with rests between them
    netns      : what goes over a network goes over a veth pair between two namespaces, not over the loopback interface
    processes  : the two ends are two processes, not threads
    raises     : BackendMissing; UnknownName; ConfigError; HftlabError for a transport asked for that does not work here
    """
    _check(rounds, size, seed, messages)
    placement = ThreadPlacement.choose(cores, realtime)
    reason = partial(_reason, single_core=placement.single_core, netns=netns, processes=processes)
    names, skipped = choose_working(transports, transport_names(), reason)
    base = BASE if BASE in names else names[0]
    with veth() if netns else nullcontext() as link:
        run = partial(_between_processes if processes else between_threads, size=size, placement=placement)
        contenders = {**{name: name for name in names}, base + AGAIN: base}
        pools = {
            label: _Pool(partial(run, name, link and link.address(name)), messages, name) for label, name in contenders.items()
        }
        series = interleave({name: pool.round for name, pool in pools.items()}, rounds, seed, "round trips")
    clock_ns = clock_of(rust_transports()).cost_p50_ns
    return RoundTripReport(
        base=base,
        results=tuple(pool.result(name, series[name], clock_ns) for name, pool in pools.items()),
        rounds=rounds,
        size=size,
        placement=placement,
        network="veth between two namespaces" if netns else "loopback",
        clock_ns=clock_ns,
        skipped=tuple(skipped),
        refused=tuple(dict.fromkeys(text for pool in pools.values() for text in pool.refused)),
        machine=fingerprint(),
        seed=seed,
    )


def _check(rounds: int, size: int, seed: int, messages: int | None) -> None:
    """Raises ConfigError for a number out of range."""
    check_rounds(rounds)
    check_range("size", size, 16, 1472, "bytes")
    check_range("seed", seed, 0)
    check_range("messages", 1 if messages is None else messages, 1, 10_000_000)


def _reason(name: str, *, single_core: bool, netns: bool, processes: bool) -> str:
    """Why a transport cannot be measured, "" if it can."""
    if (why := probe(name).reason(single_core)) or not processes:
        return why
    if name == "memory":
        return "its memory is that of one process"
    if not netns and (name == "packet" or name.startswith("xdp")):
        return "two processes share no loopback of their own; it needs two namespaces"
    return ""


def _messages(name: str) -> int:
    if name in ("memory", "shm"):
        return MESSAGES["memory"]
    return MESSAGES["sleeps" if probe(name).sleeps else "spins"]


def _plan(messages: int, size: int) -> dict[str, Any]:
    return {"size": size, "rounds": messages, "warm": messages // 20 + 10, "limit": MAX_ROUND_S}


def between_threads(name: str, address: str | None, messages: int, *, size: int, placement: ThreadPlacement) -> dict[str, Any]:
    """A round between two threads, as the Rust engine gives it. Raises HftlabError for what the transport says."""
    try:
        result: dict[str, Any] = rust_transports().transport_pingpong(
            name, address, cores=placement.cores, fifo=placement.realtime, **_plan(messages, size)
        )
    except (OSError, ValueError) as error:
        raise HftlabError(f"{name}: {error}") from None
    return result


class _Pool:
    """All rounds of one contender: its samples counted together. The first round warms up and is not counted."""

    def __init__(self, run: Run, messages: int | None, name: str) -> None:
        self.run, self.messages = run, messages or _messages(name)
        self.round_trip, self.one_way = Histogram(), Histogram()
        self.refused: list[str] = []
        self.warm = True

    def round(self) -> float:
        """Median of the round trips of one more round, ns."""
        sample = self.run(self.messages)
        self.refused += sample["refused"]
        if not len(sample["round_trip_ns"]):
            raise HftlabError("a round gave no sample: time was up before the first message was back")
        if not self.warm:
            self.round_trip.record(sample["round_trip_ns"])
            self.one_way.record(sample["there_ns"])
        self.warm = False
        return float(np.median(sample["round_trip_ns"]))

    def result(self, name: str, medians: Series, clock_ns: float) -> TransportResult:
        trip, one_way = (Distribution("", times, clock_ns).summary() for times in (self.round_trip, self.one_way))
        return TransportResult(name, trip, one_way, tuple(round(float(ns), 1) for ns in medians))


# Two processes ------------------------------------------------------------------------------------------------------------------

#: What the child runs; it ends when the other end does, or after two seconds of silence. It needs the engine alone.
_CHILD = """
import sys, hftlab_rust
name, address, size, core, fifo = sys.argv[1:]
end = hftlab_rust.transport_open(name, address, "second", size=int(size))
print("ready", flush=True)
hftlab_rust.transport_echo(end, core=int(core) if core else None, fifo=fifo == "True")
"""
_CHILD_TIMEOUT_S = 10.0
_numbers = count()


def _between_processes(name: str, address: str | None, messages: int, *, size: int, placement: ThreadPlacement) -> dict[str, Any]:
    """A round between this process and a child that sends back what comes. Raises HftlabError for what either end says."""
    module, (ours, theirs) = rust_transports(), placement.cores
    address = address or free_address(name)
    words = [name, address, str(size), "" if theirs is None else str(theirs), str(placement.realtime)]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = module.transport_open(name, address, "first", size=size)
        try:
            assert child.stdout is not None  # a pipe was asked for
            if child.stdout.readline().strip() != "ready":
                raise HftlabError(f"{name}: {_last_error(child)}")
            result: dict[str, Any] = module.transport_ping(end, core=ours, fifo=placement.realtime, **_plan(messages, size))
        finally:
            end.close()
    except (OSError, ValueError) as error:
        raise error if isinstance(error, HftlabError) else HftlabError(f"{name}: {error}") from None
    finally:
        _end(child)
    return result


def free_address(name: str) -> str:
    """An address of our own for both ends of a transport: a name nobody else has, or ports that are free now."""
    if name == "shm":
        return f"hftlab-{os.getpid()}-between-{next(_numbers)}"
    kind = socket.SOCK_STREAM if name.startswith("tcp") else socket.SOCK_DGRAM
    with socket.socket(type=kind) as first, socket.socket(type=kind) as second:
        for end in (first, second):
            end.bind(("127.0.0.1", 0))
        ports = [end.getsockname()[1] for end in (first, second)]
    if name == "multicast":
        return f"239.255.104.3:{ports[0]}/239.255.104.4:{ports[1]}"
    return "/".join(f"127.0.0.1:{port}" for port in ports)


def _last_error(child: subprocess.Popen[str]) -> str:
    """The last line that a child wrote to its standard error."""
    _, errors = child.communicate(timeout=_CHILD_TIMEOUT_S)
    return (errors.strip().splitlines() or ["the other process ended without a message"])[-1]


def _end(child: subprocess.Popen[str]) -> None:
    """Wait for a child to end by itself; kill it if it does not."""
    try:
        child.communicate(timeout=_CHILD_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
