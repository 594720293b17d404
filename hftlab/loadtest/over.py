"""An exchange and a trader over a pair of transports, put under load like an engine in this process: the hockey stick of a path.

    exchange (a thread)  --a call of the sweep: one MoldUDP64 packet over X, when it is due-->  trader (a thread)
                         <--its order: OUCH in SoupBinTCP over Y--------------------------------arbiter, Rust engine as it is

The machinery is that of `net.tick_to_trade.wire`, and so is what the engine does: it acts on every tick whose score is not 0,
limited by nothing. A call that causes an order is done when the last of its orders has arrived at the exchange; it began when
its packet left. The others are load like these, but have nothing to be timed by. Every order that came is held, byte for byte,
against the one that the same engine makes of the same messages without a wire, before anything is told.

What a datagram transport loses is counted: packets that were sent again, orders that never came. A rate at which that happens is
not sustained, as in RFC 2544, section 26.1, where throughput is the greatest rate at which nothing is lost.

A capacity is that of both sides together. Where service time stays short above it, packets leave late: the exchange's side is at
its end, or the path is full and takes no more. Where service time grows, they wait for the trader.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, NoReturn

import numpy as np

from hftlab.errors import BackendMissing, ConfigError, HftlabError
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import Calls, Driven, EngineTarget, Target
from hftlab.measurement import system
from hftlab.measurement.preconditions import require_release_build
from hftlab.net.tick_to_trade.wire_path import Path, why_not
from hftlab.net.tick_to_trade.wire_round import KEEPS, Faults, Seats, check, ran
from hftlab.net.tick_to_trade.wire_script import MOST, SKIPPED, Script, acting
from hftlab.net.transports.pingpong import cores_of
from hftlab.net.transports.transports import engine as rust
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES

#: No order for so long and a run is over, s; messages there and back before it, which the rounds of net.wire look at.
PATIENCE, FLOOR = 1.0, 50
#: The first order behind messages that are given up has waited for ten requests of 50 ms; half of that is what tells it, ns.
GIVEN_UP = 250e6
#: s of a run with real-time scheduling, of which the system takes a share away from whoever goes on for longer.
LONGEST_FIFO = 0.6


class OverTarget:
    """A path, put under load. It is the Rust engine's work on both sides; Python only waits.

    path   : "shm", "udp-spin+tcp-spin" (feed + orders), ...; see `hftlab.net.tick_to_trade.wire_path`
    engine : Rust's in any variant, as `hftlab.as_engine` takes it
    label  : default "rust over shm"
    faults : what goes wrong on purpose, in tests
    cores  : of exchange and trader, default the first two
    fifo   : real-time scheduling of both; default as the caller has it, so that --fifo is for them, too
    raises : BackendMissing, UnknownName, ConfigError; HftlabError for a path that does not work here, or a debug build
    """

    def __init__(
        self,
        path: str,
        engine: Any = "rust",
        label: str | None = None,
        *,
        faults: Faults | None = None,
        cores: tuple[int, int] | None = None,
        fifo: bool | None = None,
    ) -> None:
        rust()
        self.path, self.faults, seats = Path.parse(path), faults, cores_of(cores)
        self.engine = acting(engine, "", 0.0, 1)
        require_release_build(self.engine)
        if why := _refused(self.path, seats):
            raise HftlabError(f"not to be had here: {self.path}: {why}")
        self.label = label or f"{engine if isinstance(engine, str) else self.engine.label} over {self.path}"
        real_time = system.scheduler().startswith("SCHED_FIFO") if fifo is None else fifo
        self.seats = Seats(cores=seats, fifo=real_time, stamps=False, floor=FLOOR, probe=0.001, patience=PATIENCE)
        self.longest = LONGEST_FIFO if real_time else inf  # s of a run by when calls are due; see `hftlab.loadtest.sweep`

    @property
    def said(self) -> str:
        """What is timed, in a sentence."""
        cores = self.seats.cores
        where = "not pinned" if cores[0] is None else f"on cores {cores[0]} and {cores[1]}, of which each wants one to itself"
        how = "real-time scheduling" if self.seats.fifo else "default scheduling"
        return (
            "over a path: one packet a call, from when it was due until its order is back at the exchange; both sides "
            f"{where}, {how}; the engine acts on every tick whose score is not 0, so it does more than one that acts seldom; "
            f"every order told of equals that of the run without a wire; the first {SKIPPED:.0%} of a run are not timed; "
            "a capacity is that of both sides together"
        )

    def open(self) -> OverLine:
        return OverLine(self)


class OverLine:
    """One run over a path, with a new engine, new connections and a new login."""

    def __init__(self, target: OverTarget) -> None:
        self.target, self.warm = target, b""

    def push(self, data: bytes) -> None:
        """What the trader's engine runs before it logs in."""
        self.warm += data

    def drive(self, calls: Calls, due: Times) -> Driven:
        """A packet for each call, when it is due. What is told are the calls that were answered.

        raises : ConfigError for a call that is more than a packet holds; HftlabError for what the transports say, a feed that
                 causes no order, one that is wrong, or none that came
        """
        target, name = self.target, str(self.target.path)
        most = int(np.diff(calls.ends, prepend=0).max(initial=0))
        if most > MOST:
            raise ConfigError(f"a call has {most:,} bytes; allowed over {name} is {MOST:,}, a packet: fewer messages a call")
        plan = self._script(calls, due)
        ends = target.path.ends(None)
        found = ran(name, ends, plan, target.seats, target.faults)
        lossy = any(transport not in KEEPS for transport in target.path.names)
        void = 0
        if lossy and (found["stopped"] or found["counts"]["lost"]):
            found, void = _until_lost(plan, found)
        came = check(name, plan, found, keeps=target.path.orders in KEEPS)
        return _driven(plan, found, came, void)

    def _script(self, calls: Calls, due: Times) -> Script:
        """What `hftlab.net.tick_to_trade.wire_script.script` makes of a pace, made of calls and times."""
        engine, before = self.target.engine, len(Calls.of(self.warm))
        run = engine.run(ItchFeed(self.warm + calls.data), record="none")
        index = run.orders["index"].to_numpy().astype(np.int64) - before
        first = int(np.searchsorted(index, 0))
        cause = index[first:] // calls.each
        if not len(cause):
            raise HftlabError(f"the feed causes no order in {len(calls):,} calls; allowed over a path is one with some")
        return Script(
            pace="",
            engine=engine.label,
            settings=engine.settings(record="none"),
            warm=self.warm,
            data=calls.data,
            ends=calls.ends,
            due_ns=due,
            orders=np.searchsorted(cause, np.arange(len(calls)), "right").astype(np.int64),
            cause=cause,
            stream=run.order_stream[ENTER_ORDER_BYTES * first :],
            first=first + 1,
        )

    def finish(self) -> NoReturn:
        raise HftlabError(f"the books are the trader's, over {self.target.path}; allowed over a path is the sweep")

    def counters(self) -> NoReturn:
        self.finish()

    def depth(self, instrument: int) -> NoReturn:
        self.finish()


def over_each(targets: Sequence[Target], paths: Iterable[str]) -> tuple[list[OverTarget], list[str]]:
    """Every Rust engine among the targets over every path that works here, and why others are left out, a sentence each.

    raises : UnknownName, ConfigError, also where there is a Rust engine and it is not among the targets
    """
    paths = list(paths)
    try:
        rust() if paths else None
    except BackendMissing as error:
        return [], [f"over {', '.join(paths)}: left out: {error}"]
    engines = [one for one in targets if isinstance(one, EngineTarget) and one.engine.backend == "rust"]
    if paths and not engines:
        names = ", ".join(one.label for one in targets)
        raise ConfigError(f"over {', '.join(paths)} is {names}; allowed is rust in any variant: both sides are in Rust")
    made, skipped = [], []
    for path in dict.fromkeys(str(Path.parse(text)) for text in paths):
        if why := _refused(Path.parse(path), cores_of(None)):
            skipped.append(f"over {path}: left out: {why}")
        else:
            made += [OverTarget(path, one.engine, f"{one.label} over {path}") for one in engines]
    return made, skipped


def _refused(path: Path, cores: tuple[int, int] | tuple[None, None]) -> str:
    """Why a path cannot be had here; "" if it can."""
    sleeps = {row[0]: row[3] for row in rust().transports()}
    alone = cores == (None, None)
    return next(filter(None, (why_not(name, alone and not sleeps[name]) for name in path.names)), "")


def _until_lost(plan: Script, found: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A run that broke off, or went on without messages that were given up, as far as it is that of the run without a wire; and
    how many orders are void by that. Behind what was given up an order may equal that of another tick but for its number."""
    sent = len(found["sent_ns"])
    orders = int(plan.orders[sent - 1]) if sent else 0
    streams = [np.frombuffer(one[: ENTER_ORDER_BYTES * orders], np.uint8) for one in (found["stream"], plan.stream)]
    good = (streams[0] == streams[1]).reshape(-1, ENTER_ORDER_BYTES).all(axis=1) & ~np.isnan(found["arrived_ns"][:orders])
    if found["counts"]["lost"]:
        good &= found["arrived_ns"][:orders] - found["sent_ns"][plan.cause[:orders]] < GIVEN_UP
    if good.all():
        return found, 0
    first = int(np.argmin(good))
    return {**found, "sent_ns": found["sent_ns"][: plan.cause[first]], "stopped": None, "foreign": 0}, orders - first


def _driven(plan: Script, found: dict[str, Any], came: np.ndarray[Any, np.dtype[np.bool_]], void: int) -> Driven:
    """The calls of which every order came, ns from the beginning."""
    cause = plan.cause[: len(came)]
    last = np.flatnonzero(np.diff(cause, append=cause[-1] + 1))  # the last order of each call
    answered = np.logical_and.reduceat(came, np.concatenate([[0], last[:-1] + 1]))
    last = last[answered]
    if not len(last):
        raise HftlabError("no call was answered by all of its orders; nothing can be told")
    through = int(cause[last[-1]]) + 1
    last = last[cause[last] >= min(plan.skipped, through - 1)]
    begin = found["due_ns"][0] - plan.due_ns[0]
    calls = cause[last]
    began, done = (np.rint(ns - begin).astype(np.int64) for ns in (found["sent_ns"][calls], found["arrived_ns"][last]))
    lost = int(found["resent"]) + int(np.count_nonzero(~came)) + void
    return Driven(plan.due_ns[calls], began, done, through, lost)
