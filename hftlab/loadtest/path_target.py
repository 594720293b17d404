"""An exchange and a trader over a network path, put under load like an engine in this process.

    exchange (a thread)  --a batch: one MoldUDP64 packet over X, when it is due-->  trader (a thread): arbiter, Rust engine
                         <--its order: OUCH in SoupBinTCP over Y------------------

The machinery is that of `hftlab.net.tick_to_trade`, and so is what the engine does: it acts on every tick whose score is not 0,
limited by nothing. A batch that causes an order began when its packet left and is done when the last of its orders has arrived at
the exchange. The others are load like these, but have nothing to be timed by. Every order that came is first compared, byte for
byte, with the one that the same engine makes of the same messages without a network.

What a datagram transport loses is counted: packets that were sent again, orders that never came. A rate at which that happens is
not sustained, as in RFC 2544, section 26.1, where throughput is the greatest rate at which nothing is lost.

A capacity is that of both sides together. Where service time stays short above it, packets leave late: the exchange's side is at
its limit, or the path is full. Where service time grows, they wait for the trader.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import BackendMissing, ConfigError, HftlabError
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import MIN_BATCHES, Batches, Target, TargetSession, Timings
from hftlab.measurement import system
from hftlab.measurement.conditions import require_release_build
from hftlab.net.tick_to_trade.rounds import Faults, Mask, RoundSettings, check_orders, run_in_rust, same_orders
from hftlab.net.tick_to_trade.scenario import MAX_PACKET, RELIABLE, WARMUP_SHARE, NetworkPath, Scenario, eager_engine
from hftlab.net.transports.transports import ThreadPlacement, rust_transports
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES

#: A run ends when no order has come for so long, s; messages there and back before it, which the rounds of tick-to-trade need.
TIMEOUT_S, FLOOR = 1.0, 50
#: The first order behind messages that are given up has waited for ten requests of 50 ms; half of that gives it away, ns.
GIVEN_UP_NS = 250e6
#: s of a run with real-time scheduling, of which the system takes a share away where it goes on for longer.
MAX_REALTIME_S = 0.6


class PathTarget(Target):
    """A network path under load. The Rust engine works on both sides; Python only waits.

    path     : "shm", "udp-spin+tcp-spin" (feed + orders), ...; see `hftlab.net.tick_to_trade.scenario`
    engine   : Rust's in any variant
    label    : default "rust over shm"
    faults   : what goes wrong on purpose, in tests
    cores    : of exchange and trader, default the first two
    realtime : real-time scheduling of both; default as the caller has it
    raises   : BackendMissing, UnknownName, ConfigError; HftlabError for a path that does not work here, or a debug build
    """

    engine: Engine

    def __init__(
        self,
        path: str,
        engine: Any = "rust",
        label: str | None = None,
        *,
        faults: Faults | None = None,
        cores: tuple[int, int] | None = None,
        realtime: bool | None = None,
    ) -> None:
        rust_transports()
        self.path = NetworkPath.parse(path)
        self.engine = eager_engine(engine, "", cooldown=1)
        require_release_build(self.engine)
        self.label = label or f"{engine if isinstance(engine, str) else self.engine.label} over {self.path}"
        if realtime is None:
            realtime = system.scheduler().startswith("SCHED_FIFO")
        placement = ThreadPlacement.choose(cores, realtime)
        if why := self.path.reason(placement.single_core):
            raise HftlabError(f"not available here: {self.path}: {why}")
        self.settings = RoundSettings(placement, False, FLOOR, probe=0.001, timeout=TIMEOUT_S, faults=faults or Faults())

    def notes(self) -> list[str]:
        return [
            "over a path: one packet a batch, from when it was due until its order is back at the exchange; "
            f"{self.settings.placement.describe()}, and each side wants a core to itself; the engine acts on every tick whose "
            "score is not 0, so it does more than one that acts seldom; every order counted equals that of the run without a "
            f"network; the first {WARMUP_SHARE:.0%} of a run are not timed; a capacity is that of both sides together"
        ]

    def max_batches(self, rate: float) -> int | None:
        return max(MIN_BATCHES, int(rate * MAX_REALTIME_S)) if self.settings.placement.realtime else None

    def open(self) -> TargetSession:
        return PathSession(self)


class PathSession:
    """One run over a path, with a new engine, new connections and a new login."""

    def __init__(self, target: PathTarget) -> None:
        self.target, self.warm = target, b""

    def push(self, data: bytes) -> None:
        """What the trader's engine runs before it logs in."""
        self.warm += data

    def drive(self, batches: Batches, due: Times) -> Timings:
        """A packet for each batch, when it is due. The timings are those of the batches that were answered.

        raises : ConfigError for a batch that is more than a packet holds; HftlabError for what the transports say, a feed that
                 causes no order, one that is wrong, or none that came
        """
        path, settings = self.target.path, self.target.settings
        largest = int(np.diff(batches.ends, prepend=0).max(initial=0))
        if largest > MAX_PACKET:
            raise ConfigError(f"bytes of a batch over {path} must be at most {MAX_PACKET:,}, a packet, got {largest:,}")
        scenario = self._scenario(batches, due)
        raw, void = run_in_rust(str(path), path.ends(), scenario, settings), 0
        if not path.reliable and (raw["stopped"] or raw["counts"]["lost"]):
            raw, void = _until_lost(scenario, raw)
        came = check_orders(str(path), scenario, raw, reliable=path.orders in RELIABLE)
        return _timings(scenario, raw, came, void)

    def _scenario(self, batches: Batches, due: Times) -> Scenario:
        """As `make_scenario` makes one of a load profile, of batches and times."""
        engine, before = self.target.engine, len(Batches.of(self.warm))
        run = engine.run(ItchFeed(self.warm + batches.data), record="none")
        index = run.orders["index"].to_numpy().astype(np.int64) - before
        first = int(np.searchsorted(index, 0))
        cause = index[first:] // batches.size
        if not len(cause):
            raise HftlabError(f"the feed causes no order in {len(batches):,} batches; over a path some are needed")
        return Scenario(
            load_profile="",
            engine=engine.label,
            settings=engine.settings(record="none"),
            warm=self.warm,
            data=batches.data,
            ends=batches.ends,
            due_ns=due,
            orders=np.searchsorted(cause, np.arange(len(batches)), "right").astype(np.int64),
            cause=cause,
            stream=run.order_stream[ENTER_ORDER_BYTES * first :],
            first=first + 1,
        )


def path_targets(targets: Sequence[Target], paths: Iterable[str]) -> tuple[list[Target], list[str]]:
    """Every Rust engine among the targets over every path that works here, and why others are left out, a sentence each.

    raises : UnknownName, ConfigError, also where there is a Rust engine and it is not among the targets
    """
    paths = list(paths)
    try:
        parsed = list(dict.fromkeys(map(NetworkPath.parse, paths)))
    except BackendMissing as error:
        return [], [f"over {', '.join(paths)}: left out: {error}"]
    engines = [(target.label, target.engine) for target in targets if target.engine and target.engine.backend == "rust"]
    if parsed and not engines:
        names = ", ".join(target.label for target in targets)
        raise ConfigError(f"targets over {', '.join(paths)} must be rust in any variant, got {names}: both sides are in Rust")
    out: list[Target] = []
    skipped, single_core = [], ThreadPlacement.choose().single_core
    for path in parsed:
        if why := path.reason(single_core):
            skipped.append(f"over {path}: left out: {why}")
        else:
            out += [PathTarget(str(path), engine, f"{label} over {path}") for label, engine in engines]
    return out, skipped


def _until_lost(scenario: Scenario, raw: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A run that was cut off, or went on without messages that were given up, as far as it equals the run without a network; and
    how many orders that makes void. Behind a lost message an order may equal that of another tick but for its number."""
    sent = len(raw["sent_ns"])
    orders = int(scenario.orders[sent - 1]) if sent else 0
    good = same_orders(scenario, raw, orders) & ~np.isnan(raw["arrived_ns"][:orders])
    if raw["counts"]["lost"]:
        good &= raw["arrived_ns"][:orders] - raw["sent_ns"][scenario.cause[:orders]] < GIVEN_UP_NS
    if good.all():
        return raw, 0
    first = int(np.argmin(good))
    return {**raw, "sent_ns": raw["sent_ns"][: scenario.cause[first]], "stopped": None, "foreign": 0}, orders - first


def _timings(scenario: Scenario, raw: dict[str, Any], came: Mask, void: int) -> Timings:
    """The batches of which every order came, ns from the beginning."""
    cause = scenario.cause[: len(came)]
    last = np.flatnonzero(np.diff(cause, append=cause[-1] + 1))  # the last order of each batch
    answered = np.logical_and.reduceat(came, np.concatenate([[0], last[:-1] + 1]))
    last = last[answered]
    if not len(last):
        raise HftlabError("no batch was answered by all of its orders; there is nothing to time")
    completed = int(cause[last[-1]]) + 1
    last = last[cause[last] >= min(scenario.skipped, completed - 1)]
    begin = raw["due_ns"][0] - scenario.due_ns[0]
    batches = cause[last]
    began, done = (np.rint(ns - begin).astype(np.int64) for ns in (raw["sent_ns"][batches], raw["arrived_ns"][last]))
    lost = int(raw["resent"]) + int(np.count_nonzero(~came)) + void
    return Timings(scenario.due_ns[batches], began, done, completed, lost)
