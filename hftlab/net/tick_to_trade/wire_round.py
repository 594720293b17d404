"""One round over one path: run it in the Rust engine, check that every order is the one that should have come, take the times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.errors import HftlabError
from hftlab.net.tick_to_trade.wire_script import Script
from hftlab.net.transports.transports import engine
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES

#: Transports that lose nothing on the way; over any other an order may get lost, since SoupBinTCP leaves that to TCP.
KEEPS = ("memory", "shm", "tcp", "tcp-spin")
Times = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose, in tests: that the bench says so, and puts it where it belongs.

    drop_every : every so-manieth packet does not leave the first time; 0: none
    deaf       : requests for lost packets are not answered
    delay_ns   : the trader waits before its engine runs
    dies_after : the trader does nothing any more after so many packets; 0: it lives
    """

    drop_every: int = 0
    deaf: bool = False
    delay_ns: int = 0
    dies_after: int = 0


@dataclass(frozen=True)
class Seats:
    """How a round is run. cores : of the exchange and the trader; stamps : whether the trader stamps when an order is ready;
    floor : messages there and back with nothing between, before; probe, limit, patience : s"""

    cores: tuple[int, int] | tuple[None, None] = (None, None)
    fifo: bool = False
    stamps: bool = True
    floor: int = 2_000
    probe: float = 0.002
    limit: float = 0.8
    patience: float = 1.0


@dataclass(frozen=True)
class _Round:
    """What `hftlab_rust.wire_run` reads."""

    feed: tuple[str, str | None]
    orders: tuple[str, str | None] | None
    first: int
    floor: int
    limit: float
    patience: float
    cores: tuple[int, int] | tuple[None, None]
    fifo: bool
    stamps: bool
    probe: float
    settle: int
    faults: tuple[int, bool, int, int]


@dataclass(frozen=True)
class Sample:
    """One round. Times in ns, raw; those by order leave out what was sent while the path warmed up.

    service  : (orders,) from the tick's bytes leaving to the order's bytes arriving
    response : (orders,) the same from when the tick was due
    engine   : (orders,) in the trader, from the packet's bytes to the order's; empty without stamps
    floor    : there and back with nothing between
    late     : (packets,) from when a packet was due to when it left
    sent     : packets that left
    counts   : what the arbiter counted; with "resent" packets, "orders" that came and those "missing", "answers" to them that the
               trader has read, and its "allocations" once it had settled
    quiet    : of either core before: share of the time in gaps of 1 us and more, longest gap in ns
    """

    service: Times
    response: Times
    engine: Times
    floor: Times
    late: Times
    sent: int
    counts: dict[str, int]
    quiet: tuple[tuple[float, float], tuple[float, float]]
    refused: tuple[str, ...]


def run(name: str, ends: tuple[Any, Any], script: Script, seats: Seats, faults: Faults | None = None) -> Sample:
    """Run a script over a path and check what came back.

    name, ends : of the path; see `hftlab.net.tick_to_trade.wire_path`
    raises     : HftlabError for what the transports say, for an order that did not come, and for one that is not, byte for byte,
                 the order of the run without a wire
    """
    found = ran(name, ends, script, seats, faults)
    carrier = (ends[1] or ends[0])[0]
    return _sample(script, found, check(name, script, found, keeps=carrier in KEEPS))


def ran(name: str, ends: tuple[Any, Any], script: Script, seats: Seats, faults: Faults | None = None) -> dict[str, Any]:
    """Run a script over a path: what `hftlab_rust.wire_run` found, nothing of it checked. raises : as `run`, for transports"""
    wrong = faults or Faults()
    given = _Round(
        feed=ends[0],
        orders=ends[1],
        first=script.first,
        floor=seats.floor,
        limit=seats.limit,
        patience=seats.patience,
        cores=seats.cores,
        fifo=seats.fifo,
        stamps=seats.stamps,
        probe=seats.probe,
        settle=len(script.ends) // 2,
        faults=(wrong.drop_every, wrong.deaf, wrong.delay_ns, wrong.dies_after),
    )
    packets = [script.ends, script.due_ns, script.orders]
    try:
        found: dict[str, Any] = engine().wire_run(script.settings, script.warm, script.data, packets, given)
    except (OSError, ValueError) as error:
        raise HftlabError(f"{name}: {error}") from None
    return found


def check(name: str, script: Script, found: dict[str, Any], *, keeps: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the orders that should have come did, each as it should be.

    keeps  : nothing is lost on the way of the orders, so that all must have come; otherwise one that the trader has sent may miss
    raises : HftlabError for an order that is missing or wrong, came twice, or was not asked for
    """
    sent = len(found["sent_ns"])
    wanted = int(script.orders[sent - 1]) if sent else 0
    came: np.ndarray[Any, np.dtype[np.bool_]] = ~np.isnan(found["arrived_ns"][:wanted])
    if not came.all() and (keeps or len(found["received_ns"]) < wanted or not came.any()):
        counts = found["counts"]
        lost = "".join(f", {counts[what]:,} {what}" for what in ("messages", "requests", "lost") if counts.get(what))
        raise HftlabError(
            f"{name}: {found['stopped'] or 'an order did not come'}; {np.count_nonzero(came):,} of {wanted:,} orders came"
            f" (the trader's arbiter: {lost.strip(', ') or 'nothing'})"
        )
    bytes_of = [np.frombuffer(stream[: ENTER_ORDER_BYTES * wanted], np.uint8) for stream in (found["stream"], script.stream)]
    same = (bytes_of[0] == bytes_of[1]).reshape(-1, ENTER_ORDER_BYTES).all(axis=1)
    if len(wrong := np.flatnonzero(came & ~same)):
        raise HftlabError(f"{name}: order {script.first + wrong[0]} is not the one of the run without a wire; nothing is told")
    if found["stopped"] and came.all():
        raise HftlabError(f"{name}: {found['stopped']}")
    for what in ("duplicates", "foreign"):
        if found[what]:
            raise HftlabError(f"{name}: {found[what]:,} {what} came over the wire of the orders; allowed is none")
    if not wanted:
        raise HftlabError(f"{name}: time was up before the first order came")
    return came


def _sample(script: Script, found: dict[str, Any], came: np.ndarray[Any, Any]) -> Sample:
    orders = len(came)
    cause = script.cause[:orders]
    counted = came & (cause >= min(script.skipped, int(cause[came][-1])))
    sent, due, arrived = found["sent_ns"][cause], found["due_ns"][cause], found["arrived_ns"][:orders]
    ready = found["ready_ns"][:orders]
    engine_ns = (ready - found["received_ns"][:orders])[counted] if len(ready) else np.empty(0)
    more = {name: found[name] for name in ("resent", "answers", "allocations")}
    counts = {**found["counts"], **more, "orders": int(np.count_nonzero(came)), "missing": int(np.count_nonzero(~came))}
    return Sample(
        service=(arrived - sent)[counted],
        response=(arrived - due)[counted],
        engine=engine_ns,
        floor=found["floor_ns"],
        late=found["sent_ns"] - found["due_ns"],
        sent=len(found["sent_ns"]),
        counts=counts,
        quiet=tuple(found["quiet"]),
        refused=tuple(found["refused"]),
    )
